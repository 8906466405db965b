"""What are the scores of a table of attention, and which predictions do they come from?

capture.json lies beside attention.csv: a page of both shows only what belongs together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tomovox.files import write_atomically
from tomovox.parsed import is_count, is_number, json_of
from tomovox.schema import TomovoxError

CAPTURE = "capture.json"


@dataclass(frozen=True, slots=True)
class Capture:
    """How the slice scores of one row came about; `model` and `seed` are those of the table.

    `scored` says what the numbers are and `layer` where they are read. `scoring` and `temperature`
    are Med-2E3's, "" and None of other systems; `depth_bins` is how many depths its pooled 3D
    tokens tell apart among the most `slices` of a volume. `predictions` is the SHA-256 of
    predictions.jsonl. Of the `records` looked at, `located` have local evidence and `known` any;
    `several` are left out, because they are about studies of several series. `commit` is that of
    the program, "" where it runs from no checkout.
    """

    model: str
    seed: int | None
    system: str
    scored: str
    layer: str
    scoring: str
    temperature: float | None
    depth_bins: int | None
    slices: int
    predictions: str
    records: int
    known: int
    located: int
    several: int
    commit: str


def write_captures(captures: Sequence[Capture], folder: Path) -> Path:
    """Write folder/capture.json, a list in the order of the rows, and return its path."""
    path = folder / CAPTURE
    write_atomically(path, json.dumps([asdict(each) for each in captures], indent=1) + "\n")
    return path


def read_captures(folder: Path) -> list[Capture]:
    """Return what a folder's capture.json holds; nothing without the file.

    Raises TomovoxError for one that is none of this version.
    """
    path = folder / CAPTURE
    if not path.is_file():
        return []
    try:
        rows = json_of(path.read_bytes())
        known = {field.name for field in fields(Capture)}
        if any(row.keys() != known or not _fits(row) for row in rows):
            raise ValueError("other keys or values")
    except (OSError, ValueError, AttributeError, TypeError):
        raise TomovoxError(
            f"{path}: not what this version writes; run tomovox attention again"
        ) from None
    return [Capture(**row) for row in rows]


def _fits(row: dict[str, Any]) -> bool:
    """Return whether the values of a row are of the types that Capture says."""
    counts = {"slices", "records", "known", "located", "several"}
    absent = {"seed", "depth_bins", "temperature"}
    return all(
        (value is None and key in absent)
        or (is_number(value) and key == "temperature")
        or (is_count(value) and key in counts | {"seed", "depth_bins"})
        or (isinstance(value, str) and key not in counts | absent)
        for key, value in row.items()
    )


def told_of(captures: Iterable[Capture]) -> tuple[str, ...]:
    """Return what a reader of the sheets must know of the scores, each line once."""
    lines = []
    for mine in captures:
        lines.append(_scored(mine))
        if mine.depth_bins is not None:
            lines.append(
                f"{mine.model}: TG-IS sees only {mine.depth_bins} distinct depth bins of the "
                f"pooled 3D tokens over {mine.slices} slices (published: 4 over 32); within a bin "
                f"only 2D tokens tell slices apart."
            )
        if mine.several:
            lines.append(
                f"{mine.model}: {mine.several} answers about studies of several series are left "
                f"out; where a slice lies is known within one series only."
            )
        if not mine.known:
            lines.append(
                f"{mine.model}: none of {mine.records} records has evidence (a row of "
                f"evidence.csv, or a mask), so nothing is said of finding it."
            )
    return tuple(dict.fromkeys(lines))


def _scored(mine: Capture) -> str:
    settings = [f"scoring {mine.scoring}"] if mine.scoring else []
    settings += [] if mine.temperature is None else [f"temperature {mine.temperature:g}"]
    beside = f" ({', '.join(settings)})" if settings else ""
    return f"{mine.model}: scores are {mine.scored}{beside}, read at {mine.layer}."
