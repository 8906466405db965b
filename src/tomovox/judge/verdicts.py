"""Is it better, and does it look? The primary metric of each task, with what the statistics say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tomovox.judge.cells import (
    in_order,
    lower_is_better,
    one_line,
    runs_of,
    shown,
    span,
    unit_of,
    where,
)
from tomovox.judge.compare import SIGNIFICANT
from tomovox.judge.protocols import task_protocol
from tomovox.judge.score import ALL
from tomovox.schema import NONE, Task
from tomovox.statistics.power import detectable
from tomovox.statistics.seeds import spread

if TYPE_CHECKING:
    import pandas
    from rich.console import Console

HEADS = ("model", "value [95 %]", "difference [95 %]", "p, adjusted", "verdict", "could show")
HOW_COMPARED = (
    "Paired by record; 95 % intervals from a bootstrap over cases; p from swapping the answers of "
    "two rows case by case, corrected over all rows and question types of a metric. A model is "
    "compared with the reference, a control with its model. The last column is the smallest "
    "difference that so many cases show four times of five."
)
NORMAL = 1.959964
"""Half the width of a 95 % interval in standard errors."""


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


def verdict_rows(frame: pandas.DataFrame, task: str, reference: str) -> list[tuple[str, ...]]:
    """Return a row of HEADS for every run that has the primary metric of a task.

    A model is compared with the reference, a control with its model. "could show" is the smallest
    difference that so many cases show four times of five.
    """
    metric, _, protocol = task_protocol(Task(task)).primary.partition(".")
    part = where(frame, task=task, metric=metric, protocol=protocol, question_type=ALL)
    rows: list[tuple[str, ...]] = []
    for run, label in runs_of(part).items():
        model, seed, control = run
        mine = where(part, model=model, control=control)
        mine = mine[mine["seed"].isna()] if seed is None else mine[mine["seed"] == seed]
        cell = mine.to_dict("records")[0]
        name = label if control == NONE else f"  {control}"
        value = shown(cell, metric, protocol, short=True) + _ends(cell, "", metric, protocol)
        if cell["p_adjusted"] != cell["p_adjusted"]:
            alone = "reference" if run[0] == reference and control == NONE else ""
            rows.append((name, value, alone, "", "", ""))
            continue
        difference = _points(cell["difference"], metric, protocol, "+")
        difference += _ends(cell, "difference_", metric, protocol, "+")
        least = _points(_least(cell), metric, protocol)
        rows.append((name, value, difference, f"{cell['p_adjusted']:.3f}", verdict_of(cell), least))
    return rows


def _least(cell: Any) -> float:
    error = (cell["difference_hi"] - cell["difference_lo"]) / (2 * NORMAL)
    return detectable(error)


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


def print_verdicts(frame: pandas.DataFrame, reference: str, console: Console) -> None:
    """Print a table of verdicts per task that has its primary metric, then the spread of seeds."""
    from rich.markup import escape
    from rich.table import Table

    for task in in_order(frame["task"], [str(task) for task in Task]):
        rows = verdict_rows(frame, task, reference)
        if not rows:
            continue
        table = Table(title=escape(title_of(frame, task, reference)), title_justify="left")
        for head in HEADS:
            table.add_column(head, justify="left" if head == "model" else "right")
        for row in rows:
            table.add_row(*(escape(one_line(text)) for text in row))
        console.print(table)
    for line in seed_lines(frame):
        console.print(escape(one_line(line)), highlight=False)


def title_of(frame: pandas.DataFrame, task: str, reference: str) -> str:
    """Return what a table of verdicts compares: task, metric, cases, reference."""
    primary = task_protocol(Task(task)).primary
    metric, _, protocol = primary.partition(".")
    part = where(frame, task=task, metric=metric, protocol=protocol, question_type=ALL)
    cases = part["cases"].dropna().astype(int)
    of = f"{span(cases).replace('n=', '')} cases" if len(cases) else "no cases"
    return f"{task}: {metric}, {protocol}, {of}, against {reference}"


def seed_lines(frame: pandas.DataFrame) -> list[str]:
    """Return, for models of several seeds, mean and both spreads of each task's primary metric.

    The spread over cases and the spread over seeds stand apart: more seeds replace no cases.
    """
    lines = []
    for task in in_order(frame["task"], [str(task) for task in Task]):
        metric, _, protocol = task_protocol(Task(task)).primary.partition(".")
        part = where(frame, task=task, metric=metric, protocol=protocol, question_type=ALL)
        part = part[part["lo"].notna() & (part["control"] == NONE)]
        for model, rows in part.groupby("model"):
            if len(rows) < 2:
                continue
            errors = (rows["hi"] - rows["lo"]) / (2 * NORMAL)
            found = spread(rows["value"].tolist(), errors.tolist())
            mean = _points(rows["value"].mean(), metric, protocol)
            over_cases = _points(found.sample_sd, metric, protocol)
            over_seeds = _points(found.seed_sd or 0.0, metric, protocol)
            lines.append(
                f"{task}, {metric}: {model} over {len(rows)} seeds: mean {mean}, sd from other "
                f"cases {over_cases}, sd from other seeds {over_seeds}"
            )
    return lines
