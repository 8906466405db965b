"""Is one row better than another? Intervals, paired differences and corrected p-values of a table.

All questions of a case move together: a draw takes whole cases, a permutation swaps the answers of
two rows case by case. Letters: c cases, r draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tomovox.judge.best import Tests, best_runs
from tomovox.judge.cells import Run
from tomovox.judge.columns import Column, Pair, Statistic, columns_of
from tomovox.judge.score import Sample
from tomovox.schema import NONE, TomovoxError
from tomovox.statistics.bootstrap import interval, shared_draws, standard_error
from tomovox.statistics.multiplicity import benjamini_hochberg, holm
from tomovox.statistics.paired import difference, permutation_p
from tomovox.statistics.power import detectable

if TYPE_CHECKING:
    import pandas

CORRECTIONS: Mapping[str, Callable[[Any], Any]] = {"holm": holm, "bh": benjamini_hochberg}
CORRECTION_NAMES = {"holm": "Holm", "bh": "Benjamini-Hochberg"}
LEVEL, SIGNIFICANT = 0.95, 0.05
DRAWS, SWAPS, SEED = 2000, 10_000, 0
"""Draws of an interval, and swaps of a test: a corrected p must be able to be small."""


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


ALONE = ("lo", "hi", "standard_error", "cases")
COMPARED = (
    *ALONE,
    *("difference", "difference_lo", "difference_hi", "difference_standard_error"),
    *("pair_n", "pair_cases"),
)
TESTED = ("p", "p_adjusted", "detectable", "best")
"""Columns that a comparison adds to the long table, those of ALONE without regard to other rows.

`lo` and `hi` end the interval of the value, `standard_error` is its own, `cases` how many its
records come from. `difference` is to the reference for a model, and to the model itself for a
control, over the `pair_n` records of `pair_cases` cases that both answered; its interval is not
corrected. `p_adjusted` is corrected over the family: all rows and question types of one metric of
one protocol in one task, controls apart. `detectable` is the difference that such a pair shows four
times of five although it is corrected as the smallest p of its family; NaN where no record tells
the two apart. `best` marks the runs of a model that `best_runs` finds best, if each of them is also
better than the reference by `p_adjusted`.
"""
WHOLE = ("cases", "pair_n", "pair_cases")
"""Those of the columns that are whole numbers."""

Cells = dict[tuple[Run, str], dict[str, float]]
"""Run and question type -> what is added to their row."""


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
    found = {
        _place(column): _cells(column, reference, comparison) for column in columns_of(samples)
    }
    table = _with(frame, found, (*COMPARED, *TESTED))
    table["best"] = table["best"].fillna(0).astype(bool)
    return table


def with_intervals(
    frame: pandas.DataFrame, samples: Mapping[Run, Iterable[Sample]]
) -> pandas.DataFrame:
    """Return the long table with the columns ALONE, the numbers of `compared`."""
    found = {_place(column): _alone(column) for column in columns_of(samples)}
    return _with(frame, found, ALONE)


def _place(column: Column) -> tuple[str, str, str]:
    return column.task, column.metric, column.protocol


def _with(
    frame: pandas.DataFrame, found: Mapping[tuple[str, str, str], Cells], names: Iterable[str]
) -> pandas.DataFrame:
    """Return the long table with the columns `names` of the cells of each column."""
    import pandas

    added: list[dict[str, float]] = []
    for row in frame.to_dict("records"):
        seed = None if pandas.isna(row["seed"]) else int(row["seed"])
        run = (row["model"], seed, row["control"])
        cells = found.get((row["task"], row["metric"], row["protocol"]), {})
        added.append(cells.get((run, row["question_type"]), {}))
    extra = pandas.DataFrame(added, columns=list(names), index=frame.index)
    whole = [name for name in WHOLE if name in extra]
    return frame.join(extra.astype(dict.fromkeys(whole, "Int64")))


def _alone(column: Column) -> Cells:
    """Return the columns ALONE of each run and question type of a column."""
    weights = shared_draws(len(column.case_index), DRAWS, SEED)
    cells: Cells = {}
    for run in sorted(column.runs, key=str):
        for kind in column.kinds:
            own: Statistic | None = column.statistic(run, kind)
            if own is not None:
                drawn, cases = own.replicates(weights), column.counts(run, kind)[1]
                numbers = (*interval(drawn, LEVEL), standard_error(drawn), cases)
                cells[run, kind] = dict(zip(ALONE, numbers, strict=True))
    return cells


def _cells(column: Column, reference: str, comparison: Comparison) -> Cells:
    """Return what the statistics say of each run and question type of a column."""
    weights = shared_draws(len(column.case_index), DRAWS, SEED)
    cells, tests = _alone(column), _tests(column)
    families: dict[bool, list[tuple[Run, str]]] = {False: [], True: []}
    for run, kind in cells:
        partner = _partner(run, reference, column.runs)
        if partner is not None and (pair := column.pair(run, partner, kind)):
            counts = column.counts(run, kind, partner)
            cells[run, kind] |= _difference(pair, weights)
            cells[run, kind] |= dict(zip(("pair_n", "pair_cases"), counts, strict=True))
            cells[run, kind]["p"] = tests(run, partner, kind)
            families[run[2] != NONE].append((run, kind))
    correction = CORRECTIONS[comparison.correction]
    for family in families.values():
        adjusted = correction(np.array([cells[key]["p"] for key in family]))
        for key, p in zip(family, adjusted.tolist(), strict=True):
            error = cells[key]["difference_standard_error"]
            cells[key]["p_adjusted"] = p
            if error > 0:  # two runs that are right in the same places show no noise
                cells[key]["detectable"] = detectable(error, level=SIGNIFICANT / len(family))
    best: dict[str, list[dict[str, float]]] = {}
    for run, kind in best_runs(column, tests, correction, SIGNIFICANT):
        best.setdefault(kind, []).append(cells[run, kind])
    for mine in best.values():
        if all(cell.get("p_adjusted", 0.0) < SIGNIFICANT for cell in mine):
            for cell in mine:
                cell["best"] = 1.0
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


def _tests(column: Column) -> Tests:
    """Return what gives p of two runs of a column; each two are tested once."""
    known: dict[tuple[Run, Run, str], float] = {}

    def p_of(one: Run, other: Run, kind: str) -> float:
        if (other, one, kind) in known:
            return known[other, one, kind]
        if (one, other, kind) not in known:
            pair = column.pair(one, other, kind)
            tested = None if pair is None else permutation_p(*pair, SWAPS, SEED)
            known[one, other, kind] = float("nan") if tested is None else tested
        return known[one, other, kind]

    return p_of


def _difference(pair: Pair, weights: Any) -> dict[str, float]:
    """Return the columns of a difference that its draws tell."""
    found = difference(*pair, weights, LEVEL)
    return {
        "difference": found.point,
        "difference_lo": found.lo,
        "difference_hi": found.hi,
        "difference_standard_error": found.standard_error,
    }
