"""How sure is a mean line? Its 95 % interval over cases, at each point by itself, as a band.

Letters: m records, g points of a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from tomovox.analysis.figure_style import Look
from tomovox.analysis.rows import draws_of
from tomovox.statistics.bootstrap import interval
from tomovox.statistics.clusters import index_of

OPACITY = 0.18
"""Of a band: where two overlap, both lines can still be told."""


class Band(NamedTuple):
    """A mean line over records and its interval, which is nan where there is one case."""

    mean: Float[np.ndarray, "g"]
    lo: Float[np.ndarray, "g"]
    hi: Float[np.ndarray, "g"]


def band_of(lines: Float[np.ndarray, "m g"], cases: Sequence[str]) -> Band:
    """Return the mean over at least one record, each of which counts the same.

    The draws are those of the table's rows.
    """
    case_index, names = index_of(cases)
    mean = lines.mean(axis=0)
    if len(names) < 2:
        return Band(mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
    sums = np.zeros((len(names), lines.shape[1] + 1))
    np.add.at(sums, case_index, np.column_stack([lines, np.ones(len(lines))]))
    drawn = draws_of(len(names)).astype(float) @ sums
    ends = np.array([interval(column) for column in (drawn[:, :-1] / drawn[:, -1:]).T])
    return Band(mean, ends[:, 0], ends[:, 1])


def draw_band(
    axes: Axes, x: Float[np.ndarray, "g"], band: Band, look: Look, marker: bool = False
) -> None:
    """Draw a line and its band, with a marker at each point where asked for."""
    color, line, point = look
    axes.fill_between(x, band.lo, band.hi, color=color, alpha=OPACITY, lw=0)
    axes.plot(x, band.mean, color=color, ls=line, marker=point if marker else "")
