"""How do scores stand in a paper? Tables for LaTeX that need the package booktabs and no other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from tomovox.judge.layout import LEGEND, Cell, Grid, grids_of
from tomovox.sheets import BELOW, Sheet, parts_of, printable, sections_of

if TYPE_CHECKING:
    import pandas

WIDEST = 5
"""Columns of values side by side; a table with more goes on in a table below."""

WIDEST_SHEET, TALLEST_SHEET = 120, 45
"""Columns of text and rows that a page holds; a sheet with more goes on in a table below."""

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
    frame: pandas.DataFrame,
    notes: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
    sheets: Sequence[Sheet] = (),
) -> str:
    r"""Return the tables of a compared long table as floats, to be \input where booktabs is loaded.

    Every table says below it how it is read, what it counts, its signatures and the `facts`, such
    as the commit, in their order. The `sheets` of a task stand before its tables, those of the
    whole comparison after all. `notes` are what a reader must know of the rows; they come last.
    """
    said = [f"{name}: {fact}" for name, fact in (facts or {}).items()]
    lines = [r"% needs \usepackage{booktabs}"]
    grids = {task: list(its) for task, its in groupby(grids_of(frame, WIDEST), lambda g: g.task)}
    for section, its_sheets in sections_of(frame["task"], sheets).items():
        for sheet in its_sheets:
            for part in parts_of(sheet, WIDEST_SHEET, TALLEST_SHEET):
                lines += ["", *_sheet(part, said)]
        for grid in grids.get(section, ()):
            lines += ["", *_grid(grid, said)]
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
        for letter in printable(text)
    )
    return _TWINS.sub(r"\1{}", "".join(letters))


def _grid(grid: Grid, said: Sequence[str]) -> Iterator[str]:
    heads = [escaped(column.head) for column in grid.columns]
    counts = [rf"{{\scriptsize {escaped(column.n)}}}" for column in grid.columns]
    rows = ([_first(line.label, line.below), *map(_cell, line.cells)] for line in grid.lines)
    signatures = [f"Signatures: {'; '.join(grid.signatures)}."] if grid.signatures else []
    told = [LEGEND, f"{grid.counts}.", *said, *signatures, *grid.remarks]
    specification = f"l{'r' * len(grid.columns)}"
    yield from _table(grid.title, specification, [["model", *heads], ["", *counts]], rows, told)


def _sheet(sheet: Sheet, said: Sequence[str]) -> Iterator[str]:
    heads = (map(escaped, line) for line in sheet.head_lines)
    rows = (
        [_first(row[0], row[0].startswith(BELOW)), *map(escaped, row[1:])] for row in sheet.rows
    )
    specification = "".join("l" if left else "r" for left in sheet.lefts)
    yield from _table(sheet.title, specification, heads, rows, [*sheet.told, *said])


def _table(
    title: str,
    specification: str,
    heads: Iterable[Iterable[str]],
    rows: Iterable[Iterable[str]],
    told: Sequence[str],
) -> Iterator[str]:
    """Yield a float with lines below it; heads and rows are in LaTeX, all else is plain."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    yield r"\begin{table}[htbp]"
    yield r"\centering\footnotesize\setlength{\tabcolsep}{4pt}"
    yield rf"\caption{{{escaped(title)}}}\label{{tab:{name}}}"
    yield rf"\begin{{tabular}}{{{specification}}}"
    yield r"\toprule"
    yield from (" & ".join(line) + r" \\" for line in heads)
    yield r"\midrule"
    yield from (" & ".join(row) + r" \\" for row in rows)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield from _paragraphs(told)
    yield r"\end{table}"


def _first(label: str, below: bool) -> str:
    return rf"\quad {escaped(label.strip())}" if below else escaped(label)


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
