"""Where along a volume does each model look, by type of question, and where does evidence lie?

Letters: m records, g bins of depth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from tomovox.analysis.attended import Attended, shares, stacks
from tomovox.analysis.depth import GRID, on_grid
from tomovox.analysis.figure_band import band_of, draw_band
from tomovox.analysis.figure_style import (
    GREY,
    PALE,
    Look,
    counts,
    kinds_in_order,
    legend,
    line_of,
    looks,
    panels,
    plain,
    style,
)

COLUMNS, PANEL = 5, (1.75, 1.5)
"""Panels side by side, as many as M3D-VQA has question types, and the inches of one."""

CENTRES = (np.arange(GRID) + 0.5) / GRID


def depth_figure(records: Mapping[str, Sequence[Attended]]) -> Figure | None:
    """Return the mean distribution over relative depth, a panel for each task and question type.

    `records` are those of each model, of all its seeds together. Densities: the area is 1, and
    uniform scores are 1 everywhere. Grey is where the evidence lies, of the records that have it on
    some slices. None without records.
    """
    groups = _groups(records)
    if not groups:
        return None
    look = looks(records)
    with style():
        figure, grid = panels(len(groups), COLUMNS, PANEL, sharex=True, sharey=True)
        for axes, ((task, kind), mine) in zip(grid, groups.items(), strict=True):
            _draw(axes, mine, look)
            shown = [record for each in mine.values() for record in each]
            head = plain(f"{task}: {kind}" if kind else task, 24)
            axes.set_title(f"{head}\n{counts(shown)}")
        grid[0].set(xlim=(0, 1), ylim=(0, None), xticks=[0, 0.5, 1])
        grid[0].xaxis.set_major_formatter("{x:g}")
        figure.supxlabel("Relative depth (start of the volume 0, end 1)")
        figure.supylabel("Density of scores (uniform is 1)")
        handles: dict[str, Artist] = {plain(model): line_of(each) for model, each in look.items()}
        handles["uniform"] = Line2D([], [], color=GREY, lw=0.8, ls=":")
        if any(record.located for mine in records.values() for record in mine):
            handles["evidence"] = Patch(facecolor=PALE, edgecolor=GREY, lw=0.6)
        legend(figure, handles)
    return figure


def _groups(
    records: Mapping[str, Sequence[Attended]],
) -> dict[tuple[str, str], dict[str, list[Attended]]]:
    """Return the records by task and question type, and by model."""
    found: dict[tuple[str, str], dict[str, list[Attended]]] = {}
    for model, mine in records.items():
        for record in mine:
            group = found.setdefault((record.task, record.question_type), {})
            group.setdefault(model, []).append(record)
    return {
        (task, kind): found[task, kind]
        for task in sorted({task for task, _ in found})
        for kind in kinds_in_order(kind for each, kind in found if each == task)
    }


def _draw(axes: Axes, records: Mapping[str, Sequence[Attended]], look: Mapping[str, Look]) -> None:
    # What is asked of several models, or seeds, has its evidence once.
    located = {r.id: r for mine in records.values() for r in mine if r.located}
    if located:
        density = _evidence(list(located.values()))
        axes.fill_between(CENTRES, density, facecolor=PALE, edgecolor=GREY, lw=0.6, zorder=0)
    axes.axhline(1, color=GREY, lw=0.8, ls=":")
    for model, mine in records.items():
        lines = on_grid(stacks(mine)) * GRID
        draw_band(axes, CENTRES, band_of(lines, [record.case for record in mine]), look[model])


def _evidence(located: Sequence[Attended]) -> Float[np.ndarray, "_g"]:
    """Return the mean density of evidence; that of each record is spread over its slices."""
    found = [s._replace(scores=shares(s.evidence.astype(float))) for s in stacks(located)]
    return on_grid(found).mean(axis=0) * GRID
