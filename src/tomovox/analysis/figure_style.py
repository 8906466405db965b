"""How does every figure look, so that paper, screen, grey print and any eye read the same?

A figure is drawn within `style()`, from matplotlib's own defaults: a user's settings change
nothing. Models differ by colour and by line and marker, so that none rests on colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tomovox.analysis.attended import Attended
from tomovox.schema import QUESTION_TYPES

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GREY, PALE = "#E69F00", "#56B4E9", "#000000", "#6E6E6E", "#D9D9D9"
"""Source: Okabe and Ito, Color Universal Design (2008); the greys are our own."""

COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

SETTINGS: Mapping[Any, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 9.0,
    "legend.frameon": False,
    "figure.labelsize": 9.0,
    "figure.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.0,
    "hatch.linewidth": 0.5,
    "image.composite_image": False,
    # Text stays text in both formats; equal figures are equal bytes.
    "svg.fonttype": "none",
    "svg.hashsalt": "tomovox",
    "pdf.fonttype": 42,
}

LEAST = (4.8, 3.0)
"""Inches of the smallest figure: labels and legend take no less beside a single panel."""


class Look(NamedTuple):
    """How one model is drawn wherever it stands in a figure."""

    color: str
    linestyle: Any
    marker: str


@contextmanager
def style() -> Iterator[None]:
    """Draw with the settings of this project, and leave those of the caller as they were."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def looks(models: Iterable[str]) -> dict[str, Look]:
    """Return how each model is drawn; the first 28 differ."""
    return {
        model: Look(COLOURS[i % 7], LINES[(i % 7 + i // 7) % 4], MARKERS[i % 7])
        for i, model in enumerate(dict.fromkeys(models))
    }


def plain(text: str, longest: int = 40) -> str:
    """Return text from outside as it can stand in a figure: one line of so many characters."""
    return escaped(one_line(text, longest))


def one_line(text: str, longest: int) -> str:
    """Return at most so many characters of a text, and a space for all that cannot be printed."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def escaped(line: str) -> str:
    """Return a line whose dollar signs matplotlib shows, where it would read a formula."""
    return line.replace("$", r"\$")


def kinds_in_order(kinds: Iterable[str]) -> list[str]:
    """Return question types in the order of M3D-VQA, then the others by name."""
    known = list(QUESTION_TYPES.values())
    place = {kind: known.index(kind) if kind in known else len(known) for kind in kinds}
    return sorted(place, key=lambda kind: (place[kind], kind))


def counts(records: Sequence[Attended]) -> str:
    """Return how many records and cases there are; models and seeds answer the same ones."""
    names, cases = ({getattr(record, key) for record in records} for key in ("id", "case"))
    return f"n = {len(names)}, {len(cases)} case{'' if len(cases) == 1 else 's'}"


def panels(
    count: int, columns: int, size: tuple[float, float], **shared: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` axes in rows of `columns`, each of a size in inches.

    Axes that share an axis keep their tick labels: the last row may be short.
    """
    columns = min(count, columns)
    rows = ceil(count / columns)
    wide, tall = columns * size[0] + 0.6, rows * size[1] + 0.8
    figure = Figure((max(wide, LEAST[0]), max(tall, LEAST[1])), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **shared)
    for spare in grid.flat[count:]:
        spare.remove()
    for axes in grid.flat[max(0, count - columns) : count]:
        axes.tick_params(labelbottom=True)
    return figure, list(grid.flat[:count])


def legend(figure: Figure, handles: Mapping[str, Artist]) -> None:
    """Put one legend above all panels, in columns that fit: name -> what is drawn so."""
    lengths, columns = [len(name) for name in handles], len(handles)
    # A column is as wide as its longest name; about 0.07 inches a letter, 0.7 beside the name.
    while columns > 1 and figure.get_figwidth() < sum(
        0.7 + 0.07 * part.max() for part in np.array_split(lengths, columns)
    ):
        columns -= 1
    figure.legend(
        list(handles.values()), list(handles), loc="outside upper center", ncols=columns,
        handlelength=2.6,
    )  # fmt: skip


def line_of(look: Look, marker: bool = False) -> Line2D:
    """Return what stands for a model in a legend."""
    return Line2D([], [], color=look.color, ls=look.linestyle, marker=look.marker if marker else "")
