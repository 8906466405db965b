"""How do the models compare at a glance? The long table, its Markdown, and the one of the terminal.

No table here mixes two protocols in a column, and a metric that could not run says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomovox.files import write_atomically
from tomovox.judge.cells import (
    KINDS,
    Run,
    cells_of,
    headlines_in,
    lines_of,
    runs_of,
    shown,
    span,
    trivial_of,
    unit_of,
    where,
)
from tomovox.judge.layout import MARKS, cell_of
from tomovox.judge.markdown import markdown_of
from tomovox.judge.score import ALL, Row
from tomovox.schema import NONE, Task, TomovoxError
from tomovox.sheets import Sheet, in_order, part_title, printable

if TYPE_CHECKING:
    import pandas
    from rich.console import Console

COLUMNS = (
    "task",
    "question_type",
    "metric",
    "protocol",
    "model",
    "seed",
    "control",
    "value",
    "n",
    "signature",
    "note",
)
READ = "* better, † worse than the reference (a control: than its model); bold: than every other"
"""How marks are read in the terminal, where no interval has room."""

WIDEST = 110
"""Columns of text that a table of the terminal may take."""

MODEL_WIDTH = 24
"""Of these, what the name of a model may take; a longer name goes on below."""


def build_table(
    runs: Mapping[str, Iterable[Row]] | Mapping[Run, Iterable[Row]],
) -> pandas.DataFrame:
    """Return all rows of all runs in long form, sorted, with the columns COLUMNS.

    A run is named (model, seed, control), or as its folder: "med2e3-s0" is seed 0 of med2e3 itself,
    without a control. `value` is NaN
    exactly where `note` says "unavailable: reason"; `seed` is missing where the name tells none.
    Raises TomovoxError when two runs computed one column in two ways.
    """
    import pandas

    rows = []
    for name, cells in runs.items():
        run = name if isinstance(name, tuple) else (*model_and_seed(name), NONE)
        mine = dict(zip(("model", "seed", "control"), run, strict=True))
        rows += [{**cell, **mine} for cell in cells]
    _check_signatures(rows)
    frame = pandas.DataFrame(rows, columns=list(COLUMNS))
    frame["note"] = frame["note"].fillna("").astype(str)
    frame["seed"] = frame["seed"].astype("Int64")
    frame["value"] = frame["value"].astype(float)
    order = ["task", "question_type", "metric", "protocol", "model", "seed", "control"]
    return frame.sort_values(order, kind="stable", ignore_index=True)


def _check_signatures(rows: Iterable[Mapping[str, Any]]) -> None:
    """Raise TomovoxError where the values of one column have two signatures."""
    first: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for row in rows:
        if row["value"] is None:
            continue
        other = first.setdefault((row["task"], row["metric"], row["protocol"]), row)
        if other["signature"] != row["signature"]:
            ones, others = (f"{_run_name(r)} ({r['signature']})" for r in (other, row))
            raise TomovoxError(
                f"{row['task']}: {row['metric']} of protocol {row['protocol']} is not the same "
                f"number in {ones} and {others}; score both runs with one installation and, where "
                f"they have labels, one labelling"
            )


def _run_name(row: Mapping[str, Any]) -> str:
    return str(row["model"]) if row["seed"] is None else f"{row['model']}-s{row['seed']}"


def model_and_seed(name: str) -> tuple[str, int | None]:
    """Return ("med2e3", 0) of the run folder "med2e3-s0"; without "-s<number>" the seed is None."""
    found = re.fullmatch(r"(.+)-s(\d+)", name)
    return (found[1], int(found[2])) if found else (name, None)


def write_tables(
    frame: pandas.DataFrame,
    folder: Path,
    notes: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
    sheets: Sequence[Sheet] = (),
) -> list[Path]:
    """Write a compared table as folder/table.csv, .md, .tex and .html; return the paths.

    table.csv is the long form, with six digits; its bytes depend on the content of `frame` only,
    not on the order of the runs. `notes` are what a reader must know of the rows, `facts` what
    somebody needs to make the table again (see `facts_of`), `sheets` tables that stand beside it.
    """
    from tomovox.judge.html import html_of
    from tomovox.judge.latex import latex_of

    content = {
        "csv": frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"),
        "md": markdown_of(frame, notes, sheets),
        "tex": latex_of(frame, notes, facts, sheets),
        "html": html_of(frame, notes, facts, sheets),
    }
    paths = [folder / f"table.{ending}" for ending in content]
    for path, text in zip(paths, content.values(), strict=True):
        write_atomically(path, text)
    return paths


def print_table(frame: pandas.DataFrame, console: Console, remarks: Sequence[str] = ()) -> None:
    """Print per task the headline metrics over all question types, then the first by type.

    Every run has a line in every table. Fits 110 columns. `remarks` are what a reader must know of
    the rows; they are printed last.
    """
    from rich.markup import escape

    printer = _Printer(console, runs_of(frame))
    for task in in_order(frame["task"], [str(task) for task in Task]):
        part = frame[frame["task"] == task]
        headlines = headlines_in(part)
        printer.print_task(part, task, headlines)
        printer.print_types(part, task, headlines)
    marked = [READ] if printer.marked else []
    lacking = [f"{', '.join(names)}: {why}" for why, names in printer.lacking.items()]
    for note in [*marked, *lacking, *printer.notes, *remarks]:
        console.print(escape(printable(note)), highlight=False)


def _fitting(heads: Sequence[str], model: int = MODEL_WIDTH) -> list[int]:
    """Return where parts of columns begin, each as wide as fits beside the model, and the end."""
    starts, room = [0], 0
    for place, head in enumerate(heads):
        width = max(8, *map(len, head.split("\n"))) + 3  # a space on either side, and a line
        if place and room < width:
            starts.append(place)
        if not place or room < width:
            room = WIDEST - model - 4
        room -= width
    return [*starts, len(heads)]


@dataclass
class _Printer:
    """Prints tables of the terminal; `notes` collects why columns are missing.

    `lacking` has the metrics whose cells are empty by the reason, `marked` says if a value has a
    mark.
    """

    console: Console
    runs: Mapping[Run, str]
    notes: dict[str, None] = field(default_factory=dict)
    lacking: dict[str, dict[str, None]] = field(default_factory=dict)
    marked: bool = False

    def print_task(
        self, part: pandas.DataFrame, task: str, headlines: Sequence[tuple[str, str]]
    ) -> None:
        """Print metrics over all question types; one that counts fewer records says its own n."""
        whole = where(part, question_type=ALL)
        asked = span(whole.groupby(["model", "seed", "control"], dropna=False)["n"].max())
        heads = []
        for metric, protocol in headlines:
            n = span(where(whole, metric=metric, protocol=protocol)["n"])
            told = (metric, protocol, trivial_of(metric, protocol), n if n != asked else "")
            heads.append("\n".join(filter(None, told)))
        columns = [(ALL, metric, protocol) for metric, protocol in headlines]
        parts = _fitting(heads, min(MODEL_WIDTH, max(map(len, self.runs.values()), default=0)))
        for number, (start, stop) in enumerate(pairwise(parts), start=1):
            title = part_title(f"{task} ({asked})", number, len(parts) - 1)
            self._print(part, columns[start:stop], heads[start:stop], title)

    def print_types(
        self, part: pandas.DataFrame, task: str, headlines: Sequence[tuple[str, str]]
    ) -> None:
        """Print the first share of protocol standard by question type, if there are types."""
        shares = [(m, p) for m, p in headlines if p == "standard" and unit_of(m, p) == "percent"]
        cells = where(part, metric=shares[0][0], protocol=shares[0][1]) if shares else part[:0]
        kinds = in_order(cells["question_type"], KINDS)
        if len(kinds) < 2:
            return
        fit = _fitting(kinds)[1]
        if fit < len(kinds):
            self.notes[f"{task}: {len(kinds) - fit} more question types stand in table.md"] = None
        columns = [(kind, *shares[0]) for kind in kinds[:fit]]
        heads = [f"{k}\n{span(where(cells, question_type=k)['n'])}" for k, *_ in columns]
        title = f"{task}: {', '.join(shares[0])}, by question type"
        self._print(part, columns, heads, title)

    def _print(
        self,
        part: pandas.DataFrame,
        columns: Sequence[tuple[str, str, str]],
        heads: Sequence[str],
        title: str,
    ) -> None:
        from rich.markup import escape
        from rich.table import Table
        from rich.text import Text

        found = cells_of(part)
        table = Table(title=title, title_justify="left")
        table.add_column("model", overflow="fold", min_width=12, max_width=MODEL_WIDTH)
        for head in heads:
            table.add_column(escape(head), justify="right", no_wrap=True)
        for run, label in lines_of(self.runs, found, columns).items():
            cells = []
            for kind, metric, protocol in columns:
                cell = found.get((run, kind, metric, protocol))
                printed = cell_of(cell, metric, protocol)
                mark = MARKS[printed.better]
                text = shown(cell, metric, protocol, short=True) + mark
                cells.append(Text(text, style="bold" if printed.best else ""))
                self.marked |= bool(mark) or printed.best
                if cell is not None and cell["note"]:
                    self.lacking.setdefault(cell["note"], {})[f"{metric} {protocol}"] = None
            table.add_row(escape(printable(label)), *cells)
        self.console.print(table)
