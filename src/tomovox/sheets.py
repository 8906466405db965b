"""How does any small table reach a page, a paper and a terminal? As one plain sheet of text.

A sheet knows nothing of scores: verdicts, visual reliance, cost and the like are sheets, and each
form of output prints them all in one way.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Literal, TypeVar

from tomovox.schema import Task

if TYPE_CHECKING:
    from rich.console import Console

LEFT = frozenset({"model", "control", "task", "protocol", "question type", "metric", "verdict"})
"""Heads of columns that are read as words; every other column is numbers, set to the right."""

BELOW = "  "
"""What the first cell of a row opens with that belongs to the row above, as a control does."""

WHOLE = "All tasks"
"""The heading above the sheets of the whole comparison."""

GAP = 3
"""Columns of text that a column of a table takes beside its own."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

T = TypeVar("T")


@dataclass(frozen=True)
class Sheet:
    """A table of plain text: every row has a cell for each head.

    `title` is read alone and names the task; no two sheets have one. `section` is the task it
    belongs to, empty for a sheet of the whole comparison. `told` are lines that a reader needs
    below the table. Nothing is escaped here: what prints it escapes it.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    section: str = ""
    told: tuple[str, ...] = ()

    @property
    def lefts(self) -> list[bool]:
        """Whether each column is words, set to the left; the first always is."""
        return [place == 0 or head in LEFT for place, head in enumerate(self.heads)]

    @property
    def widths(self) -> list[int]:
        """Columns of text of each column: its longest cell, or the longest word of its head."""
        columns = zip(self.heads, *self.rows, strict=True)
        return [
            max(map(len, ("", *head.split(), *map(printable, cells)))) for head, *cells in columns
        ]

    @property
    def head_lines(self) -> list[tuple[str, ...]]:
        """The heads in lines of words, none wider than its column; short ones start lower."""
        heads = [
            textwrap.wrap(printable(head), max(width, 1), break_on_hyphens=False) or [""]
            for head, width in zip(self.heads, self.widths, strict=True)
        ]
        most = max(map(len, heads))
        return list(zip(*([""] * (most - len(head)) + head for head in heads), strict=True))


def in_parts(columns: Sequence[T], count: int) -> list[Sequence[T]]:
    """Return `count` parts of about one length."""
    bounds = [len(columns) * part // count for part in range(count + 1)]
    return [columns[start:stop] for start, stop in pairwise(bounds)]


def part_title(title: str, part: int, parts: int) -> str:
    """Return the title of a part of a table: "accuracy (1 of 2)"."""
    return f"{title} ({part} of {parts})" if parts > 1 else title


def parts_of(sheet: Sheet, widest: int, tallest: int | None = None) -> list[Sheet]:
    """Return a sheet in sheets no wider than `widest` columns of text, no longer than `tallest`.

    Each has the first columns of words, and no row is parted from those below it. What is larger
    alone stands alone.
    """
    blocks = _blocks(sheet.rows, tallest or max(len(sheet.rows), 1))
    parts = [(rows, places) for rows in blocks for places in _places(sheet, widest)]
    return [
        replace(
            sheet,
            title=part_title(sheet.title, part, len(parts)),
            heads=tuple(sheet.heads[place] for place in places),
            rows=tuple(tuple(row[place] for place in places) for row in rows),
        )
        for part, (rows, places) in enumerate(parts, start=1)
    ]


def _places(sheet: Sheet, widest: int) -> list[list[int]]:
    """Return the columns of each part: as few parts as there can be, of about one length."""
    widths = [width + GAP for width in sheet.widths]
    first = list(range(sum(1 for _ in takewhile(bool, sheet.lefts))))
    rest = range(len(first), len(sheet.heads))
    parts: list[list[int]] = []
    for count in range(1, max(len(rest), 1) + 1):
        parts = [[*first, *mine] for mine in in_parts(rest, count)]
        if all(sum(widths[place] for place in places) < widest for places in parts):
            break
    return parts


def _blocks(rows: Iterable[tuple[str, ...]], tallest: int) -> list[list[tuple[str, ...]]]:
    """Return the rows in blocks that open with a row that is not below another."""
    groups: list[list[tuple[str, ...]]] = []
    for row in rows:
        if groups and row[0].startswith(BELOW):
            groups[-1].append(row)
        else:
            groups.append([row])
    blocks: list[list[tuple[str, ...]]] = [[]]
    for group in groups:
        if blocks[-1] and len(blocks[-1]) + len(group) > tallest:
            blocks.append([])
        blocks[-1] += group
    return blocks


def told_once(sheets: Iterable[Sheet], told: set[str]) -> Iterator[Sheet]:
    """Yield the sheets without the lines that `told` holds, and add theirs to it.

    On a page that is read from its top, each line is told below the first table that needs it.
    """
    for sheet in sheets:
        yield replace(sheet, told=tuple(line for line in sheet.told if line not in told))
        told.update(sheet.told)


def sections_of(tasks: Iterable[str], sheets: Sequence[Sheet]) -> dict[str, list[Sheet]]:
    """Return the sheets of each section, the whole comparison last, under WHOLE.

    A task has a section when it is one of `tasks` or has a sheet.
    """
    there = {*tasks, *(sheet.section for sheet in sheets)} - {""}
    sections = {
        task: [sheet for sheet in sheets if sheet.section == task]
        for task in in_order(there, [str(task) for task in Task])
    }
    whole = [sheet for sheet in sheets if not sheet.section]
    return sections | ({WHOLE: whole} if whole else {})


def print_sheets(sheets: Iterable[Sheet], console: Console) -> None:
    """Print sheets below each other, a wide one in parts, and each line that they tell once."""
    from rich.markup import escape
    from rich.table import Table

    parts = (part for sheet in sheets for part in parts_of(sheet, console.width))
    for sheet in told_once(parts, set()):
        table = Table()
        for head, left in zip(zip(*sheet.head_lines, strict=True), sheet.lefts, strict=True):
            justify: Literal["left", "right"] = "left" if left else "right"
            table.add_column(escape("\n".join(head)), justify=justify, overflow="fold")
        for row in sheet.rows:
            table.add_row(*(escape(printable(cell)) for cell in row))
        console.print(escape(printable(sheet.title)), style="italic", highlight=False)
        console.print(table)
        for line in sheet.told:
            console.print(escape(printable(line)), highlight=False)


def in_order(values: Iterable[str], order: Sequence[str]) -> list[str]:
    """Return each value once: those of `order` first, then others by name."""
    present = set(values)
    return [value for value in order if value in present] + sorted(present - set(order))


def printable(text: str) -> str:
    """Return text without control characters."""
    return _CONTROL.sub(" ", text)
