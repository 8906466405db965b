"""What does an answer lose when slices are hidden from the model?

Two ways, never mixed. Hidden in the percept, a slice loses its own features, and still speaks
through whatever else saw it (the 3D tokens of Med-2E3). Hidden in the input, it is gone before
anything perceives it. Either way the model scores slices anew: its weights for what is left, and
for the filling of what is not, are those of a volume that looks like this, not the first ones with
some struck out. Letters: k sets of slices, n slices, q questions, r rows (a question about a set),
u studies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tomovox.models.base import VolumeLM
from tomovox.models.likelihood import answer_logprobs
from tomovox.models.splice import Spliced
from tomovox.schema import Batch, Percept, Questions, Studies, TomovoxError

Where = Literal["percept", "input"]

FILLING: Mapping[Where, str] = {
    "percept": "mean features of the shown slices, 0 when none is shown",
    "input": "mean intensity of the whole volume",
}
"""Way of hiding -> what a hidden slice holds instead."""

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
        self,
        keep: Bool[np.ndarray, "k n"],
        where: Where = "percept",
        wanted: Bool[np.ndarray, "k q"] | None = None,
    ) -> Float[np.ndarray, "k q"]:
        """Return the log-likelihoods in nats, for each set of slices that the model may see.

        Only those that are `wanted` are read, by default all; the others are nan. Raises
        TomovoxError for sets of another number of slices than the model would see.
        """
        if where == "input" and keep.shape[1] != self.slices:
            raise TomovoxError(
                f"{self.batch.records[0].id}: the model scored {keep.shape[1]} of {self.slices} "
                f"slices; hide them in the percept"
            )
        found = np.full((len(keep), len(self.answers)), np.nan)
        if wanted is None:
            wanted = np.ones_like(found, dtype=bool)
        for sets in _chunks(wanted.sum(axis=1), ROWS):
            found[sets][wanted[sets]] = self._read(keep[sets], where, wanted[sets])
        return found

    @torch.no_grad()
    def _read(
        self, keep: Bool[np.ndarray, "k n"], where: Where, wanted: Bool[np.ndarray, "k q"]
    ) -> Float[np.ndarray, "r"]:
        device = self.batch.input_ids.device
        shown = torch.from_numpy(keep).to(device)
        if where == "percept":
            percept = hide_in_percept(self.percept, self.model.slice_features, shown)
        else:
            percept = self.model.perceive(hide_in_input(self.batch.studies, shown))
        copies, asked = (torch.from_numpy(place).to(device) for place in np.nonzero(wanted))
        prompts, _ = self.model.read_percept(percept, _asked(self.batch, copies, asked))
        found = np.empty(len(asked))
        # Prompts and answers of one task are about as long: together they need little padding.
        tasks = np.array([record.task for record in self.batch.records])[asked.cpu()]
        for task in np.unique(tasks):
            rows = np.flatnonzero(tasks == task)
            answers = [[self.answers[place]] for place in asked[rows].tolist()]
            mine = self.model.language.prefill(_without_padding(prompts, rows))
            found[rows] = np.ravel(answer_logprobs(self.model.language, mine, answers))
        return found


def _chunks(counts: Int[np.ndarray, "k"], most: int) -> Iterator[slice]:
    """Yield slices over sets in order, each asking for up to `most` answers, or of one set."""
    start = total = 0
    for place, count in enumerate(counts.tolist()):
        if place > start and total + count > most:
            yield slice(start, place)
            start, total = place, 0
        total += count
    if total:
        yield slice(start, len(counts))


def _without_padding(prompts: Spliced, rows: Int[np.ndarray, "r"]) -> Spliced:
    """Return some rows of prompts, without the padding on the left that all of these have."""
    mask = prompts.mask[rows]
    first = int(mask.any(0).long().argmax())
    return Spliced(prompts.embeds[rows, first:], mask[:, first:], None)


def hide_in_percept(percept: Percept, names: Sequence[str], keep: Bool[Tensor, "k n"]) -> Percept:
    """Return k copies of one study's percept; a hidden slice has the mean features of the shown.

    So a hidden slice tells nothing that no shown slice tells; zeros where none is shown. `names`
    are the features with a row per slice. Raises TomovoxError where there is none.
    """
    if not names:
        raise TomovoxError("this model keeps no features of single slices; hide them in the input")
    copies = percept.rows(torch.zeros(len(keep), dtype=torch.long, device=keep.device))
    features = dict(copies.features)
    counts = keep.sum(1, keepdim=True).clamp(min=1)
    for name in names:
        rows = features[name]
        shown = keep.view(*keep.shape, *[1] * (rows.ndim - 2))
        mean = torch.einsum("kn,n...->k...", (keep / counts).to(rows), percept.features[name][0])
        features[name] = torch.where(shown, rows, mean.unsqueeze(1))
    return Percept(features)


def hide_in_input(studies: Studies, keep: Bool[Tensor, "k n"]) -> Studies:
    """Return k copies of a study; a hidden slice holds the mean intensity of the whole volume."""
    voxels = studies.voxels[0]
    hidden = torch.where(keep[:, None, :, None, None], voxels, voxels.mean())
    index = torch.arange(len(keep), device=voxels.device)
    many = {name: getattr(studies, name) * len(keep) for name in ("plane", "phase", "kernel")}
    return Studies(list(hidden), index, **many)


def _asked(batch: Batch, copies: Int[Tensor, "r"], asked: Int[Tensor, "r"]) -> Batch:
    """Return the questions `asked` of one study, each about one of the copies of it."""
    questions, places = batch.questions, asked.tolist()
    return replace(
        batch,
        questions=Questions(
            text=[questions.text[place] for place in places],
            ids=questions.ids[asked],
            mask=questions.mask[asked],
            study=copies,
        ),
        input_ids=batch.input_ids[asked],
        attention_mask=batch.attention_mask[asked],
        labels=None,
        records=[batch.records[place] for place in places],
        masks=None,
        mask_rows=None,
    )


@contextmanager
def scrambled(model: VolumeLM, seed: int) -> Iterator[None]:
    """Permute the entries of every weight of the parts that score slices, each within itself.

    On leaving, the weights are what they were. A check of attributions: scores that stay the same
    were not learned (Adebayo et al. 2018, model parameter randomisation). Raises TomovoxError for a
    model without such parts.
    """
    if not model.scoring_parts:
        raise TomovoxError("this model has no part that scores slices")
    draws = torch.Generator().manual_seed(seed)
    parts = [model.get_submodule(part) for part in model.scoring_parts]
    weights = [parameter for part in parts for parameter in part.parameters()]
    before = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight, old in zip(weights, before, strict=True):
            order = torch.randperm(weight.numel(), generator=draws).to(weight.device)
            weight.copy_(old.flatten()[order].view_as(weight))
        try:
            yield
        finally:
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)
