"""Where do the visual tokens go? They replace the one placeholder of each row.

What questions about a volume have in common then stands first: the words up to the placeholder and
the visual tokens that no question changes.

Letters: b rows, t text tokens, v visual tokens, h language-model width; the result has t - 1 + v
positions.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tomovox.schema import IGNORE, Batch, VisualTokens

WORTHWHILE = 32
"""Positions that must be spared: to read some costs one more pass over the weights."""


@dataclass
class Spliced:
    """What the language model reads. `positions` count seen tokens, so padding shifts nothing."""

    embeds: Float[Tensor, "b l h"]
    mask: Bool[Tensor, "b l"]
    labels: Int[Tensor, "b l"] | None

    @property
    def positions(self) -> Int[Tensor, "b l"]:
        """Index of each token among the seen tokens of its row; 0 at leading padding."""
        return (self.mask.long().cumsum(-1) - 1).clamp(min=0)


@dataclass
class Opening:
    """The first `length` positions of rows, the same in all rows of a study.

    They begin at `start`, after the padding on the left, in no row before `first`.
    """

    length: int
    first: int
    start: Int[Tensor, "b"]
    study: Int[Tensor, "b"]


@dataclass
class Common:
    """How many leading ids all prompts of a batch share, and how often they repeat in it.

    `place` counts those before the placeholder of the first prompt. `first` is where the longest
    prompt begins: a part of the batch is laid out as the whole is.
    """

    ids: int
    repeats: int
    place: int
    first: int

    @classmethod
    def of(cls, batch: Batch, placeholder: int) -> "Common":
        """Return what left-padded prompts share; each keeps one id at least for itself."""
        start = _starts(batch.attention_mask)
        most = batch.input_ids.shape[1] - 1 - int(start.max())
        ids = batch.input_ids.gather(1, start[:, None] + torch.arange(most, device=start.device))
        same = int((ids == ids[:1]).all(0).long().cumprod(0).sum())
        repeats = len(start) - len(batch.questions.study.unique())
        holders = (batch.input_ids[0] == placeholder).long()
        return cls(same, repeats, int(holders.argmax() - start[0]), int(start.min()))

    def opening(self, batch: Batch, visual: VisualTokens) -> Opening | None:
        """Return what questions of the batch open with once spliced; None if too little to share.

        It ends before the first visual token that depends on the question.
        """
        length = self.ids
        if self.ids > self.place:
            after = 0 if visual.own is not None else self.ids - self.place - 1
            length = self.place + visual.shared.shape[1] + after
        if length * self.repeats < WORTHWHILE:
            return None
        start = _starts(batch.attention_mask)
        return Opening(length, self.first, start, batch.questions.study)


def _starts(mask: Bool[Tensor, "b t"]) -> Int[Tensor, "b"]:
    return mask.long().argmax(-1)


def lay_out(
    visual: VisualTokens, study: Int[Tensor, "b"]
) -> tuple[Float[Tensor, "b v h"], Bool[Tensor, "b v"]]:
    """Return [shared[study]; own] of every question, with its mask."""
    parts = [visual.shared[study]]
    masks = [_mask_or_ones(visual.shared_mask, visual.shared)[study]]
    if visual.own is not None:
        parts.append(visual.own)
        masks.append(_mask_or_ones(visual.own_mask, visual.own))
    return torch.cat(parts, dim=1), torch.cat(masks, dim=1)


def splice(
    embeds: Float[Tensor, "b t h"],
    mask: Bool[Tensor, "b t"],
    labels: Int[Tensor, "b t"] | None,
    placeholder: Int[Tensor, "b"],
    visual: Float[Tensor, "b v h"],
    visual_mask: Bool[Tensor, "b v"],
) -> Spliced:
    """Put each row's visual vectors in place of index `placeholder`; labels there are IGNORE."""
    b, t, _ = embeds.shape
    v = visual.shape[1]
    index = torch.arange(t - 1 + v, device=embeds.device).expand(b, -1)
    start = placeholder[:, None]
    inside = (index >= start) & (index < start + v)
    # One gather from [text; visual]: text before the placeholder, visual inside, text shifted
    # by v - 1 after it.
    source = torch.where(index < start, index, index - v + 1)
    source = torch.where(inside, t + index - start, source)
    joined = torch.cat([embeds, visual.to(embeds.dtype)], dim=1)
    spliced = joined.gather(1, source[..., None].expand(-1, -1, joined.shape[-1]))
    seen = torch.cat([mask, visual_mask], dim=1).gather(1, source)
    if labels is None:
        return Spliced(spliced, seen, None)
    silent = labels.new_full((b, v), IGNORE)
    return Spliced(spliced, seen, torch.cat([labels, silent], dim=1).gather(1, source))


def _mask_or_ones(mask: Bool[Tensor, "r k"] | None, tokens: Float[Tensor, "r k h"]) -> Tensor:
    if mask is not None:
        return mask
    return torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
