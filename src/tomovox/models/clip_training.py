"""How does a dual encoder learn which report belongs to which volume? The training of M3D-CLIP.

Letters: u pairs of one rank, t text tokens, e width of the embeddings.
Source: M3D (Bai et al. 2024), M3D-CLIP: AdamW, warm-up and cosine over the pairs of all ranks.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from tomovox.models.contrastive import DualEncoder, contrastive_loss
from tomovox.models.optimising import cosine_with_warmup
from tomovox.models.weights import save_tensors
from tomovox.schema import Studies, TomovoxError, Vocabulary


@runtime_checkable
class Pairs(Protocol):
    """What a batch must hold: row i of `ids` and `mask` is the text of study i."""

    studies: Studies
    ids: Int[Tensor, "u t"]
    mask: Bool[Tensor, "u t"]


class ClipTraining(LightningModule):
    """Train all of a dual encoder such as M3D-CLIP on volumes and their reports.

    Every volume is told from the reports of all ranks, and every report from their volumes. All
    ranks must hold equally many pairs and the whole model: one device or DDP.

    Args:
        encoder: makes the dual encoder, named by class path.
        vocabulary: of the tokenizer that the data uses, to check the text encoder against.
        lr: highest learning rate.
        weight_decay: of all weights but norms and biases.
        warmup: share of the steps over which the rate rises; then it falls along a cosine.
    """

    clip: Any
    """The dual encoder with its `logit_scale`; there is none before `configure_model`."""

    def __init__(
        self,
        encoder: Callable[[], DualEncoder],
        vocabulary: Vocabulary | None = None,
        lr: float = 1e-4,
        weight_decay: float = 0.1,
        warmup: float = 0.03,
    ):
        super().__init__()
        self.make_encoder, self.vocabulary = encoder, vocabulary
        self.lr, self.weight_decay, self.warmup = lr, weight_decay, warmup

    def configure_model(self) -> None:
        """Build the dual encoder once; TomovoxError when it has no row for some word.

        It is refused too where every device would hold a share of the weights.
        """
        if self.device_mesh is not None:
            raise TomovoxError(
                "trainer.strategy: a dual encoder trains whole on every device; set strategy: ddp"
            )
        if hasattr(self, "clip"):
            return
        clip = self.make_encoder()
        for name, weight in clip.named_parameters():
            if name.endswith("word_embeddings.weight"):
                self._check_words(len(weight))
            if ".pooler." in name:  # nothing reads it, and DDP would wait for its gradient
                weight.requires_grad_(False)
        # A pretrained part comes in eval mode, and Lightning keeps it: dropout would stay off.
        self.clip = clip.train()

    def _check_words(self, rows: int) -> None:
        words = self.vocabulary.size if self.vocabulary else 0
        if rows < words:
            raise TomovoxError(
                f"the text encoder knows {rows} words and the tokenizer {words}: set the encoder's "
                f"text.vocabulary to {words}, or data.tokenizer to the one of text.source"
            )

    def training_step(self, batch: Pairs, batch_idx: int) -> Tensor:
        """Return the contrastive loss of a batch; log it and R@1 both ways."""
        return self._loss("train", batch)

    def validation_step(self, batch: Pairs, batch_idx: int) -> None:
        """Log loss and R@1 of validation pairs; both depend on how many pairs a batch holds."""
        self._loss("val", batch)

    @torch.no_grad()
    def predict_step(self, batch: Pairs, batch_idx: int = 0) -> tuple[Tensor, Tensor]:
        """Return the unit vectors of the volumes and of their reports, row by row."""
        volumes = self.clip.embed_studies(batch.studies)
        return volumes, self.clip.embed_texts(batch.ids, batch.mask)

    def _loss(self, name: str, batch: Pairs) -> Tensor:
        volumes = self.clip.embed_studies(batch.studies)
        reports = self.clip.embed_texts(batch.ids, batch.mask)
        loss = contrastive_loss(volumes, reports, self.clip.logit_scale)
        figures = {
            f"{name}/loss": loss,
            f"{name}/report_of_volume_r1": recall_at_1(volumes, reports),
            f"{name}/volume_of_report_r1": recall_at_1(reports, volumes),
        }
        self.log_dict(figures, prog_bar=True, batch_size=len(volumes), sync_dist=name == "val")
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW with warm-up and a cosine; norms and biases do not decay.

        `logit_scale` does: the release's trainer spares only what is named a norm or a bias.
        """
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for parameter in self.parameters():
            if parameter.requires_grad:
                groups[parameter.ndim != 1].append(parameter)
        optimizer = torch.optim.AdamW(
            [
                {"params": groups[True], "weight_decay": self.weight_decay},
                {"params": groups[False], "weight_decay": 0.0},
            ],
            lr=self.lr,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: cosine_with_warmup(step, steps, self.warmup, 0.0)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@torch.no_grad()
def recall_at_1(queries: Float[Tensor, "u e"], targets: Float[Tensor, "u e"]) -> Float[Tensor, ""]:
    """Return the share of rows whose own target is the nearest; of equally near ones, the first.

    Only the rows of this rank compete. Computed in float32, where bfloat16 would make ties.
    """
    with torch.autocast(queries.device.type, enabled=False):
        nearest = (queries.float() @ targets.float().T).argmax(-1)
    return (nearest == torch.arange(len(nearest), device=nearest.device)).float().mean()


def save_encoder(training: ClipTraining, path: Path) -> None:
    """Write the dual encoder alone as safetensors, with the keys of the published checkpoint.

    Of M3D-CLIP these are vision_encoder.*, language_encoder.*, mm_vision_proj.*,
    mm_language_proj.* and logit_scale.
    """
    save_tensors(training.clip.state_dict(), path, {"system": type(training.clip).__name__})
