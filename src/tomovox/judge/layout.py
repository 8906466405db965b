"""What stands where in the tables of a paper and of a page? Tables, rows, cells and their marks.

Per task: the headline metrics of each protocol over all question types, then the primary metric by
question type. All text here is plain: what prints it escapes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tomovox.judge.cells import (
    KINDS,
    Place,
    Run,
    beside_trivial,
    cells_of,
    headlines_in,
    is_below,
    lines_of,
    lower_is_better,
    runs_of,
    shown,
    span,
    unit_of,
    where,
)
from tomovox.judge.compare import LEVEL, SIGNIFICANT
from tomovox.judge.protocols import is_primary
from tomovox.judge.score import ALL
from tomovox.metrics.metric import PROTOCOLS
from tomovox.schema import NONE, Task
from tomovox.sheets import in_order, in_parts, part_title

if TYPE_CHECKING:
    import pandas

LEGEND = (
    f"Brackets: {LEVEL:.0%} interval. * better, † worse than the reference (a control: than its "
    f"model), corrected p < {SIGNIFICANT}. No mark: no difference was found. Bold: every seed is "
    "better than every seed of every other model, corrected over the question types. All of it "
    "speaks of these weights: trained from another seed they may differ."
)
"""How a table is read."""

MARKS = {True: "*", False: "†", None: ""}
"""What stands behind a value that is better or worse, or where no difference was found."""

UNITS = {"percent": " (%)", "rank": " (rank)"}
TESTS = {"p": "p", "corrected p": "p_adjusted"}

At = tuple[str, str, str]
"""Question type, metric and protocol: where a column takes its values."""


@dataclass(frozen=True)
class Cell:
    """A value in print, without its unit, or why there is none.

    `interval` is "59.9, 64.8", or empty; `ends` are its low end, the value and its high end as
    numbers. `better` says of a significant difference in which direction it goes, and is None for a
    tie; `told` is the comparison and the signature in words.
    """

    text: str
    interval: str = ""
    best: bool = False
    better: bool | None = None
    told: str = ""
    ends: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Line:
    """What a run has in a table. A line `below` is a control of the model above, by its name."""

    label: str
    below: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Head:
    """What stands above a column, the records it counts, and if it is the one number of a task."""

    head: str
    n: str
    is_primary: bool


@dataclass(frozen=True)
class Grid:
    """One table: every row of `lines` has a cell for each of `columns`.

    `counts` says how many records and cases it counts; `remarks` why some cells are empty.
    """

    task: str
    title: str
    columns: tuple[Head, ...]
    lines: tuple[Line, ...]
    counts: str
    signatures: tuple[str, ...]
    remarks: tuple[str, ...]


def grids_of(frame: pandas.DataFrame, widest: int | None = None) -> Iterator[Grid]:
    """Yield the tables of a compared long table, in the order of the tasks.

    Every model has a row in every table; a control has one in the tables of tasks it answered. A
    table with more than `widest` columns comes in parts of about the same width.
    """
    labels = runs_of(frame)
    for task in in_order(frame["task"], [str(task) for task in Task]):
        part = where(frame, task=task)
        cells = cells_of(part)
        there = {run for run, *_ in cells}
        runs = {run: label for run, label in labels.items() if run[2] == NONE or run in there}
        for title, heads in _tables(part, task):
            parts = in_parts(list(heads), -(-len(heads) // (widest or len(heads))))
            for number, wanted in enumerate(parts, start=1):
                chosen = {at: heads[at] for at in wanted}
                yield _grid(task, part_title(title, number, len(parts)), chosen, cells, runs)


def _tables(part: pandas.DataFrame, task: str) -> Iterator[tuple[str, dict[At, str]]]:
    """Yield of each table of a task its title, and where its columns are and what they are called.

    These are the tables of headline metrics, one a protocol, and that of the question types.
    """
    pairs = headlines_in(where(part, question_type=ALL))
    for protocol in in_order({p for _, p in pairs}, list(PROTOCOLS)):
        mine = [pair for pair in pairs if pair[1] == protocol]
        yield f"{task}, protocol {protocol}", {(ALL, *pair): _headed(*pair) for pair in mine}
    for pair in sorted(pairs, key=lambda pair: not _is_primary(task, *pair))[:1]:
        kinds = in_order(where(part, metric=pair[0], protocol=pair[1])["question_type"], KINDS)
        if len(kinds) > 1:
            title = f"{task}, protocol {pair[1]}: {_headed(*pair)} by question type"
            yield title, {(kind, *pair): kind for kind in kinds}


def _is_primary(task: str, metric: str, protocol: str) -> bool:
    return is_primary({"task": task, "metric": metric, "protocol": protocol})


def _headed(metric: str, protocol: str) -> str:
    """Return a metric with its unit and trivial value, and an arrow where smaller is better."""
    arrow = " ↓" if lower_is_better(metric, protocol) else ""
    unit = UNITS.get(unit_of(metric, protocol), "")
    return f"{beside_trivial(metric, protocol)}{unit}{arrow}"


def _grid(
    task: str,
    title: str,
    heads: Mapping[At, str],
    cells: Mapping[Place, Any],
    runs: Mapping[Run, str],
) -> Grid:
    columns, every = [], []
    for at, head in heads.items():
        mine = [cells[(run, *at)] for run in runs if (run, *at) in cells]
        every += mine
        n = span([cell["n"] for cell in mine])
        columns.append(Head(head, n, _is_primary(task, *at[1:])))
    lines = []
    for run, label in lines_of(runs, cells, heads).items():
        below = is_below(run, runs)
        row = (cell_of(cells.get((run, *at)), *at[1:]) for at in heads)
        lines.append(Line(run[2] if below else label, below, tuple(row)))
    remarks = (f"{c['metric']} {c['protocol']}: {c['note']}" for c in every if c["note"])
    return Grid(
        task=task,
        title=title,
        columns=tuple(columns),
        lines=tuple(lines),
        counts=_counts(every),
        signatures=tuple(dict.fromkeys(cell["signature"] for cell in every if not cell["note"])),
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _counts(cells: Sequence[Any]) -> str:
    """Return "n=543 records of 100 cases"; without cases where nothing was compared."""
    import pandas

    records = f"{span([cell['n'] for cell in cells])} records"
    cases = [int(cell["cases"]) for cell in cells if not pandas.isna(cell["cases"])]
    return f"{records} of {span(cases).removeprefix('n=')} cases" if cases else records


def cell_of(cell: Any, metric: str, protocol: str) -> Cell:
    """Return a row of a long table as it is printed; without interval where none was computed."""
    import pandas

    text = shown(cell, metric, protocol, short=True).removesuffix("%")
    if cell is None or cell["note"]:
        return Cell(text, told=cell["note"] if cell is not None else "")

    def printed(column: str) -> str:
        number = {"note": "", "value": cell[column]}
        return shown(number, metric, protocol).removesuffix("%")

    interval, ends, better, told = "", None, None, []
    if "lo" not in cell:
        return Cell(text, told=cell["signature"])
    if not pandas.isna(cell["lo"]):
        interval = f"{printed('lo')}, {printed('hi')}"
        ends = (cell["lo"], cell["value"], cell["hi"])
    if not pandas.isna(cell["difference"]):
        around = f"[{printed('difference_lo')}, {printed('difference_hi')}]"
        told.append(f"difference {printed('difference')} {around}")
        if cell["pair_n"] != cell["n"]:
            told.append(f"over {cell['pair_n']} shared records of {cell['pair_cases']} cases")
        told += [f"{name} {_p(cell[p])}" for name, p in TESTS.items() if not pandas.isna(cell[p])]
        if cell["p_adjusted"] < SIGNIFICANT:
            better = (cell["difference"] > 0) != lower_is_better(metric, protocol)
    words = "; ".join([*told, cell["signature"]])
    return Cell(text, interval, bool(cell["best"]), better, words, ends)


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
