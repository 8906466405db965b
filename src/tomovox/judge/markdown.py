"""How are scores read on a page? A section per task, a table per protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tomovox.judge.cells import (
    KINDS,
    Run,
    cells_of,
    in_order,
    metrics_in,
    one_line,
    runs_of,
    shown,
    span,
    where,
)
from tomovox.judge.score import ALL
from tomovox.judge.verdicts import HEADS, HOW_COMPARED, seed_lines, title_of, verdict_rows
from tomovox.schema import Task

if TYPE_CHECKING:
    import pandas

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$-])")


def markdown_of(
    frame: pandas.DataFrame, notes: Sequence[str] = (), reference: str | None = None
) -> str:
    """Return the readable table: a section per task, every run a row, n in the header.

    With a `reference`, the verdicts of a compared frame stand first.
    """
    lines, runs = ["# Scores", ""], runs_of(frame)
    if reference is not None:
        lines += ["## Verdicts", "", HOW_COMPARED, "", *_verdict_lines(frame, reference)]
    for task in in_order(frame["task"], [str(task) for task in Task]):
        lines += [f"## {task}", ""]
        part = frame[frame["task"] == task]
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


def _verdict_lines(frame: pandas.DataFrame, reference: str) -> Iterator[str]:
    for task in in_order(frame["task"], [str(task) for task in Task]):
        if rows := verdict_rows(frame, task, reference):
            yield from (f"### {_escaped(title_of(frame, task, reference))}", "")
            yield from (f"| {' | '.join(HEADS)} |", "|---|" + "---:|" * (len(HEADS) - 1))
            yield from (f"| {' | '.join(map(_escaped, row))} |" for row in rows)
            yield ""
    if lines := seed_lines(frame):
        yield from (*(f"- {_escaped(line)}" for line in lines), "")


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
        heads.append(_escaped(name) + (f" ({span(mine['n'])})" if len(mine) else ""))
    yield "| model | " + " | ".join(heads) + " |"
    yield "|---|" + "---:|" * len(columns)
    for run, label in runs.items():
        row = []
        for kind, metric, protocol in columns:
            cell = found.get((run, kind, metric, protocol))
            row.append(_escaped(shown(cell, metric, protocol)))
        yield f"| {_escaped(label)} | " + " | ".join(row) + " |"


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is, in one table cell."""
    if re.fullmatch(r"[\w.%/= -]+", text) and "__" not in text:
        return text.replace("_", r"\_")
    return _MARKDOWN.sub(r"\\\1", one_line(text))
