"""Which findings does a model name rightly? Precision, recall and F1 of each, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tomovox.files import write_csv
from tomovox.judge.cells import Run, run_order, runs_of, span
from tomovox.judge.columns import Column, columns_of
from tomovox.judge.compare import DRAWS, LEVEL, SEED
from tomovox.judge.score import Sample
from tomovox.metrics.labels import TRIVIAL_CRG, by_label, f1_macro
from tomovox.schema import NONE
from tomovox.sheets import Sheet
from tomovox.statistics.bootstrap import interval, shared_draws
from tomovox.statistics.clusters import pooled

if TYPE_CHECKING:
    import pandas

BY_LABEL = ("f1_macro", "standard")
"""The metric whose samples hold the counts of every label."""

COLUMNS = (
    *("task", "model", "seed", "control", "finding", "references", "named"),
    *("precision", "recall", "f1", "lo", "hi", "cases"),
)
"""Columns of findings.csv: how many references have a finding, how many answers name it, and how
well they do; the interval is that of F1. Empty where no reference has the finding."""

HOW_READ = (
    f"F1 of each finding [{LEVEL:.0%} interval over cases]; references: how many have it. Its "
    f"precision and recall stand in findings.csv. CRG is 1 for a perfect labelling, and "
    f"{TRIVIAL_CRG:.3f} for answers that name nothing and for answers that name everything."
)


def findings_of(samples: Mapping[Run, Iterable[Sample]], labels: Sequence[str]) -> pandas.DataFrame:
    """Return the columns COLUMNS: a row for each finding, run and task that has labels."""
    import pandas

    asked = {
        run: [s for s in mine if (s["metric"], s["protocol"]) == BY_LABEL]
        for run, mine in samples.items()
    }
    rows = []
    for column in columns_of(asked):
        for run in sorted(column.runs, key=run_order):
            for label, numbers in zip(labels, _numbers(column, run), strict=True):
                rows.append((column.task, *run, label, *numbers))
    frame = pandas.DataFrame(rows, columns=list(COLUMNS))
    whole = ("seed", "references", "named", "cases")
    return frame.astype(dict.fromkeys(whole, "Int64"))


def _numbers(column: Column, run: Run) -> list[tuple[float, ...]]:
    """Return what stands behind `finding` in COLUMNS, label by label."""
    mine, cases = column.runs[run], len(column.case_index)
    sums = pooled(mine.values, column.case_places[run], cases, f1_macro).sums
    weights = shared_draws(cases, DRAWS, SEED).astype(float)
    drawn, told = by_label(weights @ sums).f1, by_label(sums.sum(axis=0))
    found, made_up, missed = np.split(sums.sum(axis=0), 3)
    values = zip(found + missed, found + made_up, *told, strict=True)
    count = len(set(mine.cases))
    return [(*each, *interval(drawn[:, place], LEVEL), count) for place, each in enumerate(values)]


def write_findings(found: pandas.DataFrame, folder: Path) -> list[Path]:
    """Write folder/findings.csv, six digits; nothing where no report has labels."""
    if found.empty:
        return []
    path = folder / "findings.csv"
    write_csv(found, path)
    return [path]


def findings_sheets(found: pandas.DataFrame) -> list[Sheet]:
    """Return a sheet for each task with labels: every finding a row, every model a column.

    What no reference has is said below: it is in no mean over the labels.
    """
    sheets = []
    for task, part in found[found["control"] == NONE].groupby("task", sort=False):
        names, rows, empty = runs_of(part), [], []
        for label, mine in part.groupby("finding", sort=False):
            there = span(mine["references"]).removeprefix("n=")
            seeds = mine["seed"].astype(object).where(mine["seed"].notna(), None)
            keys = zip(mine["model"], seeds, mine["control"], strict=True)
            cells = dict(zip(keys, map(_f1, mine.to_dict("records")), strict=True))
            rows.append((str(label), there, *(cells.get(run, "n/a") for run in names)))
            if there == "0":
                empty.append(str(label))
        told = [HOW_READ]
        if empty:
            told.append(f"No reference has {', '.join(empty)}: left out of means over findings.")
        heads = ("finding", "references", *names.values())
        sheets.append(Sheet(f"{task}: F1 by finding", heads, tuple(rows), str(task), tuple(told)))
    return sheets


def _f1(row: Mapping[str, Any]) -> str:
    if row["f1"] != row["f1"]:
        return "n/a"
    return f"{row['f1']:.3f} [{row['lo']:.3f}, {row['hi']:.3f}]"
