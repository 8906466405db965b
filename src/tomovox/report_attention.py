"""What does a page show of where models looked? Only what was found in the answers it shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tomovox.analysis.capture import Capture, read_captures, told_of
from tomovox.analysis.summary import attention_sheets
from tomovox.analysis.table import COLUMNS
from tomovox.report.content import Figure
from tomovox.report.drawings import figures_in
from tomovox.schema import TomovoxError
from tomovox.sheets import Sheet

ATTENTION = "attention.csv"
WORDS = ("model", "statistic", "task", "question_type", "plane", "phase", "hidden", "against")
WHOLE = ("seed", "n", "cases")
"""The table of `tomovox attention`, its columns that are no numbers, and those of whole ones."""

SHORT = 12
"""Digits of a digest that are shown."""


@dataclass(frozen=True)
class Attention:
    """What a page has of `tomovox attention`; `notes` say why it has nothing."""

    sheets: list[Sheet] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def attention_in(folder: Path, digests: Collection[str]) -> Attention:
    """Return what `tomovox attention` found in predictions with these digests.

    Figures show all of its rows together: where one is of other predictions, nothing is shown. So
    it is where a file is of another version.
    """
    if not (folder / ATTENTION).is_file():
        return Attention()
    try:
        captures = read_captures(folder)
        _check(captures, folder, digests)
        return Attention([capture_sheet(captures), *sheets_in(folder)], figures_in(folder))
    except TomovoxError as error:
        return Attention(notes=[f"Attention is left out: {error}"])


def _check(captures: Sequence[Capture], folder: Path, digests: Collection[str]) -> None:
    others = [_name(each) for each in captures if each.predictions not in digests]
    if others or not captures:
        whose = f"other predictions of {', '.join(others)}" if others else "unknown predictions"
        raise TomovoxError(f"{folder}: it is of {whose}; run tomovox attention again")


def capture_sheet(captures: Sequence[Capture]) -> Sheet:
    """Return how the scores of each row came about; what they are stands below in words."""
    return Sheet(
        title="Slice scores: what they are",
        heads=(
            *("model", "system", "scoring", "temperature", "depth bins", "slices"),
            *("records", "with evidence", "local", "several series", "predictions", "commit"),
        ),
        rows=tuple(
            (
                *(_name(each), each.system, each.scoring or "n/a"),
                *map(_number, (each.temperature, each.depth_bins, each.slices)),
                *map(_number, (each.records, each.known, each.located, each.several)),
                *(each.predictions[:SHORT], each.commit or "unknown"),
            )
            for each in captures
        ),
        told=told_of(captures),
    )


def _name(capture: Capture) -> str:
    return capture.model if capture.seed is None else f"{capture.model} (seed {capture.seed})"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:g}"


def sheets_in(folder: Path) -> list[Sheet]:
    """Return what a folder's attention.csv comes to.

    Raises TomovoxError for a table that is none of this version.
    """
    import pandas

    path = folder / ATTENTION
    numbers = {name: [""] for name in COLUMNS if name not in WORDS}
    types: dict[str, Any] = dict.fromkeys(numbers, float) | dict.fromkeys(WORDS, str)
    types |= dict.fromkeys(WHOLE, "Int64")
    try:
        frame = pandas.read_csv(path, dtype=types, na_values=numbers, keep_default_na=False)
    except (OSError, ValueError, TypeError) as error:
        raise _stale(path, str(error)) from None
    if list(frame.columns) != list(COLUMNS):
        raise _stale(path, "it has other columns")
    return attention_sheets(frame)


def _stale(path: Path, why: str) -> TomovoxError:
    why = " ".join(why.split())
    return TomovoxError(f"{path}: no table of this version ({why}); run tomovox attention again")
