"""Where did each model look in one volume, what was asked, and what did it answer?

Every slice stands above its own bars: x is relative depth, of images and of scores alike.
Letters: n slices of the volume, h w height and width of one.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from tomovox.analysis.attended import Attended
from tomovox.analysis.figure_style import (
    BLACK,
    GREY,
    SKY,
    VERMILION,
    escaped,
    one_line,
    plain,
    style,
)
from tomovox.schema import TomovoxError

MOST, ONE_ROW = 32, 16
"""Slices that are shown, evenly chosen, and how many of them still stand in one row."""

PIXELS = 128
"""Longest side of an image in the figure: a larger slice is averaged down to it."""

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 10.0, 0.6, 0.15, 0.65, 0.1
LINE, BARS, GAP, WIDEST = 0.16, 0.5, 0.08, 1.1
"""Inches: the sheet and its margins; a line of text, bars, what is between them, and an image."""

LETTERS, LINES = 120, 3
"""Characters of a line of text, and how many lines a text may have before it is cut."""

Slices = Float[np.ndarray, "n h w"] | UInt8[np.ndarray, "n h w"]
Pixels = Float[np.ndarray, "h w"] | UInt8[np.ndarray, "h w"]

EMPTY = "(an empty answer)"

SCORE: dict[str, Any] = {"facecolor": SKY, "edgecolor": BLACK, "lw": 0.4}
HOLDS: dict[str, Any] = {"facecolor": VERMILION, "edgecolor": BLACK, "lw": 0.4, "hatch": "////"}
UNIFORM: dict[str, Any] = {"color": BLACK, "lw": 0.8, "ls": ":"}


class Block(NamedTuple):
    """A part of the sheet, as wide as all others: its height, and what draws it."""

    inches: float
    draw: Callable[[Axes], None]


def case_sheet(
    looked: Mapping[str, Sequence[Attended]],
    slices: Slices,
    answers: Mapping[str, Mapping[str, str]],
    references: Mapping[str, str],
) -> Figure:
    """Return a volume as a strip of slices and, below it, each question with every model's scores.

    `looked` are the records of each model about one volume, `answers` what each model said by id,
    `references` what is right by id. Intensities are 0 to 1, or 0 to 255 as uint8. All bars have
    one scale. TomovoxError for records of several volumes, or of none.
    """
    asked = {record.id: record for mine in looked.values() for record in mine}
    volumes = sorted({record.volume for record in asked.values()})
    if len(volumes) != 1:
        raise TomovoxError(
            f"case sheet: its records are of {len(volumes)} volumes ({', '.join(volumes[:2])}); "
            f"give those of one"
        )
    top = max(max(record.scores) for mine in looked.values() for record in mine)
    blocks = [_strip(slices)]
    for name, record in asked.items():
        blocks.append(_question(record, references[name]))
        for model, mine in looked.items():
            for own in (each for each in mine if each.id == name):
                blocks.append(_text([f"{one_line(model, 30)}: {answers[model][name] or EMPTY}"]))
                blocks.append(Block(BARS, partial(_draw_bars, record=own, top=top)))
    with style():
        figure = _stacked(blocks, _edge(len(slices)))
        _head(figure, next(iter(asked.values())), any(r.located for r in asked.values()))
    return figure


def _stacked(blocks: Sequence[Block], edge: float) -> Figure:
    """Return a figure of the blocks, one below the other, `edge` wider than the volume is deep."""
    height = TOP + sum(block.inches + GAP for block in blocks) + BOTTOM
    figure, used = Figure((WIDTH, height)), TOP
    for block in blocks:
        used += block.inches
        place = (LEFT, height - used, WIDTH - LEFT - RIGHT, block.inches)
        axes = figure.add_axes(tuple(np.divide(place, (WIDTH, height, WIDTH, height))))
        block.draw(axes)
        axes.set_xlim(-edge, 1 + edge)
        used += GAP
    return figure


def _head(figure: Figure, record: Attended, located: bool) -> None:
    """Write the volume's name, and below it what the marks mean."""
    height, x = figure.get_figheight(), LEFT / WIDTH
    title = " · ".join(filter(None, [record.volume, record.plane, record.phase]))
    figure.text(x, 1 - 0.12 / height, plain(title, 90), va="top", weight="bold")
    handles = {"score of a slice": Patch(**SCORE), "uniform scores": Line2D([], [], **UNIFORM)}
    if located:
        handles["score of a slice that holds the answer"] = Patch(**HOLDS)
    figure.legend(
        list(handles.values()), list(handles), loc="upper left", ncols=3, borderpad=0,
        borderaxespad=0, bbox_to_anchor=(x, 1 - 0.36 / height),
    )  # fmt: skip


def _edge(count: int) -> float:
    """Return how far the first image of `count` slices stands out of the volume, as depth."""
    shown = min(count, MOST)
    return 0.5 / shown if shown > ONE_ROW else 0.0


def _strip(slices: Slices) -> Block:
    """Return the images of evenly chosen slices, each centred at its depth, with its number.

    More than fit in a row stand in two, like bricks: an image then is two slices wide.
    """
    count, tall, wide = slices.shape
    shown = min(count, MOST)
    rows = 1 + (shown > ONE_ROW)
    depth_inches = (WIDTH - LEFT - RIGHT) / (1 + 2 * _edge(count))
    # A tall slice is narrower than its place, and white stands between any two.
    scale = 0.97 * min(rows / shown * depth_inches, WIDEST) / max(tall, wide)
    height, half = tall * scale, wide * scale / 2 / depth_inches
    chosen = ((np.arange(shown) + 0.5) * count / shown).astype(int)

    def draw(axes: Axes) -> None:
        for order, place in enumerate(chosen):
            depth, bottom = (place + 0.5) / count, (rows - 1 - order % rows) * height
            axes.imshow(
                smaller(slices[place]), cmap="gray", vmin=0, vmax=1, interpolation="none",
                extent=(depth - half, depth + half, bottom, bottom + height), aspect="auto",
                clip_on=False,
            )  # fmt: skip
            axes.text(depth, -LINE / 2, str(place), fontsize=8, ha="center", va="center")
        axes.text(-1.2 * _edge(count), -LINE / 2, "Slice ", fontsize=8, ha="right", va="center")
        axes.set_ylim(-LINE, rows * height)
        axes.set_axis_off()

    return Block(rows * height + LINE, draw)


def smaller(image: Pixels) -> Float[np.ndarray, "_a _b"]:
    """Return an image of at most PIXELS a side, in 0 to 1: the mean of squares of pixels."""
    step = -(-max(image.shape) // PIXELS)
    tall, wide = (-(-side // step) for side in image.shape)
    missing = [(0, tall * step - image.shape[0]), (0, wide * step - image.shape[1])]
    whole = np.pad(image, missing, mode="edge") / (255 if image.dtype == np.uint8 else 1)
    return whole.reshape(tall, step, wide, step).mean(axis=(1, 3))


def _question(record: Attended, reference: str) -> Block:
    kind = ", ".join(filter(None, [record.task, record.question_type]))
    lines = [f"Question ({kind}): {record.question}", f"Reference: {reference}"]
    if record.located:
        lines.append(f"Evidence: {ranges(record.evidence)}")
    return _text(lines, ruled=True)


def _text(texts: Sequence[str], ruled: bool = False) -> Block:
    """Return texts from outside, below a rule where asked for; each is cut after LINES lines."""
    lines = [
        escaped(line)
        for text in texts
        for line in textwrap.wrap(
            one_line(text, LETTERS * LINES), LETTERS, max_lines=LINES, placeholder="…"
        )
    ]
    inches = len(lines) * LINE + (GAP if ruled else 0)

    def draw(axes: Axes) -> None:
        axes.set_axis_off()
        for place, line in enumerate(lines, 1):
            y = (len(lines) - place) * LINE / inches
            axes.text(0, y, line, fontsize=8, va="bottom", transform=axes.transAxes)
        if ruled:
            axes.plot([0, 1], [1, 1], color=GREY, lw=0.6, transform=axes.transAxes)

    return Block(inches, draw)


def ranges(places: Iterable[int]) -> str:
    """Return slices as text: "slices 3–5, 9"."""
    runs: list[list[int]] = []
    for place in sorted(set(places)):
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    named = [str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs]
    return f"slice{'s' if len(named) > 1 or len(runs[0]) > 1 else ''} {', '.join(named)}"


def _draw_bars(axes: Axes, record: Attended, top: float) -> None:
    """Draw the scores of a record, on a scale up to `top`; evidence is hatched, its ground tinted.

    The ground shows where evidence is that has no score.
    """
    count = len(record.scores)
    scores, x = np.array(record.scores), (np.arange(count) + 0.5) / count
    holds = np.isin(np.arange(count), record.evidence if record.located else ())
    axes.bar(x[~holds], scores[~holds], 0.8 / count, **SCORE)
    axes.bar(x[holds], scores[holds], 0.8 / count, **HOLDS)
    axes.bar(x[holds], top * 1.05, 1 / count, color=VERMILION, alpha=0.15, zorder=0)
    axes.axhline(1 / count, **UNIFORM)
    axes.set(ylim=(0, top * 1.05), xticks=[])
    axes.set_ylabel("Score", fontsize=8)
    axes.yaxis.set_major_locator(MaxNLocator(2))
