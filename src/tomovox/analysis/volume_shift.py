"""What moves the scores: another question about the same volume, or the same about another one?

Letters: m records, g bins of depth, q pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from tomovox.analysis.attended import Attended, in_order, stacks
from tomovox.analysis.depth import on_grid
from tomovox.analysis.divergence import (
    jensen_shannon,
    pair_mean,
    partners,
    record_means,
)
from tomovox.analysis.rows import SEED, Row, part, parts, row
from tomovox.statistics.clusters import mean_of

OTHER_QUESTION, OTHER_VOLUME = "other_question", "other_volume"
"""The statistics: divergence when only the question changes, and when only the volume does."""

CHOICES = " Choices: "
"""Stands between a closed question and its choices."""


def shift_rows(records: Iterable[Attended]) -> list[Row]:
    """Return both divergences of each task, question type, plane and phase, in bits (0 to 1).

    `other_question` is the mean, over records, of the divergence from other questions of the task
    about the same volume, of any type. `other_volume` is that from the same question about volumes
    of other cases of the group; a closed question is the same, word for word, but for its choices,
    which are drawn for each volume. Records that have no such other do not count.
    """
    ordered = in_order(records)
    grid = on_grid(stacks(ordered))
    return [*_other_question(ordered, grid), *_other_volume(ordered, grid)]


def _other_question(records: Sequence[Attended], grid: Float[np.ndarray, "m g"]) -> Iterator[Row]:
    left, right = same_volume(records)
    values = record_means(jensen_shannon(grid[left], grid[right]), left, right, len(records))
    for found in parts(records):
        counted = found.places[~np.isnan(values[found.places])]
        if len(counted):
            mine = part(records, found.group, counted)
            mean = mean_of(values[counted], mine.case_index, mine.cases)
            yield row(OTHER_QUESTION, mine, mean)


def _other_volume(records: Sequence[Attended], grid: Float[np.ndarray, "m g"]) -> Iterator[Row]:
    keys = [(record.task, record.question_type, _stem(record)) for record in records]
    case_index = np.unique([record.case for record in records], return_inverse=True)[1]
    left, right = partners(keys, case_index, SEED)
    values = jensen_shannon(grid[left], grid[right])
    for found in parts(records):
        inside = np.isin(left, found.places) & np.isin(right, found.places)
        counted = np.union1d(left[inside], right[inside])
        if len(counted):
            mine = part(records, found.group, counted)
            a, b = (np.searchsorted(counted, each[inside]) for each in (left, right))
            mean = pair_mean(values[inside], a, b, mine.case_index, mine.cases)
            yield row(OTHER_VOLUME, mine, mean)


def _stem(record: Attended) -> str:
    """Return a question without the choices that it lists."""
    return record.question.partition(CHOICES)[0]


def same_volume(
    records: Sequence[Attended],
) -> tuple[Int[np.ndarray, "q"], Int[np.ndarray, "q"]]:
    """Return all pairs of records of one task and volume whose questions differ, each pair once."""
    keys = [(record.task, record.volume) for record in records]
    names = {key: place for place, key in enumerate(sorted(set(keys)))}
    volume_index = np.array([names[key] for key in keys], dtype=np.intp)
    question_index = np.unique([record.question for record in records], return_inverse=True)[1]
    order = np.argsort(volume_index, kind="stable")
    most = int(np.bincount(volume_index).max(initial=1))
    pairs = [(order[:-shift], order[shift:]) for shift in range(1, most)]
    left = np.concatenate([a for a, _ in pairs] or [order[:0]])
    right = np.concatenate([b for _, b in pairs] or [order[:0]])
    together = volume_index[left] == volume_index[right]
    together &= question_index[left] != question_index[right]
    return left[together], right[together]
