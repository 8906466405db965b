"""How much of what a model knows does it see? The share of its gain that vanishes with the image.

Letters: c cases, r draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tomovox.files import write_csv
from tomovox.judge.cells import KINDS, Run, runs_of
from tomovox.judge.columns import Column, columns_of
from tomovox.judge.compare import DRAWS, LEVEL, SEED
from tomovox.judge.protocols import is_primary
from tomovox.judge.score import ALL, MACRO, Sample
from tomovox.schema import NONE
from tomovox.sheets import Sheet, in_order
from tomovox.statistics.bootstrap import shared_draws
from tomovox.statistics.way import way_between

if TYPE_CHECKING:
    import pandas

FLOORS = ("blind", "majority", "mean_place")
"""Rows without eyes, in the order in which one is taken for the floor."""

COLUMNS = (
    *("task", "question_type", "metric", "protocol", "model", "seed", "control", "floor"),
    *("gain", "kept", "reliance", "lo", "hi", "cases"),
)
"""`gain` is the model above the floor, `kept` the control above it, both in the metric's unit.

`floor` is the row's name, empty where there is none: then no number is there. `cases` are those of
the records that model, control and floor all answered, of which every number is made.
"""

LEAST_GAIN = 0.01
"""A gain whose interval reaches below this is no gain: a share of nothing is not printed."""

HOW_MUCH = (
    "100%: under the control nothing is left of what the model answers better than the floor, "
    "which sees no image; 0%: all of it is. Above 100%: the model answers worse than the floor, as "
    "on an input that it was never taught; that is harm, not sight. No gain: the model is not "
    "clearly above the floor."
)
"""How a sheet of visual reliance is read."""

NO_FLOOR = (
    f"no row {', '.join(FLOORS[:-1])} or {FLOORS[-1]} of the same experiment answered the same "
    f"records"
)


def reliance(samples: Mapping[Run, Iterable[Sample]], replicates: int = DRAWS) -> pandas.DataFrame:
    """Return the visual reliance of every controlled model, question type by question type.

    Reliance is (model - control) / (model - floor): 1 when nothing is left without the image, 0
    when nothing is lost; of the primary metric of each task, on the records that all three answered
    and the same draws of cases. NaN where the model is not clearly above the floor. A row without
    floor stands for all question types.
    """
    import pandas

    rows: list[tuple[Any, ...]] = []
    controlled = any(control != NONE for _, _, control in samples)
    primaries = {run: filter(is_primary, mine) for run, mine in samples.items()}
    for column in columns_of(primaries) if controlled else ():
        place = (column.task, column.metric, column.protocol)
        for run in sorted((r for r in column.runs if r[2] != NONE), key=str):
            model = (run[0], run[1], NONE)
            if model not in column.runs:
                continue
            floor = floor_of(run, column.runs)
            cut = None if floor is None else column.common((model, run, floor))
            if floor is None or cut is None:
                rows.append((place[0], ALL, *place[1:], *run, "", *[np.nan] * 5, 0))
                continue
            for kind in (k for k in cut.kinds if k != MACRO):
                found = _shares(cut, (model, run, floor), kind, replicates)
                if found:
                    rows.append((place[0], kind, *place[1:], *run, floor[0], *found))
    return pandas.DataFrame(rows, columns=list(COLUMNS))


def floor_of(run: Run, runs: Iterable[Run]) -> Run | None:
    """Return the floor of a model's runs: of the same experiment, and seed if it has it.

    It is called as one of FLOORS, behind the experiment's name where there is one (a/blind). Of
    other seeds it is the lowest.
    """
    experiment = run[0].rpartition("/")[:2]
    for name in FLOORS:
        mine = [r for r in runs if r[2] == NONE and r[0].rpartition("/") == (*experiment, name)]
        if mine:
            return min(mine, key=lambda r: (r[1] != run[1], -1 if r[1] is None else r[1]))
    return None


def _shares(
    column: Column, three: tuple[Run, Run, Run], kind: str, replicates: int
) -> tuple[float, float, float, float, float, int] | None:
    """Return gain, what the control keeps of it, the reliance, its interval, and the cases."""
    model, control, floor = (column.statistic(run, kind) for run in three)
    if model is None or control is None or floor is None:
        return None
    gain, kept = model.point() - floor.point(), control.point() - floor.point()
    cases = column.counts(three[0], kind)[1]
    weights = shared_draws(len(column.case_index), replicates, SEED)
    left = way_between(floor, model, control, weights, LEAST_GAIN, LEVEL)
    if left is None:
        return gain, kept, np.nan, np.nan, np.nan, cases
    return gain, kept, 1 - left.point, 1 - left.hi, 1 - left.lo, cases


def write_reliance(found: pandas.DataFrame, folder: Path) -> list[Path]:
    """Write folder/reliance.csv, six digits; nothing where no model was controlled."""
    if found.empty:
        return []
    path = folder / "reliance.csv"
    write_csv(found, path)
    return [path]


def reliance_sheets(found: pandas.DataFrame) -> list[Sheet]:
    """Return a sheet per task and floor: the share of each model's gain that each control takes.

    What has no floor has a sheet that says so.
    """
    sheets = []
    for (task, metric, floor), part in found.groupby(["task", "metric", "floor"], sort=False):
        models = runs_of(part.assign(control=NONE))
        kinds, rows = in_order(part["question_type"], KINDS) if floor else [], []
        for model, seed, control in runs_of(part):
            mine = part[(part["model"] == model) & (part["control"] == control)]
            mine = mine[mine["seed"].isna() if seed is None else mine["seed"] == seed]
            shares = {row["question_type"]: _share(row) for row in mine.to_dict("records")}
            label = models[model, seed, NONE]
            rows.append((label, control, *(shares.get(kind, "") for kind in kinds)))
        title = f"{task}: share of the gain in {metric} above {floor} that vanishes [95 %]"
        if not floor:
            title = f"{task}: no visual reliance in {metric}"
        told = HOW_MUCH if floor else f"There is no floor: {NO_FLOOR}."
        sheets.append(Sheet(title, ("model", "control", *kinds), tuple(rows), task, (told,)))
    return sheets


def _share(row: Any) -> str:
    if np.isnan(row["reliance"]):
        return "no gain"
    return f"{100 * row['reliance']:.0f}% [{100 * row['lo']:.0f}, {100 * row['hi']:.0f}]"
