"""How do rows of the table look: what scores find, and how far apart question types are?

Both figures take the table of all models, as it is made or as it is read from attention.csv.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from tomovox.analysis.claims import SIGNIFICANT
from tomovox.analysis.figure_style import (
    BLACK,
    PALE,
    Look,
    kinds_in_order,
    legend,
    looks,
    panels,
    plain,
    style,
)
from tomovox.analysis.rows import ALL
from tomovox.analysis.type_shift import JOINED, STATISTIC

if TYPE_CHECKING:
    import pandas

AXES: Mapping[str, str] = {
    "evidence_mass": "Evidence mass\n(share of the scores)",
    "pointing_hit": "Pointing hit\n(share of the records)",
    "evidence_rank": "Evidence rank\n(AUROC, 0.5 by chance)",
}
"""Statistic of localisation -> what its axis says."""

BASELINE_MARKERS = {
    **{"uniform": "|", "gaussian": "x", "random": "+", "area": "d", "other_question": "s"}
}
BASELINE: dict[str, Any] = {"color": BLACK, "ls": "", "ms": 6, "mew": 1.0, "mfc": "none"}

LANE, WIDTH = 0.17, 2.2
"""Inches: the height of one dot's lane, and the width of a panel beside its names."""

CELL, LEAST, COLUMNS = 0.5, 1.5, 3
"""Inches of a cell and of the smallest heatmap, and how many stand side by side at most."""


def localisation_figure(frame: pandas.DataFrame) -> Figure | None:
    """Return how well scores find the evidence, a dot with its 95 % interval for each run.

    By task and question type; each has a lane below its dots for what the baselines score on the
    same records. Seeds of a model look alike and stand in their order. None where the table has no
    such row.
    """
    rows = _rows(frame, list(AXES))
    if rows.empty:
        return None
    runs = _runs(rows)
    groups = _groups(rows)
    look = looks(model for model, _ in runs)
    height = LANE * (len(runs) + 1) * len(groups)
    with style():
        figure, grid = panels(len(AXES), len(AXES), (WIDTH, height + 0.5), sharey=True)
        for axes, (statistic, label) in zip(grid, AXES.items(), strict=True):
            mine = rows[rows["statistic"] == statistic]
            for place, (task, kind) in enumerate(groups):
                if place % 2:
                    start = place * (len(runs) + 1) - 0.5
                    axes.axhspan(start, start + len(runs) + 1, color=PALE, alpha=0.4, lw=0)
                group = mine[(mine["task"] == task) & (mine["question_type"] == kind)]
                _draw_group(axes, group, place * (len(runs) + 1), runs, look)
            # From 0, so that lengths compare; what lies at 0 is drawn whole.
            high = axes.get_xlim()[1]
            axes.set(xlabel=label, xlim=(-0.04 * high, high))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.tick_params(axis="y", length=0)
        _name_groups(grid[0], groups, len(runs) + 1)
        handles = {plain(model): _dot(each) for model, each in look.items()}
        for name, marker in BASELINE_MARKERS.items():
            if (rows["against"] == name).any():
                handles[name] = Line2D([], [], marker=marker, **BASELINE)
        legend(figure, handles)
    return figure


def type_figure(frame: pandas.DataFrame) -> Figure | None:
    """Return the divergence between each two question types, a heatmap for each run and task.

    A star marks what permuted types would hardly reach. None where the table has no such row.
    """
    rows = _rows(frame, [STATISTIC])
    rows = rows[rows["question_type"] != ALL]
    if rows.empty:
        return None
    rows = rows.assign(seed=rows["seed"].astype(float))
    maps = list(rows.groupby(["task", "model", "seed"], dropna=False))
    sides = [len(_kinds_of(group["question_type"])) - 1 for _, group in maps]
    side = max(LEAST, CELL * max(sides))
    runs = len(_runs(rows))
    norm = Normalize(0, float(rows["value"].max()) * 1000)
    with style():
        figure, grid = panels(len(maps), min(runs, COLUMNS), (side + 1.0, side + 0.9))
        for axes, ((task, model, seed), group) in zip(grid, maps, strict=True):
            image = _draw_divergences(axes, group, norm)
            named = plain(model, 18) + (f", seed {seed:g}" if seed == seed else "")
            axes.set_title(f"{named}\n{plain(task, 24)}")
        figure.colorbar(
            image, ax=grid, label="Jensen-Shannon divergence (10⁻³ bits)", aspect=40, shrink=0.8
        )
        figure.supxlabel(f"* adjusted p < {SIGNIFICANT:g}, types permuted within each volume")
    return figure


def _rows(frame: pandas.DataFrame, statistics: Sequence[str]) -> pandas.DataFrame:
    """Return the rows of these statistics over all planes and phases."""
    chosen = frame["statistic"].isin(statistics)
    for name in ("plane", "phase"):
        # "" is read from a file as nan.
        chosen &= frame[name].isna() | (frame[name] == "")
    return frame[chosen]


def _runs(rows: pandas.DataFrame) -> list[tuple[str, int]]:
    """Return each model and seed, in order; a run without a seed has -1."""
    seeds = rows["seed"].fillna(-1).astype(int)
    return sorted(set(zip(rows["model"], seeds, strict=True)))


def _groups(rows: pandas.DataFrame) -> list[tuple[str, str]]:
    """Return each task and its question types, all of them first."""
    found = set(zip(rows["task"], rows["question_type"], strict=True))
    return [
        (task, kind)
        for task in sorted({task for task, _ in found})
        for kind in [ALL, *kinds_in_order(k for t, k in found if t == task and k != ALL)]
    ]


def _draw_group(
    axes: Axes,
    rows: pandas.DataFrame,
    top: int,
    runs: Sequence[tuple[str, int]],
    look: Mapping[str, Look],
) -> None:
    """Draw one task and question type: a lane for each run from `top` down, then the baselines."""
    for lane, (model, seed) in enumerate(runs):
        mine = rows[(rows["model"] == model) & (rows["seed"].fillna(-1) == seed)]
        if mine.empty:
            continue
        one, each = mine.iloc[0], look[model]
        axes.plot([one["lo"], one["hi"]], [top + lane] * 2, color=each.color)
        axes.plot(one["value"], top + lane, color=each.color, marker=each.marker)
    for name, marker in BASELINE_MARKERS.items():
        # Runs with the same records have the same baselines: they are drawn once.
        values = rows.loc[rows["against"] == name, "baseline"].round(6).unique()
        lanes = np.full(len(values), top + len(runs))
        axes.plot(values, lanes, marker=marker, **BASELINE)


def _name_groups(axes: Axes, groups: Sequence[tuple[str, str]], lanes: int) -> None:
    names = [f"{plain(task, 16)}: {plain(kind, 16)}" for task, kind in groups]
    tops = np.arange(len(groups)) * lanes
    axes.set_yticks(tops + (lanes - 1) / 2, labels=names)
    axes.set_ylim(len(groups) * lanes - 0.5, -0.5)


def _dot(look: Look) -> Line2D:
    return Line2D([], [], color=look.color, marker=look.marker)


def _kinds_of(pairs: Iterable[str]) -> list[str]:
    return kinds_in_order(kind for pair in pairs for kind in pair.split(JOINED))


def _draw_divergences(axes: Axes, rows: pandas.DataFrame, norm: Normalize) -> AxesImage:
    """Draw the triangle below the diagonal: the divergence of each pair, once."""
    kinds = _kinds_of(rows["question_type"])
    cells = np.full((len(kinds) - 1, len(kinds) - 1), np.nan)
    for _, row in rows.iterrows():
        column, line = sorted(kinds.index(kind) for kind in row["question_type"].split(JOINED))
        value = row["value"] * 1000
        cells[line - 1, column] = value
        dark = norm(value) < 0.5
        star = "*" if row["p_adjusted"] < SIGNIFICANT else ""
        axes.text(
            column, line - 1, f"{value:.2g}{star}", ha="center", va="center", fontsize=8,
            color="white" if dark else BLACK,
        )  # fmt: skip
    image = axes.imshow(cells, cmap="cividis", norm=norm)
    names, places = [plain(kind, 16) for kind in kinds], range(len(kinds) - 1)
    axes.set_xticks(places, labels=names[:-1], rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, labels=names[1:])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image
