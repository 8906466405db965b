"""Is it better, and does it look? The metric asked for of each task, with what statistics say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tomovox.judge.cells import (
    KINDS,
    beside_trivial,
    cells_of,
    is_below,
    lower_is_better,
    metrics_in,
    runs_of,
    shown,
    span,
    unit_of,
    where,
)
from tomovox.judge.compare import CORRECTION_NAMES, SIGNIFICANT
from tomovox.judge.protocols import task_protocol
from tomovox.judge.score import ALL
from tomovox.schema import NONE, Task, TomovoxError
from tomovox.sheets import BELOW, Sheet, in_order
from tomovox.statistics.seeds import spread

if TYPE_CHECKING:
    import pandas

HEADS = ("value [95 %]", "difference [95 %]", "p, adjusted", "verdict", "could show")
SEED_HEADS = ("model", "seeds", "mean", "sd from other cases", "sd from other seeds")
HOW_COMPARED = (
    "Paired by record; 95 % intervals from a bootstrap over cases; p from swapping the answers of "
    "two rows case by case, corrected over all rows and question types of a metric, controls "
    "apart. The verdict is that of p; the interval of a difference is not corrected, so that one "
    "without 0 may stand beside a tie. A model is compared with the reference, a control with its "
    "model. Could show: the smallest difference that so many cases show four times of five after "
    "the correction, empty where no record tells the two apart. A verdict is of these weights, "
    "not of the recipe: trained from another seed they may differ."
)
FEW = 30
FEW_CASES = (
    f"Of fewer than {FEW} cases an interval is too narrow. Where five or fewer of them differ, no "
    f"p can be below {SIGNIFICANT}."
)
NO_WIDTH = (
    "An interval without width, as at 0 or 100 %, says that all cases scored alike, not that the "
    "value is certain."
)


@dataclass(frozen=True)
class Asked:
    """What of a comparison is asked for; without anything, the primary metric of every task.

    `metrics` are names that take its place, in the protocol of the primary metric where they have
    it, unless `protocol` is another. `by_type` asks for each question type apart.
    """

    task: str | None = None
    metrics: tuple[str, ...] = ()
    protocol: str | None = None
    by_type: bool = False

    def check(self, frame: pandas.DataFrame) -> None:
        """Raise TomovoxError for a task, metric or protocol that no row of a table has."""
        for column, names in self._wanted().items():
            there = sorted(set(frame[column]))
            for name in names:
                if name not in there:
                    known = ", ".join(there)
                    raise TomovoxError(f"{column} {name}: no row has it; there are {known}")
        wanted = {column: names for column, names in self._wanted().items() if names}
        if wanted and self.rows_of(frame).empty:
            asked = " and ".join(f"{name} {' or '.join(each)}" for name, each in wanted.items())
            raise TomovoxError(f"{asked}: no row has all of these; ask for fewer at once")

    def rows_of(self, frame: pandas.DataFrame) -> pandas.DataFrame:
        """Return the rows of a table that are asked for, with all question types."""
        for column, names in self._wanted().items():
            if names:
                frame = frame[frame[column].isin(names)]
        return frame

    def pairs_of(self, part: pandas.DataFrame, task: str) -> Iterator[tuple[str, str]]:
        """Yield the metrics, each in one protocol, that a task's rows have a verdict of."""
        primary, _, own = task_protocol(Task(task)).primary.partition(".")
        there = metrics_in(part)
        for name in self.metrics or (primary,):
            protocols = [protocol for metric, protocol in there if metric == name]
            wanted = [own, *protocols] if self.protocol is None else [self.protocol]
            yield from [(name, protocol) for protocol in wanted if protocol in protocols][:1]

    def _wanted(self) -> dict[str, tuple[str, ...]]:
        tasks = () if self.task is None else (self.task,)
        protocols = () if self.protocol is None else (self.protocol,)
        return {"task": tasks, "metric": self.metrics, "protocol": protocols}


def verdict_of(cell: Any) -> str:
    """Return "better", "worse" or "tie" of a compared row; "" where nothing is compared.

    Better means more of what the metric wants, after correction; anything else is a tie.
    """
    if cell["p_adjusted"] != cell["p_adjusted"]:
        return ""
    if cell["p_adjusted"] >= SIGNIFICANT or not cell["difference"]:
        return "tie"
    sign = -1 if lower_is_better(cell["metric"], cell["protocol"]) else 1
    return "better" if sign * cell["difference"] > 0 else "worse"


def verdict_sheets(
    frame: pandas.DataFrame,
    reference: str,
    asked: Asked | None = None,
    correction: str = "holm",
) -> list[Sheet]:
    """Return a sheet of verdicts for each metric asked for of each task, and one of its seeds.

    A row is a run, or by type a run and question type. A model is compared with the reference, a
    control with its model, as HOW_COMPARED tells; `correction` is that of the comparison.
    """
    asked, sheets = asked or Asked(), []
    for task in in_order(frame["task"], [str(task) for task in Task]):
        part = where(frame, task=task)
        for metric, protocol in asked.pairs_of(part, task):
            cells = where(part, metric=metric, protocol=protocol)
            sheets.append(_verdict_sheet(cells, reference, asked.by_type, correction))
            sheets += _seed_sheet(where(cells, question_type=ALL))
    return sheets


def _verdict_sheet(part: pandas.DataFrame, reference: str, by_type: bool, correction: str) -> Sheet:
    """Return the verdicts of one metric of one protocol in one task."""
    task, metric, protocol = part[["task", "metric", "protocol"]].iloc[0]
    cases = where(part, question_type=ALL)["cases"].dropna().astype(int)
    of = f"{span(cases).removeprefix('n=')} cases" if len(cases) else "no cases"
    cells, runs, rows = cells_of(part), runs_of(part), []
    told = [HOW_COMPARED, *_family(part, correction)]
    for kind in in_order(part["question_type"], KINDS) if by_type else [ALL]:
        for run, label in runs.items():
            if (cell := cells.get((run, kind, metric, protocol))) is None:
                continue
            model, _, control = run
            name = BELOW + control if is_below(run, runs) else label
            is_reference = model == reference and control == NONE
            place = (name, kind) if by_type else (name,)
            rows.append((*place, *_said(cell, metric, protocol, is_reference)))
            told += _remarks(cell, label, kind, is_reference)
    shown_rows = part if by_type else where(part, question_type=ALL)
    if len(cases) and shown_rows["cases"].min() < FEW:
        told.append(FEW_CASES)
    if (shown_rows["lo"] == shown_rows["hi"]).any():
        told.append(NO_WIDTH)
    return Sheet(
        title=f"{task}: {beside_trivial(metric, protocol)}, {protocol}, {of}, against {reference}",
        heads=("model", *(["question type"] if by_type else []), *HEADS),
        rows=tuple(rows),
        section=task,
        told=tuple(told),
    )


def _family(part: pandas.DataFrame, correction: str) -> Iterator[str]:
    """Yield how many comparisons of one metric were corrected together, and how."""
    task, metric, protocol = part[["task", "metric", "protocol"]].iloc[0]
    tested = part[part["p"].notna()]
    models = int((tested["control"] == NONE).sum())
    controls = f" and, apart, {len(tested) - models} of controls" if len(tested) > models else ""
    if len(tested):
        yield (
            f"{task}, {metric} of protocol {protocol}: corrected by {CORRECTION_NAMES[correction]} "
            f"over {models} comparisons of models{controls}."
        )


def _remarks(cell: Any, label: str, kind: str, is_reference: bool) -> Iterator[str]:
    """Yield what differs in the records of a comparison, or why there is none."""
    of = label if kind == ALL else f"{label}, {kind}"
    if cell["p"] == cell["p"] and cell["pair_n"] != cell["n"]:
        yield (
            f"{of}: the difference is over the {cell['pair_n']} records of {cell['pair_cases']} "
            f"cases that both answered, the value over {cell['n']} of {cell['cases']}."
        )
    if cell["p"] != cell["p"] and cell["lo"] == cell["lo"] and not is_reference:
        gallery = " of one gallery" if cell["task"] == Task.RETRIEVAL else ""
        yield f"{of}: not compared, there are no shared records{gallery}."


def _said(cell: Any, metric: str, protocol: str, is_reference: bool) -> tuple[str, ...]:
    """Return what stands below HEADS."""
    value = shown(cell, metric, protocol, short=True) + _ends(cell, "", metric, protocol)
    if cell["p_adjusted"] != cell["p_adjusted"]:
        return value, "reference" if is_reference else "", "", "", ""
    difference = _points(cell["difference"], metric, protocol, "+")
    difference += _ends(cell, "difference_", metric, protocol, "+")
    least = cell["detectable"]
    could = "" if least != least else _points(least, metric, protocol)
    p = f"{cell['p_adjusted']:.3f}" if cell["p_adjusted"] >= 0.0005 else "<0.001"
    return value, difference, p, verdict_of(cell), could


def _ends(cell: Any, prefix: str, metric: str, protocol: str, sign: str = "") -> str:
    low, high = cell[f"{prefix}lo"], cell[f"{prefix}hi"]
    if low != low:
        return ""
    ends = (_points(end, metric, protocol, sign) for end in (low, high))
    return f" [{', '.join(ends)}]"


def _points(value: float, metric: str, protocol: str, sign: str = "") -> str:
    unit = unit_of(metric, protocol)
    scale, digits = {"percent": (100, 1), "rank": (1, 1)}.get(unit, (1, 3))
    return f"{scale * value:{sign}.{digits}f}"


def _seed_sheet(part: pandas.DataFrame) -> Iterator[Sheet]:
    """Yield, where models have several seeds, the mean and both spreads of one metric.

    The spread over cases and the spread over seeds stand apart: more seeds replace no cases.
    """
    task, metric, protocol = part[["task", "metric", "protocol"]].iloc[0]
    rows = []
    for model, mine in part[part["lo"].notna() & (part["control"] == NONE)].groupby("model"):
        if len(mine) > 1:
            found = spread(mine["value"].tolist(), mine["standard_error"].tolist())
            numbers = (mine["value"].mean(), *found)
            rows.append(
                (model, str(len(mine)), *(_points(each, metric, protocol) for each in numbers))
            )
    if rows:
        title = f"{task}: {beside_trivial(metric, protocol)}, {protocol}, over seeds"
        yield Sheet(title, SEED_HEADS, tuple(rows), task)
