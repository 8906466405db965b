"""Is one row better than another? Intervals, paired differences and corrected p-values of a table.

All questions of a case move together: a draw takes whole cases, a permutation swaps the answers of
two rows case by case. Letters: c cases, r draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np

from tomovox.judge.cells import Run, lower_is_better
from tomovox.judge.score import ALL, MACRO, Sample
from tomovox.metrics.bleu import bleu_of_counts, bleu_of_rows
from tomovox.metrics.catalogue import METRICS, metric_key
from tomovox.metrics.metric import Metric
from tomovox.schema import NONE, TomovoxError
from tomovox.statistics.bootstrap import draws, interval
from tomovox.statistics.clusters import Additive, Rank, index_of, macro_of, mean_of, pooled
from tomovox.statistics.multiplicity import benjamini_hochberg, holm
from tomovox.statistics.paired import difference, permutation_p

if TYPE_CHECKING:
    import pandas

CORRECTIONS: Mapping[str, Callable[[Any], Any]] = {"holm": holm, "bh": benjamini_hochberg}
LEVEL, SIGNIFICANT = 0.95, 0.05
DRAWS, SWAPS, SEED = 2000, 10_000, 0
"""Draws of an interval, and swaps of a test: a corrected p must be able to be small."""
Statistic = Additive | Rank
Pair = tuple[Any, Any]
"""Two statistics of one kind: of one column, so both sums or both medians."""


@dataclass(frozen=True)
class Comparison:
    """How a table is compared: with which model, and corrected how.

    Without `reference` it is `blind` where there is such a row, else the first model by name.
    """

    reference: str | None = None
    correction: str = "holm"

    def reference_of(self, named: Iterable[str]) -> str:
        """Return the reference among the models that have rows; TomovoxError for another."""
        models = sorted(set(named))
        if self.reference is None:
            return "blind" if "blind" in models else models[0]
        if self.reference not in models:
            raise TomovoxError(
                f"reference {self.reference!r} is no model of this table; it has "
                f"{', '.join(models)}"
            )
        return self.reference


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


@dataclass
class Column:
    """One metric of one protocol in one task, and what each run contributes to it."""

    task: str
    metric: str
    protocol: str
    runs: dict[Run, Answers]

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
        answers, chosen = self.runs[run], self._chosen(run, kind, among)
        if not chosen.any():
            return None
        pool = fmean if self.known is None else self.known.pool
        index = self.case_places[run][chosen]
        values, cases = answers.values[chosen], len(self.case_index)
        if values.ndim == 2:
            rows = bleu_of_rows if pool is bleu_of_counts else _row_by_row(pool)
            return None if kind == MACRO else pooled(values, index, cases, rows)
        if pool is median:
            return None if kind == MACRO else Rank(values, index, cases)
        if kind == MACRO:
            types, names = index_of(answers.kinds[chosen].tolist())
            return macro_of(values, index, types, cases, len(names))
        return mean_of(values, index, cases)

    def cases_of(self, run: Run, kind: str) -> int:
        """Return how many cases a run's records of a question type come from."""
        return len(np.unique(self.case_places[run][self._chosen(run, kind)]))

    def _chosen(self, run: Run, kind: str, among: Run | None = None) -> np.ndarray:
        answers = self.runs[run]
        chosen = np.ones(len(answers.ids), bool)
        if kind not in (ALL, MACRO):
            chosen = answers.kinds == kind
        if among is not None and self.runs[among].ids != answers.ids:
            chosen = chosen & np.isin(answers.ids, self.runs[among].ids)
        return chosen


def _row_by_row(pool: Callable[[Any], float]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda rows: np.array([pool(row) for row in rows.tolist()])


COMPARED = ("lo", "hi", "cases", "difference", "difference_lo", "difference_hi")
TESTED = ("p", "p_adjusted", "best")
"""Columns that a comparison adds to the long table.

`difference` is to the reference for a model, and to the model itself for a control. `p_adjusted` is
corrected over the family: all rows and question types of one metric of one protocol in one task,
controls apart. `best` marks a model that is better than every other, corrected over these.
"""


def compared(
    frame: pandas.DataFrame,
    samples: Mapping[Run, Iterable[Sample]],
    comparison: Comparison | None = None,
) -> pandas.DataFrame:
    """Return the long table with the columns COMPARED and TESTED; what cannot be compared is NaN.

    `samples` are the records' contributions by run. The same table and samples give the same
    numbers, in any order. Raises TomovoxError for an unknown reference.
    """
    comparison = comparison or Comparison()
    reference = comparison.reference_of(model for model, _, _ in samples)
    cells: dict[tuple[Any, ...], dict[str, float]] = {}
    for column in columns_of(samples):
        found = _cells(column, reference, comparison)
        cells |= {(*_place(column), *cell): values for cell, values in found.items()}
    import pandas

    added = []
    for row in frame.to_dict("records"):
        seed = None if pandas.isna(row["seed"]) else int(row["seed"])
        run = (row["model"], seed, row["control"])
        place = (row["task"], row["metric"], row["protocol"], run, row["question_type"])
        added.append(cells.get(place, {}))
    extra = pandas.DataFrame(added, columns=[*COMPARED, *TESTED], index=frame.index)
    extra["cases"] = extra["cases"].astype("Int64")
    extra["best"] = extra["best"].fillna(0).astype(bool)
    return frame.join(extra)


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


def _place(column: Column) -> tuple[str, str, str]:
    return column.task, column.metric, column.protocol


def _cells(
    column: Column, reference: str, comparison: Comparison
) -> dict[tuple[Run, str], dict[str, float]]:
    """Return what the statistics say of each run and question type of a column."""
    weights = draws_of(len(column.case_index), DRAWS)
    cells: dict[tuple[Run, str], dict[str, float]] = {}
    families: dict[bool, list[tuple[Run, str]]] = {False: [], True: []}
    for run in sorted(column.runs, key=str):
        partner = _partner(run, reference, column.runs)
        for kind in column.kinds:
            own = column.statistic(run, kind)
            if own is None:
                continue
            low, high = interval(own.replicates(weights), LEVEL)
            cell: dict[str, float] = {"lo": low, "hi": high, "cases": column.cases_of(run, kind)}
            if partner is not None and (pair := _pair(column, run, partner, kind)):
                cell |= _difference(pair, weights)
                families[run[2] != NONE].append((run, kind))
            cells[run, kind] = cell
    for family in families.values():
        adjusted = CORRECTIONS[comparison.correction](np.array([cells[key]["p"] for key in family]))
        for key, p in zip(family, adjusted.tolist(), strict=True):
            cells[key]["p_adjusted"] = p
    for kind in column.kinds:
        if (best := _best(column, kind)) is not None:
            cells[best, kind]["best"] = 1.0
    return cells


def _partner(run: Run, reference: str, runs: Iterable[Run]) -> Run | None:
    """Return whom a run is compared with; None for the reference itself.

    A control is compared with its model, a model with the reference of its seed, or of the first.
    """
    model, seed, control = run
    if control != NONE:
        own = (model, seed, NONE)
        return own if own in runs else None
    if model == reference:
        return None
    others = sorted((r for r in runs if r[0] == reference and r[2] == NONE), key=str)
    same = [other for other in others if other[1] == seed]
    return next(iter(same or others), None)


def _pair(column: Column, one: Run, other: Run, kind: str) -> Pair | None:
    """Return both runs' values of the records that both answered; None without any."""
    a, b = column.statistic(one, kind, other), column.statistic(other, kind, one)
    return None if a is None or b is None else (a, b)


def _difference(pair: Pair, weights: Any) -> dict[str, float]:
    a, b = pair
    found = difference(a, b, weights, LEVEL)
    return {
        "difference": found.point,
        "difference_lo": found.lo,
        "difference_hi": found.hi,
        "p": permutation_p(a, b, SWAPS, SEED),
    }


def _best(column: Column, kind: str) -> Run | None:
    """Return the model that is better than every other model, corrected over these."""
    points = {
        run: value.point()
        for run in column.runs
        if run[2] == NONE and (value := column.statistic(run, kind)) is not None
    }
    if len({model for model, _, _ in points}) < 2:
        return None
    sign = -1.0 if lower_is_better(column.metric, column.protocol) else 1.0
    first = max(sorted(points, key=str), key=lambda run: sign * points[run])
    pairs = [_pair(column, first, run, kind) for run in points if run[0] != first[0]]
    p = [permutation_p(*pair, SWAPS, SEED) for pair in pairs if pair is not None]
    return first if p and max(holm(np.array(p))) < SIGNIFICANT else None


@cache
def draws_of(cases: int, count: int) -> Any:
    """Return the draws (r c) that every number over so many cases is computed on."""
    return draws(cases, count, SEED)
