"""How much of what a model knows does it see? The share of its gain that vanishes with the image.

Letters: c cases, r draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tomovox.judge.cells import KINDS, Run, runs_of
from tomovox.judge.compare import DRAWS, LEVEL, Statistic, columns_of, draws_of
from tomovox.judge.protocols import is_primary
from tomovox.judge.score import MACRO, Sample
from tomovox.schema import NONE, write_atomically
from tomovox.sheets import Sheet, in_order
from tomovox.statistics.bootstrap import interval

if TYPE_CHECKING:
    import pandas

FLOORS = ("blind", "majority", "mean_place")
"""Rows without eyes, in the order in which one is taken for the floor."""

COLUMNS = (
    *("task", "question_type", "metric", "protocol", "model", "seed", "control", "floor"),
    *("gain", "kept", "reliance", "lo", "hi", "cases"),
)
"""`gain` is the model above the floor, `kept` the control above it, both in the metric's unit."""

LEAST_GAIN = 0.01
"""A gain whose interval reaches below this is no gain: a share of nothing is not printed."""

HOW_MUCH = (
    "100%: under the control nothing is left of what the model answers better than the floor, "
    "which sees no image; 0%: all of it is. No gain: the model is not clearly above the floor."
)
"""How a sheet of visual reliance is read."""


def reliance(samples: Mapping[Run, Iterable[Sample]], replicates: int = DRAWS) -> pandas.DataFrame:
    """Return the visual reliance of every controlled model, question type by question type.

    Reliance is (model - control) / (model - floor): 1 when nothing is left without the image, 0
    when nothing is lost; of the primary metric of each task, on the same draws of cases. NaN where
    the model is not clearly above the floor.
    """
    import pandas

    rows = []
    controlled = any(control != NONE for _, _, control in samples)
    primaries = {run: filter(is_primary, mine) for run, mine in samples.items()}
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


def reliance_sheets(found: pandas.DataFrame) -> list[Sheet]:
    """Return a sheet per task: the share of each model's gain that vanishes under each control."""
    sheets = []
    for (task, metric, floor), part in found.groupby(["task", "metric", "floor"], sort=False):
        models = runs_of(part.assign(control=NONE))
        kinds, rows = in_order(part["question_type"], KINDS), []
        for model, seed, control in runs_of(part):
            mine = part[(part["model"] == model) & (part["control"] == control)]
            mine = mine[mine["seed"].isna() if seed is None else mine["seed"] == seed]
            shares = {row["question_type"]: _share(row) for row in mine.to_dict("records")}
            label = models[model, seed, NONE]
            rows.append((label, control, *(shares.get(kind, "") for kind in kinds)))
        title = f"{task}: share of the gain in {metric} above {floor} that vanishes [95 %]"
        heads = ("model", "control", *kinds)
        sheets.append(Sheet(title, heads, tuple(rows), task, (HOW_MUCH,)))
    return sheets


def _share(row: Any) -> str:
    if np.isnan(row["reliance"]):
        return "no gain"
    return f"{100 * row['reliance']:.0f}% [{100 * row['lo']:.0f}, {100 * row['hi']:.0f}]"
