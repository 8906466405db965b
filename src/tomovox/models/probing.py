"""What does an answer lose when slices are hidden from the model?

Two ways, never mixed. Hidden in the percept, a slice loses its own features, and still speaks
through whatever else saw it (the 3D tokens of Med-2E3). Hidden in the input, it is gone before
anything perceives it. Letters: k sets of slices, n slices, q questions, u studies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tomovox.models.base import VolumeLM
from tomovox.models.likelihood import answer_logprobs
from tomovox.schema import Batch, Percept, Studies, TomovoxError

Where = Literal["percept", "input"]

ROWS = 128
"""Prompts that are read at a time."""


class SliceProbe:
    """The log-likelihoods of given answers about one study of one series, with slices hidden.

    `answers` are the token ids of one answer to each question of the batch. Raises TomovoxError for
    a batch of several studies or series.
    """

    def __init__(self, model: VolumeLM, batch: Batch, answers: Sequence[list[int]]):
        if len(batch.studies.voxels) != 1:
            raise TomovoxError(
                f"{batch.records[0].id}: slices are hidden from studies of one series only"
            )
        self.model, self.batch, self.answers = model, batch, answers
        with torch.no_grad():
            self.percept = model.perceive(batch.studies)

    @property
    def slices(self) -> int:
        """Number of slices n."""
        return int(self.batch.studies.voxels[0].shape[1])

    def __call__(
        self, keep: Bool[np.ndarray, "k n"], where: Where = "percept"
    ) -> Float[np.ndarray, "k q"]:
        """Return the log-likelihoods in nats, for each set of slices that the model may see."""
        kept = torch.from_numpy(keep).to(self.batch.input_ids.device)
        chunk = max(1, ROWS // len(self.answers))
        return np.concatenate([self._read(part, where) for part in kept.split(chunk)])

    @torch.no_grad()
    def _read(self, keep: Bool[Tensor, "k n"], where: Where) -> Float[np.ndarray, "k q"]:
        k, q = len(keep), len(self.answers)
        if where == "percept":
            percept = hide_in_percept(self.percept, self.model.slice_features, keep)
        else:
            percept = self.model.perceive(hide_in_input(self.batch.studies, keep))
        prompts, _ = self.model.read_percept(percept, _repeated(self.batch, k))
        found = answer_logprobs(self.model.language, prompts, [[a] for a in self.answers] * k)
        return np.array(found).reshape(k, q)


def hide_in_percept(percept: Percept, names: Sequence[str], keep: Bool[Tensor, "k n"]) -> Percept:
    """Return k copies of one study's percept; a hidden slice has the mean features of all slices.

    `names` are the features with a row per slice. Raises TomovoxError where there is none.
    """
    if not names:
        raise TomovoxError("this model keeps no features of single slices; hide them in the input")
    copies = percept.rows(torch.zeros(len(keep), dtype=torch.long, device=keep.device))
    features = dict(copies.features)
    for name in names:
        rows = features[name]
        shown = keep.view(*keep.shape, *[1] * (rows.ndim - 2))
        features[name] = torch.where(shown, rows, rows.mean(1, keepdim=True))
    return Percept(features)


def hide_in_input(studies: Studies, keep: Bool[Tensor, "k n"]) -> Studies:
    """Return k copies of a study; a hidden slice holds the mean intensity of the whole volume."""
    voxels = studies.voxels[0]
    hidden = torch.where(keep[:, None, :, None, None], voxels, voxels.mean())
    index = torch.arange(len(keep), device=voxels.device)
    many = {name: getattr(studies, name) * len(keep) for name in ("plane", "phase")}
    return Studies(list(hidden), index, **many)


def _repeated(batch: Batch, k: int) -> Batch:
    """Return the questions of one study asked again about each of k copies of it."""
    asked, q = batch.questions, len(batch.records)
    index = torch.arange(k, device=batch.input_ids.device).repeat_interleave(q)
    questions = replace(
        asked,
        text=asked.text * k,
        ids=asked.ids.repeat(k, 1),
        mask=asked.mask.repeat(k, 1),
        study=index,
    )
    return replace(
        batch,
        questions=questions,
        input_ids=batch.input_ids.repeat(k, 1),
        attention_mask=batch.attention_mask.repeat(k, 1),
        labels=None,
        records=batch.records * k,
        masks=None,
        mask_rows=None,
    )


@torch.no_grad()
def scramble(model: VolumeLM, seed: int) -> None:
    """Permute the entries of every weight of the parts that score slices, each within itself.

    A check of attributions: scores that stay the same were not learned (Adebayo et al. 2018, model
    parameter randomisation). Raises TomovoxError for a model without such parts.
    """
    if not model.scoring_parts:
        raise TomovoxError("this model has no part that scores slices")
    draws = torch.Generator().manual_seed(seed)
    for part in model.scoring_parts:
        for parameter in model.get_submodule(part).parameters():
            order = torch.randperm(parameter.numel(), generator=draws).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
