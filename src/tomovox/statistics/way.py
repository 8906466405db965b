"""How far is a value on its way from a floor to a ceiling, and how sure is that?

Letters: r draws, c cases.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from tomovox.statistics.bootstrap import interval
from tomovox.statistics.clusters import Additive, Rank


class Way(NamedTuple):
    """A share of a way: 0 at the floor, 1 at the ceiling; `lo` and `hi` end its interval."""

    point: float
    lo: float
    hi: float


def way_between(
    floor: Additive | Rank,
    ceiling: Additive | Rank,
    value: Additive | Rank,
    weights: Int[np.ndarray, "r c"],
    least: float,
    level: float = 0.95,
) -> Way | None:
    """Return (value - floor) / (ceiling - floor) with its percentile interval, paired by draw.

    All three are one metric over the same cases and records. None unless the interval of ceiling -
    floor lies at or above `least`, in the unit of the metric: a share of nothing is none. Draws in
    which the ceiling is not above the floor do not count.
    """
    low = floor.replicates(weights)
    gap = ceiling.replicates(weights) - low
    if not interval(gap, level)[0] >= least:  # nan is not above it either
        return None
    gone = np.full(len(gap), np.nan)
    np.divide(value.replicates(weights) - low, gap, out=gone, where=gap > 0)
    point = (value.point() - floor.point()) / (ceiling.point() - floor.point())
    return Way(point, *interval(gone, level))
