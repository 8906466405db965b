"""How much of what a model knows does it see? The share of its gain that vanishes with the image.

Letters: c cases, r draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tomovox.judge.cells import KINDS, Run, in_order
from tomovox.judge.compare import DRAWS, LEVEL, Statistic, columns_of, draws_of
from tomovox.judge.protocols import task_protocol
from tomovox.judge.score import MACRO, Sample
from tomovox.metrics.catalogue import metric_key
from tomovox.schema import NONE, Task, write_atomically
from tomovox.statistics.bootstrap import interval

if TYPE_CHECKING:
    import pandas
    from rich.console import Console

FLOORS = ("blind", "majority", "mean_place")
"""Rows without eyes, in the order in which one is taken for the floor."""

COLUMNS = (
    *("task", "question_type", "metric", "protocol", "model", "seed", "control", "floor"),
    *("gain", "kept", "reliance", "lo", "hi", "cases"),
)
"""`gain` is the model above the floor, `kept` the control above it, both in the metric's unit."""

LEAST_GAIN = 0.01
"""A gain whose interval reaches below this is no gain: a share of nothing is not printed."""


def reliance(samples: Mapping[Run, Iterable[Sample]], replicates: int = DRAWS) -> pandas.DataFrame:
    """Return the visual reliance of every controlled model, question type by question type.

    Reliance is (model - control) / (model - floor): 1 when nothing is left without the image, 0
    when nothing is lost; of the primary metric of each task, on the same draws of cases. NaN where
    the model is not clearly above the floor.
    """
    import pandas

    rows = []
    controlled = any(control != NONE for _, _, control in samples)
    primaries = {run: filter(_is_primary, mine) for run, mine in samples.items()}
    for column in columns_of(primaries) if controlled else ():
        floor = next((r for name in FLOORS for r in column.runs if r[0] == name), None)
        if floor is None:
            continue
        weights = draws_of(len(column.case_index), replicates)
        for run in sorted((r for r in column.runs if r[2] != NONE), key=str):
            for kind in (k for k in column.kinds if k != MACRO):
                model = column.statistic((run[0], run[1], NONE), kind, floor)
                control = column.statistic(run, kind, floor)
                base = column.statistic(floor, kind, run)
                if model is None or control is None or base is None:
                    continue
                place = (column.task, kind, column.metric, column.protocol, *run, floor[0])
                shares = _shares(model, control, base, weights)
                rows.append((*place, *shares, column.cases_of(run, kind)))
    return pandas.DataFrame(rows, columns=list(COLUMNS))


def _is_primary(sample: Sample) -> bool:
    primary = task_protocol(Task(sample["task"])).primary
    return metric_key(sample["metric"], sample["protocol"]) == primary


def _shares(
    model: Statistic, control: Statistic, floor: Statistic, weights: Any
) -> tuple[float, float, float, float, float]:
    """Return gain, what the control keeps of it, the reliance and its interval."""
    gain, kept = model.point() - floor.point(), control.point() - floor.point()
    drawn = model.replicates(weights) - floor.replicates(weights)
    low, _ = interval(drawn, LEVEL)
    if low < LEAST_GAIN:
        return gain, kept, np.nan, np.nan, np.nan
    lost = model.replicates(weights) - control.replicates(weights)
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw without any gain has no share
        shares = np.where(drawn > 0, lost / drawn, np.nan)
    return gain, kept, 1 - kept / gain, *interval(shares, LEVEL)


def write_reliance(found: pandas.DataFrame, folder: Path) -> list[Path]:
    """Write folder/reliance.csv, six digits; nothing where no model was controlled."""
    if found.empty:
        return []
    path = folder / "reliance.csv"
    write_atomically(path, found.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
    return [path]


def print_reliance(found: pandas.DataFrame, console: Console) -> None:
    """Print the share of each model's gain that vanishes under each control, by question type."""
    from rich.markup import escape
    from rich.table import Table

    for (task, metric, floor), part in found.groupby(["task", "metric", "floor"], sort=False):
        title = f"{task}: share of the gain in {metric} above {floor} that vanishes [95 %]"
        table = Table(title=escape(title), title_justify="left")
        kinds = in_order(part["question_type"], KINDS)
        for head in ("model", "control", *kinds):
            table.add_column(escape(head), justify="right" if head in kinds else "left")
        for (model, _, control), cells in part.groupby(["model", "seed", "control"], dropna=False):
            shares = {row["question_type"]: _share(row) for row in cells.to_dict("records")}
            table.add_row(escape(model), control, *(shares.get(kind, "") for kind in kinds))
        console.print(table)


def _share(row: Any) -> str:
    if np.isnan(row["reliance"]):
        return "no gain"
    return f"{100 * row['reliance']:.0f}% [{100 * row['lo']:.0f}, {100 * row['hi']:.0f}]"
