"""Which figures does an analysis have, and how are they written? Vectors, the same bytes again."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from tomovox.analysis.attended import Attended
from tomovox.analysis.figure_curves import Found, curves_figure
from tomovox.analysis.figure_depth import depth_figure
from tomovox.analysis.figure_statistics import localisation_figure, type_figure
from tomovox.analysis.figure_style import style
from tomovox.files import write_atomically

if TYPE_CHECKING:
    import pandas

FORMATS: Mapping[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Format -> the metadata that is left out, because it differs from call to call."""


def attention_figures(
    frame: pandas.DataFrame, records: Mapping[str, Sequence[Attended]], trials: Found
) -> dict[str, Figure]:
    """Return the figures by name: depth, localisation, type_shift and curves.

    `frame` is the table of all runs; `records` and `trials` are by model, all its seeds together. A
    figure with nothing to show is left out.
    """
    made = {
        "depth": depth_figure(records),
        "localisation": localisation_figure(frame),
        "type_shift": type_figure(frame),
        "curves": curves_figure(trials),
    }
    return {name: figure for name, figure in made.items() if figure is not None}


def write_figures(folder: Path, figures: Mapping[str, Figure]) -> list[Path]:
    """Write folder/NAME.svg and NAME.pdf of each figure; equal figures give equal bytes."""
    written = []
    for name, figure in figures.items():
        for form, metadata in FORMATS.items():
            stream = BytesIO()
            with style(), warnings.catch_warnings():
                # A question may hold any letter: the SVG keeps it for a reader whose fonts have it.
                warnings.filterwarnings("ignore", message="Glyph .* missing from font")
                figure.savefig(stream, format=form, metadata=metadata)
            written.append(folder / f"{name}.{form}")
            write_atomically(written[-1], stream.getvalue())
    return written
