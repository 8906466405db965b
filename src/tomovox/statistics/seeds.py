"""How much of a number is chance of the cases, and how much is chance of the training seed?"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, sqrt
from statistics import stdev
from typing import NamedTuple


class Spread(NamedTuple):
    """Standard deviations from other cases and from other seeds."""

    sample_sd: float
    seed_sd: float


def spread(values: Sequence[float], standard_errors: Sequence[float]) -> Spread:
    """Return both spreads of one metric over two or more seeds: its values and standard errors.

    They stand apart, since all seeds answer the same cases: more seeds make the value of these
    cases surer, and no number of seeds makes up for few cases. The variances of the seeds are
    averaged; the variance between seeds divides by their number less one. Raises StatisticsError
    for one seed, which tells nothing of others.
    """
    variance = fsum(error**2 for error in standard_errors) / len(standard_errors)
    return Spread(sqrt(variance), stdev(values))
