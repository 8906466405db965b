"""Which model is better than every other one? What a table prints in bold.

A model of several seeds is better than another when each of its runs is better than each of the
other's, so that a lucky seed makes no model the best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product

import numpy as np

from tomovox.judge.cells import Run, lower_is_better
from tomovox.judge.columns import Column
from tomovox.schema import NONE

Tests = Callable[[Run, Run, str], float]
"""Two runs and a question type -> p of their difference, of the records that both answered."""


def best_runs(
    column: Column,
    tests: Tests,
    correction: Callable[[np.ndarray], np.ndarray],
    significant: float,
) -> Iterator[tuple[Run, str]]:
    """Yield the runs of the best model of each question type that has one.

    On the records that each two runs share, the best model is ahead of all others, and the largest
    p of these differences, corrected over the question types, is below `significant`. That it must
    win every comparison needs no correction of its own (Berger, Technometrics 24, 1982). A model
    without a record in common with it, or one of another gallery, leaves no best.
    """
    leaders: dict[str, list[Run]] = {}
    p: list[float] = []
    for kind in column.kinds:
        models: dict[str, list[Run]] = {}
        for run in sorted(column.runs, key=str):
            if run[2] == NONE and column.statistic(run, kind) is not None:
                models.setdefault(run[0], []).append(run)
        if len(models) < 2:
            continue
        leaders[kind] = next(
            (mine for mine in models.values() if _leads(column, kind, mine, models.values())), []
        )
        rivals = [run for mine in models.values() if mine != leaders[kind] for run in mine]
        p.append(_largest(leaders[kind], rivals, kind, tests, significant))
    for (kind, mine), adjusted in zip(leaders.items(), correction(np.array(p)), strict=True):
        if adjusted < significant:
            yield from ((run, kind) for run in mine)


def _leads(column: Column, kind: str, mine: list[Run], models: Iterable[list[Run]]) -> bool:
    """Return whether each run of a model is ahead of each of the others on what both answered."""
    sign = -1.0 if lower_is_better(column.metric, column.protocol) else 1.0
    for one, other in ((a, b) for rivals in models if rivals != mine for a in mine for b in rivals):
        pair = column.pair(one, other, kind)
        if pair is None or not sign * (pair[0].point() - pair[1].point()) > 0:
            return False
    return True


def _largest(
    mine: Sequence[Run], rivals: Sequence[Run], kind: str, tests: Tests, significant: float
) -> float:
    """Return the largest p of a leader against its rivals; 1 without a leader.

    One that is not significant is as good as 1, whatever the others are.
    """
    largest = 0.0 if mine else 1.0
    for one, other in product(mine, rivals):
        largest = max(largest, tests(one, other, kind))
        if not largest < significant:
            return 1.0
    return largest
