"""How does any model of this suite draw? Its state that says [SEG] prompts the mask head.

Letters: u studies, b questions, m targets, l positions, h language-model width, d width of the mask
head, D H W volume.
Source: M3D (Bai et al. 2024), M3D-LaMed: segmentation, loss and generation as released.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tomovox.models.decoding import Spoken
from tomovox.models.segmentation import SegVol, dice_loss, mask_bce, mask_prompts
from tomovox.models.splice import Spliced
from tomovox.schema import Batch, Studies, TomovoxError


def mask_loss(
    head: SegVol,
    projector: nn.Module,
    batch: Batch,
    spliced: Spliced,
    hidden: Float[Tensor, "b l h"],
    seg: int | None,
) -> Float[Tensor, ""]:
    """Return Dice plus binary cross-entropy over the targets that are not empty.

    Zero, with a gradient of zeros, when the batch has none. Raises TomovoxError when an answer with
    such a target does not say [SEG]: then nothing prompts its mask.
    """
    if batch.masks is None or batch.mask_rows is None or spliced.labels is None:
        return _nothing(head, projector, hidden)
    if seg is None:
        raise TomovoxError("the tokenizer has no [SEG], which prompts a mask: name one that has it")
    shown = batch.masks.flatten(1).any(1)
    if not bool(shown.any()):
        return _nothing(head, projector, hidden)
    rows = batch.mask_rows[shown]
    prompts, says = mask_prompts(hidden, spliced.labels, seg)
    if not bool(says[rows].all()):
        silent = batch.records[int(rows[~says[rows]][0])].id
        raise TomovoxError(
            f"record {silent}: has a mask, but its answer holds no [SEG] within max_length; raise "
            f"max_length of the template"
        )
    logits = _decode(head, projector(prompts[rows]), batch, rows)
    return dice_loss(logits, batch.masks[shown]) + mask_bce(logits, batch.masks[shown])


@torch.no_grad()
def draw(
    head: SegVol, projector: nn.Module, batch: Batch, spoken: Spoken
) -> Float[Tensor, "m 1 D H W"] | None:
    """Return mask logits of the questions that have a target; -inf where no [SEG] was said.

    None when no question of the batch has one. Every mask is drawn alone, so that its digits do not
    hang on the others, and then waits in main memory: the device holds the work of one.
    """
    if batch.masks is None or batch.mask_rows is None:
        return None
    logits = torch.full(batch.masks.shape, -torch.inf)
    dtype = next(projector.parameters()).dtype
    draws, asks = spoken.draws[batch.mask_rows], batch.questions.study[batch.mask_rows]
    for study in asks[draws].unique():
        embedding = _embedded(head, batch, study[None])
        for mask in (draws & (asks == study)).nonzero().flatten().tolist():
            prompt = spoken.prompt[batch.mask_rows[mask]][None].to(dtype)
            logits[mask] = head.decode(embedding, projector(prompt))[0]
    return logits


def _decode(head: SegVol, prompts: Tensor, batch: Batch, rows: Tensor) -> Tensor:
    """Embed each study that is asked about once, then decode all prompts."""
    asked, place = batch.questions.study[rows].unique(return_inverse=True)
    return head.decode(_embedded(head, batch, asked)[place], prompts)


def _embedded(head: SegVol, batch: Batch, asked: Tensor) -> Tensor:
    """Return the image embeddings of the studies `asked`, sorted by row."""
    series = torch.isin(batch.studies.study, asked)
    voxels = [v for v, kept in zip(batch.studies.voxels, series.tolist(), strict=True) if kept]
    return head.embed(Studies(voxels, torch.arange(len(voxels), device=asked.device)))


def _nothing(head: SegVol, projector: nn.Module, hidden: Tensor) -> Tensor:
    """Return zero that depends on every trained weight, so that ranks wait for none of them."""
    parts = [p.sum() for part in (head, projector) for p in part.parameters() if p.requires_grad]
    return 0.0 * torch.stack(parts).sum() if parts else hidden.new_zeros(())
