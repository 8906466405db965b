"""What interval has a number? Cases are drawn with replacement, as many as there are.

Letters: c cases, r replicates.
Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), sections 6 and 13.3.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float, Int

from tomovox.statistics.clusters import blocks


def draws(cases: int, replicates: int, seed: int) -> Int[np.ndarray, "r c"]:
    """Return how often each of at least one case is in each replicate; every row sums to c.

    Metrics over the same cases share the draws, so that their differences are paired.
    """
    generator = np.random.default_rng(seed)
    small = cases <= np.iinfo(np.int16).max
    weights = np.empty((replicates, cases), dtype=np.int16 if small else np.int32)
    for rows in blocks(replicates, cases):
        height = rows.stop - rows.start
        drawn = generator.integers(cases, size=(height, cases))
        drawn += cases * np.arange(height)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=height * cases)
        weights[rows] = counts.reshape(height, cases)
    return weights


@cache
def shared_draws(cases: int, replicates: int, seed: int) -> Int[np.ndarray, "r c"]:
    """Return `draws`, made once and read-only: all numbers over as many cases share them."""
    weights = draws(cases, replicates, seed)
    weights.flags.writeable = False
    return weights


def interval(values: Float[np.ndarray, "r"], level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of replicates; those that are nan do not count.

    Both ends are nan when none counts.
    """
    counted = values[~np.isnan(values)]
    if not len(counted):
        return float("nan"), float("nan")
    low, high = np.quantile(counted, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def standard_error(values: Float[np.ndarray, "r"]) -> float:
    """Return the standard deviation of replicates; nan when fewer than two are not nan."""
    counted = values[~np.isnan(values)]
    return float(counted.std(ddof=1)) if len(counted) > 1 else float("nan")
