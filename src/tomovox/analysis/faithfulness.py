"""Do slices with a high score matter more for the answer than others do?

Effects are log-likelihoods of the model's own answer, in nats. Letters: m records, n slices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from tomovox.analysis.agreement import spearman
from tomovox.analysis.hiding import CENTRE, RANDOM, SCORES, Trial
from tomovox.analysis.rows import Measure, Row, mean_rows, parts

CHANCE = "chance"
"""Baseline of a correlation: none at all."""

Effect = Callable[[Trial, str], float]


def deletion_auc(trial: Trial, order: str) -> float:
    """Return the mean loss of likelihood over the course of hiding slices in an order.

    The area under the deletion curve by the share of hidden slices: the larger, the earlier the
    slices that the answer needs are hidden. Source: RISE (Petsiuk et al., BMVC 2018), on
    log-likelihoods.
    """
    return float(np.trapezoid(trial.full - trial.deletion[order], trial.shares))


def insertion_auc(trial: Trial, order: str) -> float:
    """Return the mean gain of likelihood over the course of showing slices, from none to all."""
    curve = trial.insertion[order]
    return float(np.trapezoid(curve - curve[0], trial.shares))


def top_alone(trial: Trial, order: str) -> float:
    """Return the likelihood above that of all slices when the top ones of an order are alone."""
    return trial.top[order] - trial.full


def top_hidden(trial: Trial, order: str) -> float:
    """Return the loss of likelihood when the top slices of an order are hidden."""
    return trial.full - trial.rest[order]


EFFECTS: Mapping[str, Effect] = {
    "deletion_auc": deletion_auc,
    "insertion_auc": insertion_auc,
    "top_alone": top_alone,
    "top_hidden": top_hidden,
}
"""Name in column `statistic` -> what hiding in an order did to the answer of a trial."""


def faithfulness_rows(trials: Iterable[Trial], where: str) -> list[Row]:
    """Return what hiding slices by their scores does, against random and centre order, paired.

    `effect_correlation` is the rank correlation of a slice's score and of what hiding it alone
    costs, against none at all and against that of a Gaussian about the centre. `where` the slices
    were hidden, percept or input, stands in the rows' `hidden`.
    """
    ordered = sorted(trials, key=lambda trial: trial.attended.id)
    if not ordered:
        return []
    measures = [
        Measure(name, _values(ordered, effect, SCORES), _baselines(ordered, effect))
        for name, effect in EFFECTS.items()
    ]
    correlations = np.array([_effect_correlation(t, t.attended.scores) for t in ordered])
    priors = np.array([_effect_correlation(t, _centred(len(t.without))) for t in ordered])
    known = {CHANCE: np.zeros_like(correlations), CENTRE: priors}
    measures.append(Measure("effect_correlation", correlations, known))
    records = [trial.attended for trial in ordered]
    return [replace(row, hidden=where) for row in mean_rows(measures, parts(records))]


def _values(trials: Sequence[Trial], effect: Effect, order: str) -> Float[np.ndarray, "m"]:
    return np.array([effect(trial, order) for trial in trials])


def _baselines(trials: Sequence[Trial], effect: Effect) -> dict[str, Float[np.ndarray, "m"]]:
    return {order: _values(trials, effect, order) for order in (RANDOM, CENTRE)}


def _effect_correlation(trial: Trial, scores: Sequence[float]) -> float:
    lost = trial.full - trial.without
    return float(spearman(np.array([scores]), lost[None])[0])


def _centred(n: int) -> list[float]:
    """Return what ranks slices as a Gaussian about the centre does."""
    return [-abs(place - (n - 1) / 2) for place in range(n)]
