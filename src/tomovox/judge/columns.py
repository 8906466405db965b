"""What did each run contribute to a metric, and of which records can two runs be compared?

Letters: n records, c cases, k counts of a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from statistics import fmean, median
from typing import Any

import numpy as np

from tomovox.judge.cells import Run
from tomovox.judge.score import ALL, MACRO, Sample
from tomovox.metrics.catalogue import METRICS, metric_key
from tomovox.metrics.metric import Metric
from tomovox.schema import Task
from tomovox.statistics.clusters import Additive, Rank, index_of, macro_of, mean_of, pooled

Statistic = Additive | Rank
Pair = tuple[Any, Any]
"""Two statistics of one kind: of one column, so both sums or both medians."""


@dataclass(frozen=True)
class Answers:
    """What the records of one run contribute to a metric, in the order of their ids."""

    ids: list[str]
    cases: list[str]
    kinds: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Answers:
        """Return the contributions of samples of one column: numbers, or rows of counts."""
        ordered = sorted(samples, key=lambda s: s["id"])
        return cls(
            [s["id"] for s in ordered],
            [s["case"] for s in ordered],
            np.array([s["question_type"] for s in ordered]),
            np.array([s["counts"] if "counts" in s else s["value"] for s in ordered], float),
        )

    def only(self, ids: set[str]) -> Answers:
        """Return the contributions of the records `ids`."""
        kept = [record in ids for record in self.ids]
        return Answers(
            list(compress(self.ids, kept)),
            list(compress(self.cases, kept)),
            self.kinds[kept],
            self.values[kept],
        )


@dataclass
class Column:
    """One metric of one protocol in one task, and what each run contributes to it."""

    task: str
    metric: str
    protocol: str
    runs: dict[Run, Answers]
    _made: dict[tuple[Run, str], Statistic | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def case_index(self) -> dict[str, int]:
        """Place of each case among all cases of the column."""
        cases = {case for answers in self.runs.values() for case in answers.cases}
        return {case: place for place, case in enumerate(sorted(cases))}

    @cached_property
    def case_places(self) -> dict[Run, np.ndarray]:
        """Place of the case of each record of a run, in the order of its ids."""
        return {
            run: np.array([self.case_index[case] for case in answers.cases])
            for run, answers in self.runs.items()
        }

    @cached_property
    def kinds(self) -> list[str]:
        """All records, the mean of the question types where there are several, and each type."""
        types = {str(k) for answers in self.runs.values() for k in np.unique(answers.kinds)} - {""}
        return [ALL, *([MACRO] if len(types) > 1 else []), *sorted(types)]

    @property
    def known(self) -> Metric | None:
        """The metric of the catalogue; None for another, such as a language model's grade."""
        return METRICS.get(metric_key(self.metric, self.protocol))

    def statistic(self, run: Run, kind: str, among: Run | None = None) -> Statistic | None:
        """Return a run's value of a question type over all cases of the column.

        With `among`, only of the records that this other run answered too. None where there are no
        such records, and for the mean of the types of what is no mean itself.
        """
        if among is not None and self.runs[among].ids != self.runs[run].ids:
            return self._statistic(run, kind, self._chosen(run, kind, among))
        if (run, kind) not in self._made:
            self._made[run, kind] = self._statistic(run, kind, self._chosen(run, kind))
        return self._made[run, kind]

    def _statistic(self, run: Run, kind: str, chosen: np.ndarray) -> Statistic | None:
        if not chosen.any():
            return None
        answers = self.runs[run]
        pool = fmean if self.known is None else self.known.pool
        index = self.case_places[run][chosen]
        values, cases = answers.values[chosen], len(self.case_index)
        if values.ndim == 2:
            many = None if self.known is None else self.known.pool_rows
            rows = _row_by_row(pool) if many is None else many
            return None if kind == MACRO else pooled(values, index, cases, rows)
        if pool is median:
            return None if kind == MACRO else Rank(values, index, cases)
        if kind == MACRO:
            types, names = index_of(answers.kinds[chosen].tolist())
            return macro_of(values, index, types, cases, len(names))
        return mean_of(values, index, cases)

    def pair(self, one: Run, other: Run, kind: str) -> Pair | None:
        """Return both runs' values of the records that both answered.

        None without any such record. A rank of retrieval depends on the gallery that it was found
        in: there, None unless both answered the same records.
        """
        if not self.are_comparable((one, other)):
            return None
        a, b = self.statistic(one, kind, other), self.statistic(other, kind, one)
        return None if a is None or b is None else (a, b)

    def are_comparable(self, runs: Sequence[Run]) -> bool:
        """Return whether the shared records of runs were asked alike: retrieval, of one gallery."""
        first, *others = (self.runs[run].ids for run in runs)
        return self.task != Task.RETRIEVAL or all(ids == first for ids in others)

    def common(self, runs: Sequence[Run]) -> Column | None:
        """Return the column of these runs alone, of the records that every one of them answered.

        None where a run is not there, where they have no record in common, and as `pair` says.
        """
        if not self.runs.keys() >= set(runs) or not self.are_comparable(runs):
            return None
        mine = {run: self.runs[run] for run in runs}
        shared = set.intersection(*(set(answers.ids) for answers in mine.values()))
        cut = {run: found.only(shared) for run, found in mine.items()}
        return Column(self.task, self.metric, self.protocol, cut) if shared else None

    def counts(self, run: Run, kind: str, among: Run | None = None) -> tuple[int, int]:
        """Return how many records a run has of a question type, and from how many cases.

        With `among`, only those that this other run answered too.
        """
        chosen = self._chosen(run, kind, among)
        return int(chosen.sum()), len(np.unique(self.case_places[run][chosen]))

    def _chosen(self, run: Run, kind: str, among: Run | None = None) -> np.ndarray:
        answers = self.runs[run]
        chosen = np.ones(len(answers.ids), bool)
        if kind not in (ALL, MACRO):
            chosen = answers.kinds == kind
        if among is not None and self.runs[among].ids != answers.ids:
            chosen = chosen & np.isin(answers.ids, self.runs[among].ids)
        return chosen


def columns_of(samples: Mapping[Run, Iterable[Sample]]) -> list[Column]:
    """Return a column for each metric of each protocol and task, in order of first appearance."""
    found: dict[tuple[str, str, str], dict[Run, list[Sample]]] = {}
    for run, contributions in samples.items():
        for sample in contributions:
            key = (sample["task"], sample["metric"], sample["protocol"])
            found.setdefault(key, {}).setdefault(run, []).append(sample)
    return [
        Column(*key, {run: Answers.of(mine) for run, mine in runs.items()})
        for key, runs in found.items()
    ]


def _row_by_row(pool: Callable[[Any], float]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda rows: np.array([pool(row) for row in rows.tolist()])
