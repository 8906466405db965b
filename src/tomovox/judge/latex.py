"""How do scores stand in a paper? Tables for LaTeX that need the package booktabs and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tomovox.judge.cells import one_line
from tomovox.judge.layout import LEGEND, Cell, Grid, grids_of

if TYPE_CHECKING:
    import pandas

WIDEST = 5
"""Columns of values side by side; a table with more goes on in a table below."""

MARKS = {True: "$^{*}$", False: r"$^{\dagger}$", None: ""}

_PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage{booktabs}
\extrafloats{100}
\setlength{\textwidth}{520pt}
\setlength{\oddsidemargin}{-36pt}
\setlength{\textheight}{650pt}
\setlength{\topmargin}{-36pt}
\begin{document}
"""

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "_": r"\_",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar\allowbreak{}",
    # A row or rule would take a bracket or star that follows it for its own argument.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "`": r"\`{}",
    '"': r"\char34{}",
    "†": r"\dag{}",
    "↓": r"$\downarrow$",
}
_PLAIN = re.compile(r"[A-Za-z0-9 .,:;=+/()!?@'À-ÏÑ-ÖØ-Ýß-ïñ-öø-ýÿ-]")
"""Characters that every engine prints as they are, with the first font that it loads."""

_TWINS = re.compile(r"([-',])(?=\1)")
"""Signs that are another one when they are doubled."""


def latex_of(
    frame: pandas.DataFrame, notes: Sequence[str] = (), facts: Mapping[str, str] | None = None
) -> str:
    r"""Return the tables of a compared long table as floats, to be \input where booktabs is loaded.

    Every table says below it how it is read, what it counts, its signatures and the `facts`, such
    as the commit, in their order. `notes` are what a reader must know of the rows; they come last.
    """
    said = [f"{name}: {fact}" for name, fact in (facts or {}).items()]
    lines = [r"% needs \usepackage{booktabs}"]
    for grid in grids_of(frame, WIDEST):
        lines += ["", *_table(grid, said)]
    if notes:
        lines += ["", *_paragraphs(notes)]
    return "\n".join(lines) + "\n"


def document_of(fragment: str) -> str:
    """Return an article that shows a fragment of latex_of, to be compiled or looked at."""
    return f"{_PREAMBLE}{fragment}\\end{{document}}\n"


def escaped(text: str) -> str:
    """Return text that LaTeX prints as it is, wherever it stands in a table.

    A character that not every engine has is printed as its code point: U+4E2D.
    """
    letters = (
        _ESCAPES.get(letter) or (letter if _PLAIN.match(letter) else f"U+{ord(letter):04X}")
        for letter in one_line(text)
    )
    return _TWINS.sub(r"\1{}", "".join(letters))


def _table(grid: Grid, said: Sequence[str]) -> Iterator[str]:
    name = re.sub(r"[^a-z0-9]+", "-", grid.title.lower()).strip("-")
    yield r"\begin{table}[htbp]"
    yield r"\centering\footnotesize\setlength{\tabcolsep}{4pt}"
    yield rf"\caption{{{escaped(grid.title)}}}\label{{tab:{name}}}"
    yield rf"\begin{{tabular}}{{l{'r' * len(grid.columns)}}}"
    yield r"\toprule"
    yield " & ".join(["model", *(escaped(column.head) for column in grid.columns)]) + r" \\"
    counts = (rf"{{\scriptsize {escaped(column.n)}}}" for column in grid.columns)
    yield " & ".join(["", *counts]) + r" \\"
    yield r"\midrule"
    for line in grid.lines:
        label = rf"\quad {escaped(line.label)}" if line.below else escaped(line.label)
        yield " & ".join([label, *map(_cell, line.cells)]) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    signatures = [f"Signatures: {'; '.join(grid.signatures)}."] if grid.signatures else []
    yield from _paragraphs([LEGEND, f"{grid.counts}.", *said, *signatures, *grid.remarks])
    yield r"\end{table}"


def _cell(cell: Cell) -> str:
    value = escaped(cell.text)
    if cell.best:
        value = rf"\textbf{{{value}}}"
    interval = rf" {{\scriptsize [{cell.interval}]}}" if cell.interval else ""
    return f"{value}{MARKS[cell.better]}{interval}"


def _paragraphs(texts: Sequence[str]) -> Iterator[str]:
    yield r"{\par\medskip\raggedright\scriptsize"
    for text in texts:
        yield rf"\noindent {escaped(text)}\par"
    yield "}"
