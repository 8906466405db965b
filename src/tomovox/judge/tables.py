"""How do the models compare at a glance? The long table, its Markdown, and the one of the terminal.

No table here mixes two protocols in a column, and a metric that could not run says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomovox.judge.score import ALL, Row
from tomovox.metrics.catalogue import METRICS, metric_key
from tomovox.schema import QUESTION_TYPES, Task, write_atomically

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
    "value",
    "n",
    "signature",
    "note",
)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$-])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def build_table(
    runs: Mapping[str, Iterable[Row]] | Mapping[tuple[str, int], Iterable[Row]],
) -> pandas.DataFrame:
    """Return all rows of all runs in long form, sorted, with the columns COLUMNS.

    A run is named (model, seed), or as its folder: "med2e3-s0" is seed 0 of med2e3. `value` is NaN
    exactly where `note` says "unavailable: reason"; `seed` is missing where the name tells none.
    """
    import pandas

    rows = []
    for name, cells in runs.items():
        model, seed = name if isinstance(name, tuple) else model_and_seed(name)
        rows += [{**cell, "model": model, "seed": seed} for cell in cells]
    frame = pandas.DataFrame(rows, columns=list(COLUMNS))
    frame["note"] = frame["note"].fillna("").astype(str)
    frame["seed"] = frame["seed"].astype("Int64")
    frame["value"] = frame["value"].astype(float)
    order = ["task", "question_type", "metric", "protocol", "model", "seed"]
    return frame.sort_values(order, kind="stable", ignore_index=True)


def model_and_seed(name: str) -> tuple[str, int | None]:
    """Return ("med2e3", 0) of the run folder "med2e3-s0"; without "-s<number>" the seed is None."""
    found = re.fullmatch(r"(.+)-s(\d+)", name)
    return (found[1], int(found[2])) if found else (name, None)


def write_tables(
    frame: pandas.DataFrame, folder: Path, notes: Sequence[str] = ()
) -> tuple[Path, Path]:
    """Write folder/table.csv (long form, six digits) and folder/table.md; return both paths.

    `notes` are what a reader must know of the rows; they stand below the readable table.
    The bytes depend on the content of `frame` only, not on the order of the runs.
    """
    csv, markdown = folder / "table.csv", folder / "table.md"
    write_atomically(csv, frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
    write_atomically(markdown, markdown_of(frame, notes))
    return csv, markdown


def markdown_of(frame: pandas.DataFrame, notes: Sequence[str] = ()) -> str:
    """Return the readable table: a section per task, models as rows, n in the header."""
    lines = ["# Scores", ""]
    for task in _in_order(frame["task"], [str(task) for task in Task]):
        lines += [f"## {task}", ""]
        part = frame[frame["task"] == task]
        for protocol in _in_order(part["protocol"], ["m3d", "standard"]):
            cells = part[part["protocol"] == protocol]
            for title, pairs in _groups(cells):
                heading = (
                    f"### {title}, protocol {protocol}" if title else f"### protocol {protocol}"
                )
                lines += [heading, "", *_markdown_rows(cells, pairs, title), ""]
    if notes:
        lines += ["## Notes", "", *(f"- {_escaped(note)}" for note in notes), ""]
    return "\n".join(lines)


def print_table(frame: pandas.DataFrame, console: Console, remarks: Sequence[str] = ()) -> None:
    """Print per task the headline metrics over all question types, then the first by type.

    Fits 110 columns. `remarks` are what a reader must know of the rows; they are printed last.
    """
    from rich.markup import escape

    notes: dict[str, None] = {}
    for task in _in_order(frame["task"], [str(task) for task in Task]):
        part = frame[frame["task"] == task]
        headlines = [
            (ALL, metric, protocol)
            for metric, protocol in _metrics(part)
            if metric_key(metric, protocol) not in METRICS
            or METRICS[metric_key(metric, protocol)].headline
        ]
        heads = [f"{metric}\n{protocol}" for _, metric, protocol in headlines]
        title = f"{task} ({_span(part[part['question_type'] == ALL]['n'])})"
        _print_columns(part, headlines, heads, title, console, notes)
        kinds = _in_order(part["question_type"], [ALL, *QUESTION_TYPES.values()])
        shares = [(m, p) for _, m, p in headlines if p == "standard" and _unit(m, p) == "percent"]
        if len(kinds) > 1 and shares:
            metric, protocol = shares[0]
            columns = [(kind, metric, protocol) for kind in kinds]
            heads = [f"{k}\n{_span(part[part['question_type'] == k]['n'])}" for k in kinds]
            title = f"{task}: {metric}, {protocol}, by question type"
            _print_columns(part, columns, heads, title, console, notes)
    for note in [*notes, *remarks]:
        console.print(escape(_one_line(note)), highlight=False)


def _print_columns(
    part: pandas.DataFrame,
    columns: Sequence[tuple[str, str, str]],
    heads: Sequence[str],
    title: str,
    console: Console,
    notes: dict[str, None],
) -> None:
    """Print one table of the terminal; why a cell is empty is added to `notes`."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("model", overflow="fold", min_width=12, max_width=24)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for model, seed in _runs(part):
        cells = []
        for kind, metric, protocol in columns:
            cell = _cell(part, model, seed, kind, metric, protocol)
            cells.append(_shown(cell, metric, protocol, short=True))
            if cell is not None and cell["note"]:
                notes[f"{metric} {protocol}: {cell['note']}"] = None
        table.add_row(escape(_one_line(_label(part, model, seed))), *cells)
    console.print(table)


def _groups(cells: pandas.DataFrame) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Yield (title, columns) of the Markdown tables; a column is (question type, metric, protocol).

    Without question types one table holds all metrics; with them each metric has a table of types.
    """
    types = _in_order(cells["question_type"], [ALL, *QUESTION_TYPES.values()])
    if types == [ALL]:
        yield "", [(ALL, *pair) for pair in _metrics(cells)]
        return
    for metric, protocol in _metrics(cells):
        yield metric, [(kind, metric, protocol) for kind in types]


def _markdown_rows(
    cells: pandas.DataFrame, columns: Sequence[tuple[str, str, str]], title: str
) -> Iterator[str]:
    heads = []
    for kind, metric, protocol in columns:
        mine = _where(cells, question_type=kind, metric=metric, protocol=protocol)
        name = kind if title else metric
        heads.append(_escaped(name) + (f" ({_span(mine['n'])})" if len(mine) else ""))
    yield "| model | " + " | ".join(heads) + " |"
    yield "|---|" + "---:|" * len(columns)
    for model, seed in _runs(cells):
        row = []
        for kind, metric, protocol in columns:
            cell = _cell(cells, model, seed, kind, metric, protocol)
            row.append(_escaped(_shown(cell, metric, protocol)))
        yield f"| {_escaped(_label(cells, model, seed))} | " + " | ".join(row) + " |"


def _shown(cell: Any, metric: str, protocol: str, short: bool = False) -> str:
    """Return a value as it is read: 53.2 (%) or 0.123; "n/a" where a run has no such cell."""
    if cell is None:
        return "n/a"
    if cell["note"]:
        return "unavail." if short else str(cell["note"])
    if _unit(metric, protocol) == "percent":
        return f"{100 * cell['value']:.1f}%"
    return f"{cell['value']:.3f}"


def _unit(metric: str, protocol: str) -> str:
    known = METRICS.get(metric_key(metric, protocol))
    return known.unit if known is not None else ""


def _cell(
    frame: pandas.DataFrame, model: str, seed: int | None, kind: str, metric: str, protocol: str
) -> Any:
    found = _where(frame, model=model, question_type=kind, metric=metric, protocol=protocol)
    found = found[found["seed"].isna()] if seed is None else found[found["seed"] == seed]
    return found.iloc[0] if len(found) else None


def _where(frame: pandas.DataFrame, **wanted: str) -> pandas.DataFrame:
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


def _runs(frame: pandas.DataFrame) -> list[tuple[str, int | None]]:
    unknown = -1  # a seed that the name of the run does not tell
    seeds = frame["seed"].fillna(unknown).astype(int)
    runs = sorted(set(zip(frame["model"], seeds, strict=True)))
    return [(str(model), None if seed == unknown else int(seed)) for model, seed in runs]


def _label(frame: pandas.DataFrame, model: str, seed: int | None) -> str:
    several = sum(name == model for name, _ in _runs(frame)) > 1
    return f"{model} (seed {seed})" if several and seed is not None else model


def _metrics(frame: pandas.DataFrame) -> list[tuple[str, str]]:
    present = {(m, p) for m, p in zip(frame["metric"], frame["protocol"], strict=True)}
    known = [(metric.name, metric.protocol) for metric in METRICS.values()]
    return [pair for pair in known if pair in present] + sorted(present - set(known))


def _in_order(values: Iterable[str], order: Sequence[str]) -> list[str]:
    present = set(values)
    return [value for value in order if value in present] + sorted(present - set(order))


def _span(numbers: Iterable[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"n={low}" if low == high else f"n={low}-{high}"


def _one_line(text: str) -> str:
    return _CONTROL.sub(" ", text)


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is, in one table cell."""
    if re.fullmatch(r"[\w.%/= -]+", text) and "__" not in text:
        return text.replace("_", r"\_")
    return _MARKDOWN.sub(r"\\\1", _one_line(text))
