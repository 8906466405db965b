"""Is A better than B? Their difference over the same draws, and a test that swaps them by case.

A and B are one metric of two runs over the same cases and the same records; whoever builds them
sees to that. Letters: c cases, r draws.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, Int

from tomovox.statistics.bootstrap import interval, standard_error
from tomovox.statistics.clusters import Additive, Rank, blocks

Clusters = TypeVar("Clusters", Additive, Rank)

ROUNDING = 1e-9
"""Differences that are this close, relative to A and B, are the same: sums are rounded."""


class Difference(NamedTuple):
    """A - B: `point`, the ends `lo` and `hi` of its interval, and its standard error."""

    point: float
    lo: float
    hi: float
    standard_error: float


def difference(
    a: Clusters, b: Clusters, weights: Int[np.ndarray, "r c"], level: float = 0.95
) -> Difference:
    """Return a - b with its percentile interval, clustered by case and paired by draw."""
    replicates = a.replicates(weights) - b.replicates(weights)
    point = a.point() - b.point()
    return Difference(point, *interval(replicates, level), standard_error(replicates))


def permutation_p(a: Clusters, b: Clusters, permutations: int, seed: int) -> float:
    """Return the two-sided p of "A and B answer alike", where every case swaps or stays.

    (1 + swaps that differ at least as much as a and b) / (1 + swaps), so it is never 0; 1 when a
    equals b. Swaps without a value do not count; nan when a or b has none itself.
    Source: Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010).
    """
    value_a, value_b = a.point(), b.point()
    if np.isnan(value_a) or np.isnan(value_b):
        return float("nan")
    least = abs(value_a - value_b) - ROUNDING * max(abs(value_a), abs(value_b))
    first, second = a.swapped(b, shared_swaps(a.cases, permutations, seed))
    found = np.abs(first - second)
    swaps, extreme = np.count_nonzero(~np.isnan(found)), np.count_nonzero(found >= least)
    return float((1 + extreme) / (1 + swaps))


@lru_cache(maxsize=4)
def shared_swaps(cases: int, permutations: int, seed: int) -> Bool[np.ndarray, "r c"]:
    """Return which cases each permutation swaps, made once and read-only.

    All tests over as many cases share them, a byte a case and permutation.
    """
    swaps = np.empty((permutations, cases), dtype=bool)
    generator = np.random.default_rng(seed)
    for rows in blocks(permutations, cases):
        swaps[rows] = generator.random((rows.stop - rows.start, cases)) < 0.5
    swaps.flags.writeable = False
    return swaps
