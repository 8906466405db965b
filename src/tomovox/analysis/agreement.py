"""Do models that differ by the training seed only look at the same slices?

Letters: s seeds, m records, g bins of depth, q pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from tomovox.analysis.attended import Attended, in_order, stacks
from tomovox.analysis.depth import on_grid
from tomovox.analysis.divergence import (
    degrees,
    jensen_shannon,
    pair_mean,
    partners,
    record_means,
)
from tomovox.analysis.rows import SEED, SWAPS, Part, Row, parts, row
from tomovox.schema import TomovoxError
from tomovox.statistics.clusters import mean_of
from tomovox.statistics.paired import permutation_p

OTHER_CASE = "other_case"
"""Baseline: the other seed's scores of other cases' records of the same task and type."""


def ranks(rows: Float[np.ndarray, "m g"]) -> Float[np.ndarray, "m g"]:
    """Return ranks about their mean, ties shared, of unit length; 0 for a row that is all one."""
    from scipy.stats import rankdata

    about = rankdata(rows, axis=1) - (rows.shape[1] + 1) / 2
    norm = np.sqrt((about**2).sum(axis=1, keepdims=True))
    return np.divide(about, norm, out=np.zeros_like(about), where=norm > 0)


def spearman(a: Float[np.ndarray, "q g"], b: Float[np.ndarray, "q g"]) -> Float[np.ndarray, "q"]:
    """Return the rank correlation of each two rows; a row that ranks nothing has 0 with any."""
    return _products(ranks(a), ranks(b))


def _products(a: Float[np.ndarray, "q g"], b: Float[np.ndarray, "q g"]) -> Float[np.ndarray, "q"]:
    return np.einsum("qg,qg->q", a, b)


class Agreement(NamedTuple):
    """How seeds are compared: what is made of each row once, then of each two of these."""

    prepared: Callable[[Float[np.ndarray, "m g"]], Float[np.ndarray, "m g"]]
    likeness: Callable[[Float[np.ndarray, "q g"], Float[np.ndarray, "q g"]], Float[np.ndarray, "q"]]


AGREEMENT: Mapping[str, Agreement] = {
    "seed_divergence": Agreement(np.asarray, jensen_shannon),
    "seed_correlation": Agreement(ranks, _products),
}
"""Name in column `statistic` -> how it compares two seeds' scores on the grid of depth."""


def agreement_rows(seeds: Mapping[int, Iterable[Attended]]) -> list[Row]:
    """Return how alike the seeds of one model look at the same record, mean over pairs of seeds.

    Against `other_case`: what pairs of records of one task and type, but of different cases, have
    in common anyway. No rows for one seed. TomovoxError when seeds answered different records.
    """
    if len(seeds) < 2:
        return []
    runs = {seed: in_order(records) for seed, records in sorted(seeds.items())}
    records = _same_records(runs)
    grids = [on_grid(stacks(run)) for run in runs.values()]
    keys = [(record.task, record.question_type) for record in records]
    case_index = np.unique([record.case for record in records], return_inverse=True)[1]
    left, right = partners(keys, case_index, SEED)
    found = []
    for name, (prepared, likeness) in AGREEMENT.items():
        two = list(combinations([prepared(grid) for grid in grids], 2))
        own = np.mean([likeness(a, b) for a, b in two], axis=0)
        crossed = [likeness(a[left], b[right]) + likeness(b[left], a[right]) for a, b in two]
        others = np.mean(crossed, axis=0) / 2
        for group in parts(records):
            found.append(_row(name, records, group, own, others, left, right))
    return found


def _row(
    statistic: str,
    records: Sequence[Attended],
    found: Part,
    own: Float[np.ndarray, "m"],
    others: Float[np.ndarray, "q"],
    left: Int[np.ndarray, "q"],
    right: Int[np.ndarray, "q"],
) -> Row:
    """Return the row of a group, beside the baseline where all records have a partner in it."""
    mean = mean_of(own[found.places], found.case_index, found.cases)
    inside = np.isin(left, found.places) & np.isin(right, found.places)
    if (degrees(left[inside], right[inside], len(records))[found.places] == 0).any():
        return row(statistic, found, mean)
    a, b = (np.searchsorted(found.places, each[inside]) for each in (left, right))
    base = pair_mean(others[inside], a, b, found.case_index, found.cases)
    by_record = record_means(others[inside], a, b, len(found.places))
    swapped = mean_of(by_record, found.case_index, found.cases)
    p = permutation_p(mean, swapped, SWAPS, SEED)
    return row(statistic, found, mean, OTHER_CASE, base, p)


def _same_records(runs: Mapping[int, Sequence[Attended]]) -> Sequence[Attended]:
    """Return the records of the first seed; TomovoxError unless all seeds have them."""
    (first, records), *others = runs.items()
    for seed, run in others:
        strange = {record.id for record in records} ^ {record.id for record in run}
        if strange:
            raise TomovoxError(
                f"seeds {first} and {seed} answered different records ({min(strange)} stands in "
                f"one only); predict both on the same data"
            )
    return records
