"""What is one line of the table? A statistic of a group of records, beside that of a baseline.

The unit is the case (patient): its records are drawn, and swapped with the baseline's, together.
Letters: m records, k records of a group, c cases, r draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from tomovox.analysis.attended import Attended
from tomovox.statistics.bootstrap import draws, interval
from tomovox.statistics.clusters import index_of, mean_of
from tomovox.statistics.paired import permutation_p

ALL = "all"
"""Question type of a group over all of them."""

LEAST_CASES = 10
"""A plane or a phase of fewer cases has no rows: their interval would say nothing."""

FEWEST = 2
"""Of fewer cases there is no interval: all draws would be alike, and seem certain."""

DRAWS, SWAPS, SEED = 2000, 2000, 0
"""Draws of an interval and swaps of a test. The smallest p is 1 in 2001: corrected over the about
forty groups of one statistic, it stays below 0.05."""


class Group(NamedTuple):
    """Which records a row is about; "" is every plane, or every phase."""

    task: str
    question_type: str = ALL
    plane: str = ""
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A statistic of one run: what the columns of the table mean.

    `value` has the 95 % interval `lo` to `hi`, over `n` records of `cases` cases; of fewer than
    FEWEST cases all intervals are nan. `against` names a
    baseline, "" where there is none; `baseline` is what it scores on the same records, and
    `difference` is value - baseline with its paired interval. `p` is that of no difference.
    `hidden` says where slices were hidden to measure this, "" where none were.
    """

    statistic: str
    task: str
    question_type: str
    plane: str
    phase: str
    value: float
    lo: float
    hi: float
    against: str
    baseline: float
    difference: float
    difference_lo: float
    difference_hi: float
    p: float
    n: int
    cases: int
    hidden: str = ""


@runtime_checkable
class Metric(Protocol):
    """A number of cases that can be drawn again."""

    def point(self) -> float:
        """Return the number of all cases."""

    def replicates(self, weights: Int[np.ndarray, "r c"]) -> Float[np.ndarray, "r"]:
        """Return the number of each draw."""


class Part(NamedTuple):
    """A group, its records' places, and the place of each record's case among the group's."""

    group: Group
    places: Int[np.ndarray, "k"]
    case_index: Int[np.ndarray, "k"]
    cases: int


class Measure(NamedTuple):
    """A statistic: one number a record, and what each baseline has for the same records.

    It is not `tested` where the sign of the difference is known before anything is measured.
    """

    statistic: str
    values: Float[np.ndarray, "m"]
    baselines: Mapping[str, Float[np.ndarray, "m"]]
    tested: bool = True


def parts(records: Sequence[Attended]) -> Iterator[Part]:
    """Yield each task, its question types, and its planes and phases of LEAST_CASES cases."""
    tasks = np.array([record.task for record in records])
    kinds = {
        name: np.array([getattr(record, name) for record in records])
        for name in ("question_type", "plane", "phase")
    }
    for task in sorted(set(tasks)):
        yield part(records, Group(task), np.flatnonzero(tasks == task))
        for name, values in kinds.items():
            for value in sorted(set(values[tasks == task]) - {""}):
                places = np.flatnonzero((tasks == task) & (values == value))
                found = part(records, Group(task)._replace(**{name: value}), places)
                if name == "question_type" or found.cases >= LEAST_CASES:
                    yield found


def part(records: Sequence[Attended], group: Group, places: Int[np.ndarray, "k"]) -> Part:
    """Return a group of the records at these places."""
    case_index, names = index_of([records[place].case for place in places])
    return Part(group, places, case_index, len(names))


def mean_rows(measures: Sequence[Measure], groups: Iterable[Part]) -> Iterator[Row]:
    """Yield the mean over the records of each group, a row for each baseline (or one without)."""
    for found in groups:
        for measure in measures:
            mean = mean_of(measure.values[found.places], found.case_index, found.cases)
            if not measure.baselines:
                yield row(measure.statistic, found, mean)
            for name, values in measure.baselines.items():
                base = mean_of(values[found.places], found.case_index, found.cases)
                p = permutation_p(mean, base, SWAPS, SEED) if measure.tested else float("nan")
                yield row(measure.statistic, found, mean, name, base, p)


def row(
    statistic: str,
    found: Part,
    metric: Metric,
    against: str = "",
    baseline: Metric | float = float("nan"),
    p: float = float("nan"),
) -> Row:
    """Return the row of a metric over the cases of a group, paired with its baseline by draw.

    A baseline that is a number is not drawn: the difference has no interval then.
    """
    nothing = float("nan"), float("nan")
    ends, (low, high) = nothing, nothing
    value, base = metric.point(), baseline if isinstance(baseline, float) else baseline.point()
    if found.cases >= FEWEST:
        weights = draws_of(found.cases)
        drawn = metric.replicates(weights)
        ends = interval(drawn)
        if not isinstance(baseline, float):
            low, high = interval(drawn - baseline.replicates(weights))
    return Row(
        statistic,
        *found.group,
        value,
        *ends,
        against=against,
        baseline=base,
        difference=value - base,
        difference_lo=low,
        difference_hi=high,
        p=p,
        n=len(found.places),
        cases=found.cases,
    )


@lru_cache(maxsize=4)
def draws_of(cases: int) -> Int[np.ndarray, "r c"]:
    """Return the draws that every number over so many cases is computed on."""
    return draws(cases, DRAWS, SEED)
