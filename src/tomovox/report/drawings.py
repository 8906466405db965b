"""Which drawings of a folder does a page show, in which order, and what do they say?"""

from __future__ import annotations

from pathlib import Path

from tomovox.report.content import Figure
from tomovox.schema import TomovoxError

CAPTIONS = {
    "depth": "Where the models look: mean weight of the slices along the volume.",
    "type_shift": "Whether the question moves the weights: how far question types lie apart.",
    "localisation": "Whether the weights find the slices that hold the answer.",
    "curves": "Whether the weights matter: answers as slices are hidden, or shown, by weight.",
}
"""File stem -> what a drawing of `tomovox attention` shows, in the order of a page."""

CASE = "case-"
"""How the stems of drawings of single volumes begin."""


def figures_in(folder: Path) -> list[Figure]:
    """Return the drawings of a folder with their captions: known ones, others, single volumes.

    Raises TomovoxError for a file that is no text.
    """
    stems = {path.stem: path for path in sorted(folder.glob("*.svg"))}
    known = [stem for stem in CAPTIONS if stem in stems]
    others = [stem for stem in stems if stem not in CAPTIONS]
    others.sort(key=lambda stem: stem.startswith(CASE))
    return [Figure(_caption(stem), _text(stems[stem])) for stem in known + others]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TomovoxError(f"{path}: cannot be read ({error}); draw it again") from None


def _caption(stem: str) -> str:
    if stem.startswith(CASE):
        return f"Where the models look in one volume: {stem.removeprefix(CASE)}."
    return CAPTIONS.get(stem, stem)
