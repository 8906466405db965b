"""How do encoders learn to see before any language model looks through them?

From the answers and findings of training cases: the miniature of M3D-CLIP and DINO pretraining.

Letters: u studies, n slices, k cells of the token grid, d width, D H W volume,
a answer heads, c finding classes (0 is none).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from tomovox.models.blocks import AttentionPool, Block, sinusoid
from tomovox.models.optimising import cosine_with_warmup
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.vit3d import ViT3D, ViT3DConfig
from tomovox.schema import IGNORE, TomovoxError

UNKNOWN = 255
"""Finding label of a voxel of a volume that has no mask."""

PART = (2, 4, 4)
"""Voxels of a part of a cell: what a token must know of where in its cell a structure ends."""

PARTS_LOSS, REST_WEIGHT = 3.0, 0.3
"""Weight of the loss of parts, and in it of the parts that show no structure."""


@dataclass(slots=True)
class VisionBatch:
    """Volumes, one answer per head (IGNORE if not asked) and one finding class per voxel."""

    voxels: Float[Tensor, "u 1 D H W"]
    answers: Int[Tensor, "u a"]
    findings: Tensor


class VisionPretraining(LightningModule):
    """Train one encoder on answers to closed questions and, with masks, on where findings lie.

    Losses: answers from a learned pool over all tokens; with masks also the finding class of every
    cell (findings weigh `finding_weight`), in 3D the class of every small part of a cell, from the
    cell's one token, and the answers from the tokens inside the finding. The heads are thrown away.
    A 2D cell is thin and has no parts: asked for them, the slices told the plane less often.
    """

    def __init__(
        self,
        encoder: ViT3DConfig | SliceEncoderConfig,
        answers: list[int],
        classes: int = 0,
        lr: float = 1e-3,
        finding_weight: float = 8.0,
    ):
        """Take the encoder's config and the number of classes per answer head and of findings."""
        super().__init__()
        if not answers:
            raise TomovoxError(
                "encoder pretraining needs closed questions whose answers differ; the training "
                "split has none: leave out shared.vision3d and shared.vision2d"
            )
        self.encoder = encoder.build()
        self.lr, self.classes = lr, classes
        width = encoder.width
        self.flat = isinstance(encoder, SliceEncoderConfig)
        self.mix = Block(width, max(1, width // 64), 2 * width)
        self.pool = AttentionPool(width, max(1, width // 64), queries=max(1, len(answers)))
        self.place = nn.Linear(64, width)
        self.answer_heads = nn.ModuleList(nn.Linear(width, n) for n in answers)
        self.local_heads = nn.ModuleList(nn.Linear(width, n) for n in answers)
        if classes:
            self.cell_head = nn.Linear(width, classes)
            self.slice_head = nn.Linear(width, classes)
            weight = torch.full((classes,), finding_weight)
            weight[0] = 1.0
            self.register_buffer("class_weight", weight)
        if classes and isinstance(encoder, ViT3DConfig):
            shares = zip(encoder.patch, PART, strict=True)
            self.parts = tuple(max(1, n // most) for n, most in shares)
            self.part_head = nn.Linear(width, classes * math.prod(self.parts))
            rest = torch.ones(classes)
            rest[0] = REST_WEIGHT
            self.register_buffer("part_weight", rest)

    def see(
        self, voxels: Float[Tensor, "u 1 D H W"]
    ) -> tuple[Float[Tensor, "u k d"], tuple[int, int, int], Float[Tensor, "u n d"]]:
        """Return cell tokens, their grid and what to pool: slice vectors in 2D, tokens in 3D."""
        if isinstance(self.encoder, ViT3D):
            tokens = self.encoder(voxels)[:, 1:]
            return tokens, self.encoder.config.grid, tokens
        u, _, depth, height, width = voxels.shape
        cls, tokens = self.encoder(voxels.transpose(1, 2).reshape(u * depth, 1, height, width))
        side = int(tokens.shape[1] ** 0.5)
        cls = cls.view(u, depth, -1)
        return tokens.reshape(u, depth * side * side, -1), (depth, side, side), cls

    def training_step(self, batch: VisionBatch, batch_idx: int) -> Tensor:
        """Return the sum of the losses."""
        tokens, grid, sequence = self.see(batch.voxels)
        where = torch.linspace(0, 1, sequence.shape[1], device=sequence.device)
        placed = sequence + self.place(sinusoid(where[None], 64))
        pooled = self.pool(self.mix(placed))
        answers = [h(pooled[:, i]) for i, h in enumerate(self.answer_heads)]
        loss = _answer_loss(answers, batch.answers)
        self.log("train/answers", loss, prog_bar=True)
        right = [
            (a.argmax(-1) == t)[t != IGNORE].float()
            for a, t in zip(answers, batch.answers.T, strict=True)
        ]
        self.log("train/answer_accuracy", torch.cat(right).mean(), prog_bar=True)
        if self.classes:
            loss = loss + self._finding_loss(tokens, grid, placed, batch)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def _finding_loss(
        self, tokens: Tensor, grid: tuple[int, int, int], sequence: Tensor, batch: VisionBatch
    ) -> Tensor:
        labels = batch.findings.float()[:, None]
        known = (batch.findings != UNKNOWN).flatten(1).all(1)
        cells = F.adaptive_max_pool3d(labels, grid).flatten(1).long()
        if not known.any():
            return tokens.sum() * 0.0
        weight: Any = self.class_weight
        loss = F.cross_entropy(
            self.cell_head(tokens[known]).flatten(0, 1), cells[known].flatten(), weight
        )
        self.log("train/cells", loss, prog_bar=True)
        if not self.flat:
            parts = PARTS_LOSS * self._part_loss(tokens[known], grid, labels[known])
            self.log("train/parts", parts, prog_bar=True)
            loss = loss + parts
        inside = (cells > 0) & known[:, None]
        loss = loss + 0.5 * self._local_answers(tokens, inside, batch.answers)
        if self.flat:
            slices = cells.view(len(cells), grid[0], -1).amax(-1)
            logits = self.slice_head(sequence[known]).flatten(0, 1)
            loss = loss + F.cross_entropy(logits, slices[known].flatten(), weight)
            loss = loss + 0.5 * self._local_answers(
                sequence, (slices > 0) & known[:, None], batch.answers
            )
        return loss

    def _part_loss(
        self,
        tokens: Float[Tensor, "u k d"],
        grid: tuple[int, int, int],
        labels: Float[Tensor, "u 1 D H W"],
    ) -> Float[Tensor, ""]:
        """Return the cross-entropy over the parts of all cells."""
        fine = tuple(n * parts for n, parts in zip(grid, self.parts, strict=True))
        logits = self.part_head(tokens).view(len(tokens), *grid, self.classes, *self.parts)
        logits = logits.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(len(tokens), self.classes, *fine)
        shown = F.adaptive_max_pool3d(labels, fine)[:, 0].long()
        weight: Any = self.part_weight
        return F.cross_entropy(logits, shown, weight)

    def _local_answers(self, tokens: Tensor, inside: Tensor, answers: Tensor) -> Tensor:
        found = inside.any(1)
        if not found.any():
            return tokens.sum() * 0.0
        share = inside[found].float() / inside[found].sum(1, keepdim=True)
        local = torch.einsum("uk,ukd->ud", share, tokens[found])
        return _answer_loss([h(local) for h in self.local_heads], answers[found])

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW with warm-up and a cosine over the steps of the stage."""
        return pretraining_optimizer(self, self.lr)


def pretraining_optimizer(module: LightningModule, lr: float) -> OptimizerLRScheduler:
    """Return AdamW over what trains, warmed up over a tenth of the steps, then along a cosine."""
    trained = (p for p in module.parameters() if p.requires_grad)
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=0.01, betas=(0.9, 0.98))
    steps = int(module.trainer.estimated_stepping_batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: cosine_with_warmup(step, steps, 0.1, 0.05)
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _answer_loss(logits: list[Tensor], answers: Int[Tensor, "u a"]) -> Tensor:
    """Return the mean cross-entropy over the heads that were asked."""
    losses = [
        F.cross_entropy(head, target, ignore_index=IGNORE)
        for head, target in zip(logits, answers.T, strict=True)
        if (target != IGNORE).any()
    ]
    return torch.stack(losses).mean() if losses else logits[0].sum() * 0.0
