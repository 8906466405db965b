"""How are scores read on a page? A section per task, a table per protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tomovox.judge.cells import (
    KINDS,
    Run,
    cells_of,
    lines_of,
    metrics_in,
    runs_of,
    shown,
    span,
    trivial_of,
    where,
)
from tomovox.judge.layout import LEGEND, MARKS, cell_of
from tomovox.judge.score import ALL
from tomovox.sheets import BELOW, Sheet, in_order, printable, sections_of, told_once

if TYPE_CHECKING:
    import pandas

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$-])")


def markdown_of(
    frame: pandas.DataFrame, notes: Sequence[str] = (), sheets: Sequence[Sheet] = ()
) -> str:
    """Return the readable table: a section per task, every run a row, n in the header.

    The sheets of a task stand first in its section, those of the whole comparison in the last.
    """
    lines, runs = ["# Scores", ""], runs_of(frame)
    if "lo" in frame:
        lines += [_escaped(LEGEND), ""]
    told: set[str] = set()
    for section, its_sheets in sections_of(frame["task"], sheets).items():
        lines += [f"## {_escaped(section)}", ""]
        for sheet in told_once(its_sheets, told):
            lines += _sheet_lines(sheet)
        part = frame[frame["task"] == section]
        for protocol in in_order(part["protocol"], ["m3d", "standard"]):
            cells = part[part["protocol"] == protocol]
            for title, pairs in _groups(cells):
                heading = (
                    f"### {title}, protocol {protocol}" if title else f"### protocol {protocol}"
                )
                lines += [heading, "", *_markdown_rows(cells, runs, pairs, title), ""]
    if notes:
        lines += ["## Notes", "", *(f"- {_escaped(note)}" for note in notes), ""]
    return "\n".join(lines)


def _sheet_lines(sheet: Sheet) -> Iterator[str]:
    yield from (f"### {_escaped(sheet.title)}", "")
    yield f"| {' | '.join(map(_escaped, sheet.heads))} |"
    yield "|" + "".join("---|" if left else "---:|" for left in sheet.lefts)
    for row in sheet.rows:
        indent = "&emsp;" if row[0].startswith(BELOW) else ""
        yield f"| {indent}{' | '.join(_escaped(cell.strip()) for cell in row)} |"
    yield ""
    for line in sheet.told:
        yield from (_escaped(line), "")


def _groups(cells: pandas.DataFrame) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Yield (title, columns) of the Markdown tables; a column is (question type, metric, protocol).

    Without question types one table holds all metrics; with them each metric has a table of types.
    """
    types = in_order(cells["question_type"], KINDS)
    if types == [ALL]:
        yield "", [(ALL, *pair) for pair in metrics_in(cells)]
        return
    for metric, protocol in metrics_in(cells):
        yield metric, [(kind, metric, protocol) for kind in types]


def _markdown_rows(
    cells: pandas.DataFrame,
    runs: Mapping[Run, str],
    columns: Sequence[tuple[str, str, str]],
    title: str,
) -> Iterator[str]:
    found, heads = cells_of(cells), []
    for kind, metric, protocol in columns:
        mine = where(cells, question_type=kind, metric=metric, protocol=protocol)
        name = kind if title else metric
        told = [trivial_of(metric, protocol), span(mine["n"]) if len(mine) else ""]
        beside = ", ".join(filter(None, told))
        heads.append(_escaped(name) + (f" ({beside})" if beside else ""))
    yield "| model | " + " | ".join(heads) + " |"
    yield "|---|" + "---:|" * len(columns)
    for run, label in lines_of(runs, found, columns).items():
        row = []
        for kind, metric, protocol in columns:
            cell = found.get((run, kind, metric, protocol))
            row.append(_value(cell, metric, protocol))
        yield f"| {_escaped(label)} | " + " | ".join(row) + " |"


def _value(cell: Any, metric: str, protocol: str) -> str:
    """Return a value with its mark and interval, bold where it is the best."""
    value = _escaped(shown(cell, metric, protocol))
    printed = cell_of(cell, metric, protocol)
    if printed.best:
        value = f"**{value}**"
    interval = f" [{printed.interval}]" if printed.interval else ""
    return value + _escaped(f"{MARKS[printed.better]}{interval}")


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is, in one table cell."""
    if re.fullmatch(r"[\w.%/= -]+", text) and "__" not in text:
        return text.replace("_", r"\_")
    return _MARKDOWN.sub(r"\\\1", printable(text))
