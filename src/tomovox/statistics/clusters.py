"""What is a metric of cases that were drawn again? All draws at once, from sums or sorted records.

The unit is the case (patient): all its series and questions are drawn, or swapped, together.
Letters: n records, c cases, k sums of a case, r draws (or swaps) of cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

Pairs = tuple[Float[np.ndarray, "r"], Float[np.ndarray, "r"]]
"""A metric of two runs, swap by swap."""

CELLS = 1 << 22
"""How many weights are worked on at a time: 32 MiB as floats."""


def index_of(cases: Sequence[str]) -> tuple[Int[np.ndarray, "n"], list[str]]:
    """Return the place of each record's case among the sorted names, and these names.

    Sorted, because draws go by place: the order of the records then changes no number.
    """
    names = sorted(set(cases))
    places = {name: place for place, name in enumerate(names)}
    return np.array([places[case] for case in cases], dtype=np.intp), names


@dataclass(frozen=True, eq=False)
class Additive:
    """A metric of what cases add up to: a mean, a mean of means, BLEU of a corpus.

    `sums` holds per case the sum of a vector over its records; a case without records has zeros.
    `value` makes the metric of each row of sums over cases, nan where there is none.
    """

    sums: Float[np.ndarray, "c k"]
    value: Callable[[Float[np.ndarray, "r k"]], Float[np.ndarray, "r"]]

    @property
    def cases(self) -> int:
        """How many cases there are to draw from."""
        return len(self.sums)

    def point(self) -> float:
        """Return the metric of every case once."""
        return float(self.value(self.sums.sum(axis=0, keepdims=True))[0])

    def replicates(self, weights: Int[np.ndarray, "r c"]) -> Float[np.ndarray, "r"]:
        """Return the metric of each draw; `weights` says how often a case is in it."""
        totals = np.empty((len(weights), self.sums.shape[1]))
        for rows in blocks(*weights.shape):
            totals[rows] = weights[rows].astype(float) @ self.sums
        return self.value(totals)

    def swapped(self, other: Additive, swaps: Bool[np.ndarray, "r c"]) -> Pairs:
        """Return the metric of both when the cases that a row names have changed places."""
        change = other.sums - self.sums
        moved = np.empty((len(swaps), change.shape[1]))
        for rows in blocks(*swaps.shape):
            moved[rows] = swaps[rows].astype(float) @ change
        mine, theirs = self.sums.sum(axis=0), other.sums.sum(axis=0)
        return self.value(mine + moved), self.value(theirs - moved)


@dataclass(frozen=True, eq=False)
class Rank:
    """The median of records, which is no sum; of an even number the mean of the middle two."""

    values: Float[np.ndarray, "n"]
    case_index: Int[np.ndarray, "n"]
    cases: int

    def point(self) -> float:
        """Return the median of all records; nan without records."""
        return float(np.median(self.values)) if len(self.values) else float("nan")

    def replicates(self, weights: Int[np.ndarray, "r c"]) -> Float[np.ndarray, "r"]:
        """Return the median of each draw; `weights` says how often a case is in it."""
        medians = np.full(len(weights), np.nan)
        if not len(self.values):
            return medians
        order = np.argsort(self.values)
        values, case_of = self.values[order], self.case_index[order]
        for rows in blocks(len(weights), len(values)):
            medians[rows] = _medians(values, weights[rows].take(case_of, axis=1))
        return medians

    def swapped(self, other: Rank, swaps: Bool[np.ndarray, "r c"]) -> Pairs:
        """Return the metric of both when the cases that a row names have changed places."""
        both = Rank(
            np.concatenate([self.values, other.values]),
            np.concatenate([self.case_index, other.case_index + self.cases]),
            self.cases + other.cases,
        )
        first = np.concatenate([~swaps, swaps], axis=1).astype(np.int8)
        return both.replicates(first), both.replicates(1 - first)


def pooled(
    rows: Float[np.ndarray, "n k"],
    case_index: Int[np.ndarray, "n"],
    cases: int,
    value: Callable[[Float[np.ndarray, "r k"]], Float[np.ndarray, "r"]],
) -> Additive:
    """Return the metric that `value` makes of the sum of all records' `rows`."""
    columns = [_sums(column, case_index, cases) for column in rows.T]
    return Additive(np.stack(columns, axis=1), value)


def mean_of(
    values: Float[np.ndarray, "n"], case_index: Int[np.ndarray, "n"], cases: int
) -> Additive:
    """Return the mean of records: a record counts as much as any other."""
    return macro_of(values, case_index, np.zeros_like(case_index), cases, kinds=1)


def macro_of(
    values: Float[np.ndarray, "n"],
    case_index: Int[np.ndarray, "n"],
    kind_index: Int[np.ndarray, "n"],
    cases: int,
    kinds: int,
) -> Additive:
    """Return the unweighted mean of the means of `kinds` question types.

    A type of which a draw holds no record is left out of the mean of this draw.
    """
    cell, cells = case_index * kinds + kind_index, cases * kinds
    counts = np.bincount(cell, minlength=cells).astype(float)
    parts = [part.reshape(cases, kinds) for part in (_sums(values, cell, cells), counts)]
    return Additive(np.concatenate(parts, axis=1), _mean_of_means)


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Yield slices that cover `rows` in order, each of about CELLS cells of `width` to the row."""
    step = max(1, CELLS // max(1, width))
    for start, stop in pairwise([*range(0, rows, step), rows]):
        yield slice(start, stop)


def _sums(
    values: Float[np.ndarray, "n"], cell: Int[np.ndarray, "n"], cells: int
) -> Float[np.ndarray, "m"]:
    """Return the sum of the values of each cell, to the last bit in whatever order they come."""
    order = np.lexsort((values, cell))
    sums = np.bincount(cell[order], values[order], minlength=cells)
    return sums.astype(float)  # without any value they are integers


def _mean_of_means(totals: Float[np.ndarray, "r k"]) -> Float[np.ndarray, "r"]:
    """Return the mean of the quotients of the columns: k/2 sums, then their k/2 counts."""
    sums, counts = np.split(totals, 2, axis=1)
    present = counts > 0
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=present)
    kinds = present.sum(axis=1)
    return np.divide(means.sum(axis=1), kinds, out=np.full(len(totals), np.nan), where=kinds > 0)


def _medians(
    values: Float[np.ndarray, "n"], weights: Int[np.ndarray, "r n"]
) -> Float[np.ndarray, "r"]:
    """Return the median of each row, in which the sorted `values` stand `weights` times."""
    n = len(values)
    # One running sum through all rows stays sorted, so one search finds the middles of all.
    ends = np.cumsum(weights, dtype=np.int64)
    total = np.diff(ends[n - 1 :: n], prepend=0)
    before = ends[n - 1 :: n] - total
    middles = before + np.stack([(total + 1) // 2, total // 2 + 1])
    places = np.searchsorted(ends, middles) - n * np.arange(len(weights))
    # A row without records finds its middles in other rows, hence the clip; it has no median.
    medians = values[places.clip(0, n - 1)].sum(axis=0) / 2
    return np.where(total > 0, medians, np.nan)
