"""What does an answer lose as slices are hidden, or gain as they are shown, in which order?

Letters: m trials, g points of a curve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tomovox.analysis.figure_band import band_of, draw_band
from tomovox.analysis.figure_style import (
    COLOURS,
    GREY,
    LINES,
    MARKERS,
    Look,
    counts,
    legend,
    line_of,
    panels,
    plain,
    style,
)
from tomovox.analysis.hiding import CENTRE, RANDOM, SCORES, SHARES, Trial

PANEL = (1.95, 1.6)
"""Inches of one panel."""

ORDER_NAMES = {SCORES: "by score", RANDOM: "at random", CENTRE: "from the centre"}

ORDER_LOOKS = {
    order: Look(COLOURS[place], LINES[place], MARKERS[place])
    for place, order in enumerate(ORDER_NAMES)
}

Found = Mapping[str, Mapping[str, Sequence[Trial]]]
"""Model -> where slices were hidden -> what that did to each answer."""


class Curve(NamedTuple):
    """What the slices are, what that does to an answer, and how it is read from a trial."""

    slices: str
    effect: str
    of: Callable[[Trial, str], Float[np.ndarray, "_g"]]


def _lost(trial: Trial, order: str) -> Float[np.ndarray, "_g"]:
    return trial.full - trial.deletion[order]


def _gained(trial: Trial, order: str) -> Float[np.ndarray, "_g"]:
    return trial.insertion[order] - trial.insertion[order][0]


CURVES = (Curve("hidden", "Deletion: loss", _lost), Curve("shown", "Insertion: gain", _gained))
"""Deletion and insertion, whose areas are deletion_auc and insertion_auc of the table."""


def curves_figure(trials: Found) -> Figure | None:
    """Return deletion and insertion curves of log-likelihood, a row for each task and model.

    `trials` are by model, of all its seeds together, and by where slices were hidden: these places
    stand side by side. Either curve is higher for an order that finds the slices that matter.
    Curves of one task share their scale. None without trials.
    """
    wheres = list(dict.fromkeys(where for mine in trials.values() for where in mine))
    rows = _rows(trials)
    if not rows:
        return None
    columns = [(curve, where) for curve in CURVES for where in wheres]
    with style():
        figure, grid = panels(len(rows) * len(columns), len(columns), PANEL, sharex=True)
        scales: dict[tuple[str, Curve], Axes] = {}
        for axes, ((task, model), (curve, where)) in zip(grid, product(rows, columns), strict=True):
            mine = [t for t in trials[model].get(where, ()) if t.attended.task == task]
            _draw(axes, mine, curve)
            told = counts([t.attended for t in mine]) if mine else "not measured"
            axes.set_title(f"{plain(where)}: {told}", fontsize=8)
            if where == wheres[0]:
                names = [plain(model, 22), plain(task, 22), f"{curve.effect} (nats)"]
                axes.set_ylabel("\n".join(names), fontsize=8)
            if axes is not scales.setdefault((task, curve), axes):
                axes.sharey(scales[task, curve])
        for axes, (curve, _) in zip(grid[-len(columns) :], columns, strict=True):
            axes.set_xlabel(f"Share of slices {curve.slices}")
        legend(figure, {ORDER_NAMES[o]: line_of(ORDER_LOOKS[o], True) for o in ORDER_NAMES})
    return figure


def _rows(trials: Found) -> list[tuple[str, str]]:
    """Return each task and, in the order given, each model that has a trial of it."""
    found = {
        (trial.attended.task, place, model)
        for place, (model, places) in enumerate(trials.items())
        for mine in places.values()
        for trial in mine
    }
    return [(task, model) for task, _, model in sorted(found)]


def _draw(axes: Axes, trials: Sequence[Trial], curve: Curve) -> None:
    axes.axhline(0, color=GREY, lw=0.6)
    axes.set_xticks([0, 0.5, 1], labels=["0", "0.5", "1"])
    if not trials:
        return
    x = np.array(SHARES)
    for order, look in ORDER_LOOKS.items():
        # A volume of few slices has fewer points; between them its curve is straight, as its area.
        lines = np.stack([np.interp(x, t.shares, curve.of(t, order)) for t in trials])
        draw_band(axes, x, band_of(lines, [t.attended.case for t in trials]), look, marker=True)
