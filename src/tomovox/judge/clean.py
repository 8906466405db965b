"""What is left of a number without the records that leaked? Official, clean and the difference.

An audit of the data lists the records whose case, report, volume or question was met before.
Leaving them out changes nothing of what the others contribute: a rank of retrieval stays that in
the gallery of all records. A smaller gallery is an easier one, and its gain no effect of the leak.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby, product
from math import nan
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from tomovox.files import write_csv
from tomovox.judge.cells import (
    KINDS,
    Run,
    beside_trivial,
    cells_of,
    is_below,
    runs_of,
    shown,
    where,
)
from tomovox.judge.clean_split import CleanSplit, Leaked
from tomovox.judge.columns import Answers, Pair, columns_of
from tomovox.judge.compare import DRAWS, LEVEL, SEED
from tomovox.judge.score import ALL, MACRO, UNDEFINED, Row, Sample, Scores
from tomovox.judge.verdicts import Asked
from tomovox.metrics.catalogue import METRICS, metric_key
from tomovox.schema import Task
from tomovox.sheets import BELOW, Sheet, in_order
from tomovox.statistics.bootstrap import shared_draws
from tomovox.statistics.paired import difference

if TYPE_CHECKING:
    import pandas

KEPT: Run = ("", None, "clean")
"""Stands beside the runs of a column as one that answered every record that did not leak."""

COLUMNS = (
    *("task", "question_type", "metric", "protocol", "model", "seed", "control"),
    *("official", "clean", "difference", "difference_lo", "difference_hi"),
    *("n", "n_clean", "cases", "cases_clean", "left_out"),
)
"""`difference` is clean - official in the metric's unit; `left_out` counts records by kind."""

HEADS = ("official", "clean", "difference [95 %]", "n clean of n")


# ---- the whole table of the clean records ------------------------------------------------------


def clean_scores(scores: Mapping[Run, Scores], leaked: Collection[str]) -> dict[Run, Scores]:
    """Return the scores of the records that did not leak, to be compared as any others.

    They are those of the same predictions without the leaked ones, but that ranks of retrieval stay
    as they are. A row without records goes, a run without rows too: nothing is left where all
    leaked. A metric that could not run has a row while records are left that another metric of its
    task counts. `unscored` stays: nothing here knows these records.
    """
    found = {run: _clean(mine, leaked) for run, mine in scores.items()}
    return {run: mine for run, mine in found.items() if mine.rows}


def _clean(scores: Scores, leaked: Collection[str]) -> Scores:
    kept = {name: record for name, record in scores.records.items() if name not in leaked}
    clean = Scores(unscored=dict(scores.unscored), records=kept)
    left: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    gone: set[tuple[str, str, str]] = set()
    for sample in scores.samples:
        kinds = (ALL, sample["question_type"])
        if sample["id"] in leaked:
            gone |= {(sample["task"], kind, sample["id"]) for kind in kinds}
            continue
        clean.samples.append(sample)
        for kind in kinds:
            part = sample["counts"] if "counts" in sample else sample["value"]
            left[(*_place(sample), kind)].append(part)
    lost = Counter((task, kind) for task, kind, _ in gone)
    for _, rows in groupby(scores.rows, key=_place):
        clean.rows += _rows_left(list(rows), left, lost)
    return clean


def _place(cell: Row | Sample) -> tuple[str, str, str]:
    return cell["task"], cell["metric"], cell["protocol"]


def _rows_left(
    rows: Sequence[Row],
    left: Mapping[tuple[str, ...], list[Any]],
    lost: Mapping[tuple[str, str], int],
) -> list[Row]:
    """Return the rows of one metric over what is left; one type left of several has no mean."""
    found: list[Row] = []
    asked = sum(row["question_type"] not in (ALL, MACRO) for row in rows)
    for row in rows:
        kind, now = row["question_type"], row.copy()
        if kind == MACRO:
            types = [other for other in found if other["question_type"] != ALL]
            if len(types) == 1 < asked:
                continue
            values = [value for other in types if (value := other["value"]) is not None]
            now["value"] = fmean(values) if values else None
            now["n"] = sum(other["n"] for other in types)
        elif "note" in row:
            now["n"] -= lost.get((row["task"], kind), 0)
        else:
            known = METRICS.get(metric_key(row["metric"], row["protocol"]))
            mine = left.get((*_place(row), kind), [])
            over = fmean if known is None else known.over
            now["value"], now["n"] = over(mine) if mine else None, len(mine)
            if mine and now["value"] is None:
                now["note"] = UNDEFINED
        if now["n"]:
            found.append(now)
    return found


# ---- official beside clean ---------------------------------------------------------------------


def clean_against_official(
    samples: Mapping[Run, Iterable[Sample]], leaked: Leaked
) -> pandas.DataFrame:
    """Return the columns COLUMNS: every metric of each task, by run and question type.

    The difference has a 95 % interval over cases, both values on the draws of the ordinary table.
    Where all records of a row leaked, clean and difference are NaN; where none did, the difference
    is 0 from 0 to 0. Draws without a clean record do not count. `macro` is the mean of the question
    types that are left. The same samples give the same frame, in any order.
    """
    import pandas

    asked: dict[Run, Iterable[Sample]] = {run: list(mine) for run, mine in samples.items()}
    every = {_record(sample): sample for mine in asked.values() for sample in mine}
    asked[KEPT] = [sample for sample in every.values() if sample["id"] not in leaked]
    rows = []
    for column in columns_of(asked):
        weights = shared_draws(len(column.case_index), DRAWS, SEED)
        for run, kind in product(column.runs.keys() - {KEPT}, column.kinds):
            official = column.statistic(run, kind)
            if official is None:
                continue
            clean = column.statistic(run, kind, KEPT) if KEPT in column.runs else None
            values = [nan] * 4
            if clean is not None:
                pair: Pair = clean, official
                values = [clean.point(), *difference(*pair, weights, LEVEL)[:3]]
            place = (column.task, kind, column.metric, column.protocol, *run)
            counts = _counts(column.runs[run], kind, leaked)
            rows.append((*place, official.point(), *values, *counts))
    frame = pandas.DataFrame(rows, columns=list(COLUMNS))
    frame["seed"] = frame["seed"].astype("Int64")
    return frame.sort_values(list(COLUMNS[:7]), kind="stable", ignore_index=True)


def _record(sample: Sample) -> tuple[str, str, str]:
    return sample["id"], sample["metric"], sample["protocol"]


def _counts(answers: Answers, kind: str, leaked: Leaked) -> tuple[int, int, int, int, str]:
    """Return records and cases, of all and of the clean, and what was left out by kind of leak."""
    mine = [
        (name, case)
        for name, case, own in zip(answers.ids, answers.cases, answers.kinds, strict=True)
        if kind in (ALL, MACRO, own)
    ]
    kept = [(name, case) for name, case in mine if name not in leaked]
    why = Counter(what for name, _ in mine for what in leaked.get(name, ()))
    left_out = "; ".join(f"{what} {count}" for what, count in sorted(why.items()))
    cases, cases_kept = ({case for _, case in some} for some in (mine, kept))
    return len(mine), len(kept), len(cases), len(cases_kept), left_out


def write_clean(frame: pandas.DataFrame, folder: Path) -> list[Path]:
    """Write folder/clean.csv, six digits; nothing where nothing was scored."""
    if frame.empty:
        return []
    path = folder / "clean.csv"
    write_csv(frame, path)
    return [path]


# ---- as it is read -----------------------------------------------------------------------------


def clean_sheets(
    frame: pandas.DataFrame, split: CleanSplit, asked: Asked | None = None
) -> list[Sheet]:
    """Return a sheet for each metric asked for of each task: official and clean value of every run.

    They are over all question types, or by type where that is asked for, each on a row of its own.
    """
    asked, sheets = asked or Asked(), []
    for task in in_order(frame["task"], [str(task) for task in Task]):
        part = where(frame, task=task)
        for metric, protocol in asked.pairs_of(part, task):
            mine = where(part, metric=metric, protocol=protocol)
            sheets.append(_clean_sheet(mine, split, asked.by_type))
    return sheets


def _clean_sheet(part: pandas.DataFrame, split: CleanSplit, by_type: bool) -> Sheet:
    """Return official and clean value of every run in one metric of one protocol in one task."""
    task, metric, protocol = part[["task", "metric", "protocol"]].iloc[0]
    cells, labels = cells_of(part), runs_of(part)
    rows, why = [], defaultdict(list)
    for kind in in_order(part["question_type"], KINDS) if by_type else [ALL]:
        for run, label in labels.items():
            if (cell := cells.get((run, kind, metric, protocol))) is None:
                continue
            name = BELOW + run[2] if is_below(run, labels) else label
            rows.append(((name, kind) if by_type else (name,)) + _printed(cell))
            if kind == ALL:
                why[cell["left_out"]].append(label)
    return Sheet(
        title=f"{task}: {beside_trivial(metric, protocol)}, {protocol}, official and clean",
        heads=("model", *(["question type"] if by_type else []), *HEADS),
        rows=tuple(rows),
        section=task,
        told=tuple(_told(task, why, split)),
    )


def _printed(cell: Any) -> tuple[str, ...]:
    """Return the cells of a run's line, all but its name."""
    metric, protocol = cell["metric"], cell["protocol"]

    def text(name: str) -> str:
        return shown({"value": cell[name], "note": ""}, metric, protocol)

    def signed(name: str) -> str:
        found = text(name).removesuffix("%")
        return found if found.startswith("-") else f"+{found}"

    counts = f"{cell['n_clean']} of {cell['n']}"
    if not cell["n_clean"]:
        return text("official"), "none left", "", counts
    if cell["n_clean"] == cell["n"]:
        return text("official"), text("clean"), "none left out", counts
    ends = f"[{signed('difference_lo')}, {signed('difference_hi')}]"
    return text("official"), text("clean"), f"{signed('difference')} {ends}", counts


def _told(task: str, why: Mapping[str, list[str]], split: CleanSplit) -> Iterable[str]:
    """Yield what a reader of a sheet needs; `why` has the runs by what they leave out."""
    yield (
        f"Clean: without the records that are leaked by {split.title}. Difference: clean - "
        f"official, 95 % interval from a bootstrap over cases, both on the same draws."
    )
    for what, labels in why.items():
        if what:
            rows = f" ({', '.join(labels)})" if len(why) > 1 else ""
            yield f"Left out by kind of leak, of which a record may have several: {what}{rows}."
    if not any(why):
        listed = split.listed(task)
        none = f"None of the {listed} leaked records of {split.file} is in this comparison"
        yield f"{none}: other data?" if listed else f"{split.file} lists no record of {task}."
    if task == Task.RETRIEVAL:
        yield "Ranks are those in the gallery of all records: a smaller one would be easier."
    if split.unchecked:
        yield f"Not read, or not in full, by the audit: {split.unchecked}. More may have leaked."
