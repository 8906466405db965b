"""How does a mask head learn to draw before any language model prompts it?

From the masks of training cases, every class named by a learned vector: the miniature of SegVol's
own pretraining, which M3D-LaMed starts from.

Letters: u studies, m masks, d width, D H W volume.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from tomovox.models.pretraining import pretraining_optimizer
from tomovox.models.segmentation import SegVolConfig, dice_loss, mask_bce


@dataclass(slots=True)
class MaskBatch:
    """Volumes and some of their masks, each with its class and the row of its volume."""

    voxels: Float[Tensor, "u 1 D H W"]
    study: Int[Tensor, "m"]
    classes: Int[Tensor, "m"]
    masks: Bool[Tensor, "m 1 D H W"]


class MaskPretraining(LightningModule):
    """Train a mask head by Dice and cross-entropy; the vectors of the classes are thrown away."""

    def __init__(self, mask_head: SegVolConfig, classes: int, lr: float = 1e-3):
        """Take the config of the head and the number of classes."""
        super().__init__()
        self.mask_head = mask_head.build()
        self.prompts = nn.Embedding(classes, mask_head.vision3d.width)
        self.lr = lr

    def training_step(self, batch: MaskBatch, batch_idx: int) -> Tensor:
        """Return the loss of the masks of a batch; each volume is embedded once."""
        logits = self.mask_head.decode(
            self.mask_head.embed_volumes(batch.voxels)[batch.study], self.prompts(batch.classes)
        )
        dice = dice_loss(logits, batch.masks)
        loss = dice + mask_bce(logits, batch.masks)
        size = len(batch.masks)
        self.log("train/dice_loss", dice, prog_bar=True, batch_size=size)
        self.log("train/loss", loss, prog_bar=True, batch_size=size)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW with warm-up and a cosine over the steps of the stage."""
        return pretraining_optimizer(self, self.lr)
