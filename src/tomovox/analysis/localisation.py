"""Do scores find the slices that hold the answer, better than a guess that sees nothing?

Only records whose evidence lies on some slices and not on all of them have something to find. All
local questions about a volume may have the same evidence: then a model that marks findings beats
every guess, whatever it is asked. So it is compared with itself too, asked about the whole volume.
Letters: r records of one number of slices, n slices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from tomovox.analysis.attended import (
    SLICE,
    Attended,
    Stack,
    in_order,
    measured,
    shares,
    stacks,
)
from tomovox.analysis.priors import BASELINES
from tomovox.analysis.rows import Measure, Row, mean_rows, parts

OTHER_QUESTION = "other_question"
"""Baseline: the model's own mean scores for questions about the volume that are not local."""


def evidence_mass(stack: Stack) -> Float[np.ndarray, "r"]:
    """Return the sum of the scores on evidence; |E| / n for uniform scores."""
    return (stack.scores * stack.evidence).sum(axis=1)


def pointing_hit(stack: Stack) -> Float[np.ndarray, "r"]:
    """Return 1 where the highest score is on evidence, else 0; slices that tie share the hit.

    Source: Zhang et al., Top-down Neural Attention by Excitation Backprop (ECCV 2016), the
    pointing game.
    """
    highest = stack.scores == stack.scores.max(axis=1, keepdims=True)
    return (highest & stack.evidence).sum(axis=1) / highest.sum(axis=1)


def evidence_rank(stack: Stack) -> Float[np.ndarray, "r"]:
    """Return how often a slice of evidence scores above another one, ties half: the AUROC.

    1 when all evidence stands above the rest, 0.5 by chance. Evidence must be on some slices and
    not on all.
    """
    from scipy.stats import rankdata

    count = stack.evidence.sum(axis=1)
    ranks = (rankdata(stack.scores, axis=1) * stack.evidence).sum(axis=1)
    pairs = count * (stack.scores.shape[1] - count)
    return (ranks - count * (count + 1) / 2) / pairs


LOCALISATION: Mapping[str, Callable[[Stack], Float[np.ndarray, "r"]]] = {
    "evidence_mass": evidence_mass,
    "pointing_hit": pointing_hit,
    "evidence_rank": evidence_rank,
}
"""Name in column `statistic` -> the number it makes of each record's scores and evidence."""


def localisation_rows(records: Iterable[Attended]) -> list[Row]:
    """Return how well one run's scores find local evidence, against every baseline, paired.

    Other records are left out: `n` counts those that are not. The baseline `area` needs two cases.
    Against `other_question` only records count whose volume was asked such a question too.
    """
    given = in_order(records)
    ordered = [record for record in given if record.located]
    found = stacks(ordered)
    priors = {name: baseline(ordered, found) for name, baseline in BASELINES.items()}
    if len({record.case for record in ordered}) < 2:
        del priors["area"]
    measures = [
        Measure(
            name, measured(found, of), {key: measured(each, of) for key, each in priors.items()}
        )
        for name, of in LOCALISATION.items()
    ]
    rows = list(mean_rows(measures, parts(ordered)))
    return rows + _against_other_questions(given, ordered)


def _against_other_questions(records: Sequence[Attended], located: Sequence[Attended]) -> list[Row]:
    """Return the rows against the scores for questions of the task and volume with no place."""
    asked: dict[tuple[str, str], list[Attended]] = {}
    for record in records:
        if record.scope and record.scope != SLICE:
            asked.setdefault((record.task, record.volume), []).append(record)
    chosen = [record for record in located if (record.task, record.volume) in asked]
    means = {key: np.mean([r.scores for r in mine], axis=0) for key, mine in asked.items()}
    found = stacks(chosen)
    other = []
    for stack in found:
        rows = [means[chosen[place].task, chosen[place].volume] for place in stack.places]
        other.append(stack._replace(scores=shares(np.array(rows))))
    measures = [
        Measure(name, measured(found, of), {OTHER_QUESTION: measured(other, of)})
        for name, of in LOCALISATION.items()
    ]
    return list(mean_rows(measures, parts(chosen)))
