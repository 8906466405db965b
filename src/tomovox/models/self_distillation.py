"""How does a slice encoder learn from slices alone? A student agrees with its own running mean.

The teacher is the mean of earlier students. It sees two large views of a slice, the student also
small ones, and says of each view what its teacher says of another: no label is read.

Letters: b slices, v views, l small views, k prototypes, d width, S s sides of views in pixels.
Source: DINO (Caron et al. 2021), which MS-VLM tunes on slices of its own volumes.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from tomovox.models.part_training import PartTraining, between
from tomovox.models.slices import SliceEncoderConfig
from tomovox.schema import Studies


@dataclass
class DistillationConfig:
    """How student and teacher compare views; the defaults are DINO's for a ViT-B/16.

    Views are told apart by `prototypes`, reached through an MLP of `hidden` and `bottleneck`
    channels, and held still for the first share `prototypes_still` of the steps; `batch_norm`
    centres and scales what is inside the MLP, without which a small encoder from scratch says the
    same of every slice. The teacher's
    temperature rises over the share `teacher_warmup`. `momentum`, the teacher's inertia per step,
    rises to 1 along a cosine, `centre_momentum` is that of its mean answer, which is subtracted so
    that no prototype wins always.
    """

    prototypes: int = 65536
    hidden: int = 2048
    bottleneck: int = 256
    batch_norm: bool = False
    prototypes_still: float = 0.02
    student_temperature: float = 0.1
    teacher_temperature: tuple[float, float] = (0.04, 0.07)
    teacher_warmup: float = 0.125
    momentum: float = 0.996
    centre_momentum: float = 0.9


class SelfDistillation(PartTraining):
    """Tune a slice encoder by self-distillation without labels; the teacher is what is kept.

    Args:
        vision2d: the encoder, from scratch or from its `name` or `weights`.
        distillation: how views are compared.
        lr: highest learning rate, of AdamW.
        weight_decay: of all weights but norms and biases, from the first step to the last.
        warmup: share of the steps over which the rate rises; then it falls along a cosine.
        floor: share of the rate at the end.
    """

    part_name = "vision2d"
    centre: Tensor
    """The teacher's mean answer (k)."""

    def __init__(
        self,
        vision2d: SliceEncoderConfig,
        distillation: DistillationConfig | None = None,
        lr: float = 5e-4,
        weight_decay: tuple[float, float] = (0.04, 0.4),
        warmup: float = 0.1,
        floor: float = 0.002,
    ):
        super().__init__()
        self.vision2d_config, self.distillation = vision2d, distillation or DistillationConfig()
        self.lr, self.weight_decay, self.warmup, self.floor = lr, weight_decay, warmup, floor

    def make(self) -> None:
        """Create the student, its teacher, which is the same at first, and the centre."""
        encoder, config = self.vision2d_config.build(), self.distillation
        head = DistillationHead(encoder.width, config)
        self.student = nn.ModuleDict({"encoder": encoder, "head": head}).train()
        self.teacher = deepcopy(self.student).requires_grad_(False).eval()
        self.register_buffer("centre", torch.zeros(config.prototypes))

    @property
    def part(self) -> nn.Module:
        """The teacher's encoder."""
        encoder = self.teacher["encoder"]
        assert isinstance(encoder, nn.Module)
        return encoder

    def embed_studies(self, studies: Studies) -> Float[Tensor, "b d"]:
        """Return the CLS vectors of all slices of all series, one after another."""
        slices = [volume[0].unsqueeze(1) for volume in studies.voxels]
        return torch.cat([self.part(each, tokens=False)[0] for each in slices])

    def training_step(
        self, batch: tuple[Float[Tensor, "2 b 1 S S"], Float[Tensor, "l b 1 s s"]], batch_idx: int
    ) -> Tensor:
        """Return the loss of large and small views; log it and how far the teacher is decided."""
        large, small = batch
        with torch.no_grad():
            taught = answers(self.teacher, large)
            targets = sharpened(taught, self.centre, self._teacher_temperature())
        said = answers(self.student, large)
        if len(small):
            said = torch.cat([said, answers(self.student, small)])
        loss = distillation_loss(said, targets, self.distillation.student_temperature)
        self._move_centre(taught)
        self.log("train/loss", loss, prog_bar=True, batch_size=large.shape[1])
        figures = {"train/teacher_entropy": entropy(targets).mean()}
        figures["train/prototypes_entropy"] = entropy(targets.mean((0, 1)))
        self.log_dict(figures, batch_size=large.shape[1])
        return loss

    def _teacher_temperature(self) -> float:
        start, end = self.distillation.teacher_temperature
        risen = self.progress / max(self.distillation.teacher_warmup, 1e-9)
        return start + (end - start) * min(1.0, risen)

    @torch.no_grad()
    def _move_centre(self, taught: Float[Tensor, "2 b k"]) -> None:
        """Follow the teacher's mean answer, over the slices of all ranks."""
        mean = taught.mean((0, 1))
        if dist.is_initialized():
            dist.all_reduce(mean)
            mean /= dist.get_world_size()
        self.centre.lerp_(mean.to(self.centre), 1 - self.distillation.centre_momentum)

    def on_after_backward(self) -> None:
        """Hold the prototypes still at first: all else would run after them."""
        if self.progress < self.distillation.prototypes_still:
            head = self.student["head"]
            assert isinstance(head, DistillationHead)
            head.prototypes.grad = None

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Step the student and let the teacher follow: before a checkpoint can be written."""
        progress = self.progress
        for group in self.trainer.optimizers[0].param_groups[:1]:
            group["weight_decay"] = between(*self.weight_decay, progress)
        super().optimizer_step(*arguments, **options)
        follow(self.teacher, self.student, between(self.distillation.momentum, 1.0, progress))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW with warm-up and a cosine over the steps."""
        return self.cosine(self.decayed(self.lr, self.weight_decay[0]), self.warmup, self.floor)


class DistillationHead(nn.Module):
    """CLS -> MLP -> unit sphere -> cosine with every prototype (DINO, projection head)."""

    def __init__(self, width: int, config: DistillationConfig):
        super().__init__()
        layers: list[nn.Module] = []
        for size in (width, config.hidden):
            layers.append(nn.Linear(size, config.hidden))
            if config.batch_norm:  # of the batch at hand, the teacher too: there is nothing to keep
                layers.append(nn.BatchNorm1d(config.hidden, track_running_stats=False))
            layers.append(nn.GELU())
        self.layers = nn.Sequential(*layers, nn.Linear(config.hidden, config.bottleneck))
        self.prototypes = nn.Parameter(torch.randn(config.prototypes, config.bottleneck) * 0.02)
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, cls: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """Return the cosines, in [-1, 1]."""
        x = self.layers(cls)
        return F.linear(F.normalize(x, dim=-1), F.normalize(self.prototypes, dim=-1))


def answers(network: nn.ModuleDict, views: Float[Tensor, "v b 1 s s"]) -> Float[Tensor, "v b k"]:
    """Return what a student or teacher says of views, each read at its own size."""
    cls, _ = network["encoder"](views.flatten(0, 1), side=views.shape[-1], tokens=False)
    return network["head"](cls).unflatten(0, views.shape[:2])


def sharpened(
    taught: Float[Tensor, "2 b k"], centre: Float[Tensor, "k"], temperature: float
) -> Float[Tensor, "2 b k"]:
    """Return the teacher's probabilities: centred, so that all prototypes count, and sharpened."""
    return ((taught.float() - centre) / temperature).softmax(-1)


def distillation_loss(
    said: Float[Tensor, "v b k"], targets: Float[Tensor, "2 b k"], temperature: float
) -> Float[Tensor, ""]:
    """Return the cross-entropy of the student with the teacher, mean over pairs of two views.

    The first two views are the teacher's: the student is not asked about the very view that the
    teacher saw. Never below the mean entropy of the targets. Source: DINO, equation 3.
    """
    log_probabilities = (said.float() / temperature).log_softmax(-1)
    pairs = -torch.einsum("tbk,vbk->tv", targets, log_probabilities) / said.shape[1]
    other = ~torch.eye(2, len(said), dtype=torch.bool, device=said.device)
    return (pairs * other).sum() / other.sum()


def entropy(probabilities: Float[Tensor, "*rows k"]) -> Float[Tensor, "*rows"]:
    """Return the entropy in nats of each row of probabilities."""
    return torch.special.entr(probabilities).sum(-1)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move every weight of the teacher a share 1 - momentum of the way to the student's."""
    for mine, its in zip(teacher.parameters(), student.parameters(), strict=True):
        mine.lerp_(its, 1 - momentum)
