"""What is left of a number without the records that leaked? Official, clean and the difference.

An audit of the data lists the records whose case, report, volume or question was met before.
Leaving them out changes nothing of what the others contribute: a rank of retrieval stays that in
the gallery of all records. A smaller gallery is an easier one, and its gain no effect of the leak.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from math import nan
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from tomovox.judge.cells import Run, cells_of, is_below, runs_of, shown, where
from tomovox.judge.compare import DRAWS, LEVEL, Answers, Pair, columns_of, draws_of
from tomovox.judge.protocols import is_primary, task_protocol
from tomovox.judge.score import ALL, MACRO, Row, Sample, Scores
from tomovox.metrics.catalogue import METRICS, metric_key
from tomovox.schema import Task, TomovoxError, write_atomically
from tomovox.sheets import BELOW, Sheet, in_order, one_line
from tomovox.statistics.paired import difference

if TYPE_CHECKING:
    import pandas

VERSION = 1
"""The version of clean_split.json that is read here."""

Leaked = Mapping[str, Sequence[str]]
"""The ids of the records to leave out, each with the kinds of leak that speak against it."""

KEPT: Run = ("", None, "clean")
"""Stands beside the runs of a column as one that answered every record that did not leak."""

COLUMNS = (
    *("task", "question_type", "metric", "protocol", "model", "seed", "control"),
    *("official", "clean", "difference", "difference_lo", "difference_hi"),
    *("n", "n_clean", "cases", "cases_clean", "left_out"),
)
"""`difference` is clean - official in the metric's unit; `left_out` counts records by kind."""

HEADS = ("model", "official", "clean", "difference [95 %]", "n clean of n")


# ---- which records leaked ----------------------------------------------------------------------


@dataclass(frozen=True)
class CleanSplit:
    """What a clean_split.json says: `leaked` as Leaked, and the name of the folder audited.

    `digest` is the SHA-256 of the file. `unchecked` counts the rows, reports and volumes that the
    audit could not read or did not compare in full.
    """

    file: str
    digest: str
    data: str
    leaked: dict[str, tuple[str, ...]]
    unchecked: int

    def listed(self, task: str) -> int:
        """Return how many test records of a task leaked, those of its pools (test1k) too."""
        return sum(name.startswith(f"{task}/test") for name in self.leaked)


def read_clean(path: Path) -> CleanSplit:
    """Return what an audit wrote; TomovoxError for a file that is missing or of another form."""
    try:
        data = path.read_bytes()
        content = json.loads(data)
    except OSError as error:
        raise TomovoxError(
            f"{path}: cannot be read ({error.strerror}); write it with tomovox data audit"
        ) from None
    except ValueError as error:
        raise TomovoxError(
            f"{path}: not JSON ({one_line(str(error))}); write it again with tomovox data audit"
        ) from None
    match content:
        case {"version": int(version)} if version != VERSION:
            raise TomovoxError(
                f"{path}: version {version}, this program reads {VERSION}; audit the data again"
            )
        case {
            "version": int(),
            "data": str(audited),
            "leaked": dict(leaked),
            "not_read": int(unread),
            "not_compared_in_full": {"report": int(reports), "volume": int(volumes)},
        } if all(map(_are_kinds, leaked.values())):
            return CleanSplit(
                file=path.name,
                digest=hashlib.sha256(data).hexdigest(),
                data=one_line(Path(audited).name or audited),
                leaked={name: tuple(map(one_line, found)) for name, found in leaked.items()},
                unchecked=unread + reports + volumes,
            )
    raise TomovoxError(
        f"{path}: not the clean_split.json of an audit, whose leaked maps each id to a list of "
        f"kinds; write it again with tomovox data audit"
    )


def _are_kinds(found: object) -> bool:
    return isinstance(found, list) and bool(found) and all(isinstance(kind, str) for kind in found)


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
    clean = Scores(unscored=dict(scores.unscored))
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
        if now["n"]:
            found.append(now)
    return found


# ---- official beside clean ---------------------------------------------------------------------


def clean_against_official(
    samples: Mapping[Run, Iterable[Sample]], leaked: Leaked
) -> pandas.DataFrame:
    """Return the columns COLUMNS: the primary metric of each task, by run and question type.

    The difference has a 95 % interval over cases, both values on the draws of the ordinary table.
    Where all records of a row leaked, clean and difference are NaN; where none did, the difference
    is 0 from 0 to 0. Draws without a clean record do not count. `macro` is the mean of the question
    types that are left. The same samples give the same frame, in any order.
    """
    import pandas

    asked: dict[Run, list[Sample]] = {
        run: [sample for sample in mine if is_primary(sample)] for run, mine in samples.items()
    }
    every = {sample["id"]: sample for mine in asked.values() for sample in mine}
    asked[KEPT] = [sample for name, sample in every.items() if name not in leaked]
    rows = []
    for column in columns_of(asked):
        weights = draws_of(len(column.case_index), DRAWS)
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
    """Write folder/clean.csv, six digits; nothing where no task has its primary metric."""
    if frame.empty:
        return []
    path = folder / "clean.csv"
    write_atomically(path, frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
    return [path]


# ---- as it is read -----------------------------------------------------------------------------


def clean_sheets(frame: pandas.DataFrame, split: CleanSplit) -> list[Sheet]:
    """Return a sheet per task: official and clean value of every run over all question types."""
    sheets = []
    for task in in_order(frame["task"], [str(task) for task in Task]):
        metric, _, protocol = task_protocol(Task(task)).primary.partition(".")
        part = where(frame, task=task, question_type=ALL)
        cells, labels = cells_of(part), runs_of(part)
        rows, why = [], defaultdict(list)
        for run, label in labels.items():
            cell = cells[run, ALL, metric, protocol]
            name = BELOW + run[2] if is_below(run, labels) else label
            rows.append((name, *_printed(cell)))
            why[cell["left_out"]].append(label)
        title = f"{task}: {metric}, {protocol}, official and clean"
        sheets.append(Sheet(title, HEADS, tuple(rows), task, tuple(_told(task, why, split))))
    return sheets


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
        f"Clean: without the records that {split.file} lists as leaked (audit of {split.data}, "
        f"SHA-256 {split.digest[:12]}). Difference: clean - official, 95 % interval from a "
        f"bootstrap over cases, both on the same draws."
    )
    for what, labels in why.items():
        if what:
            rows = f" ({', '.join(labels)})" if len(why) > 1 else ""
            yield f"Left out by kind of leak, of which a record may have several: {what}{rows}."
    if not any(why):
        listed = split.listed(task)
        none = f"None of the {listed} leaked records of {split.file} is in this comparison"
        yield f"{none}: other data?" if listed else f"{split.file} lists no test record of {task}."
    if task == Task.RETRIEVAL:
        yield "Ranks are those in the gallery of all records: a smaller one would be easier."
    if split.unchecked:
        yield f"Not read, or not in full, by the audit: {split.unchecked}. More may have leaked."
