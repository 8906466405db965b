"""What would finding the evidence be worth that sees neither the question nor the image?

Every baseline returns the stacks it was given, with other scores.
Letters: m records, k records of a group, r records of one number of slices, n slices, g bins of
depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from zlib import crc32

import numpy as np
from jaxtyping import Float, Int

from tomovox.analysis.attended import Attended, Stack, shares
from tomovox.analysis.depth import GRID, overlap
from tomovox.statistics.clusters import index_of

LEAST_OTHERS = 5
"""Other cases that a group needs before it tells where evidence lies."""

WIDER = (("task", "plane", "question_type"), ("task", "plane"), ("task",), ())
"""What the records of a group of the area prior have in common; the first group that has enough
other cases counts. Plane goes after type: it decides which way the slices run."""


def uniform(records: Sequence[Attended], found: Sequence[Stack]) -> list[Stack]:
    """Return 1/n for every slice."""
    return [stack._replace(scores=shares(np.ones_like(stack.scores))) for stack in found]


def gaussian(records: Sequence[Attended], found: Sequence[Stack]) -> list[Stack]:
    """Return a Gaussian about the middle of the volume, with a standard deviation of n/6 slices."""
    priors = []
    for stack in found:
        count = stack.scores.shape[1]
        offsets = (np.arange(count) - (count - 1) / 2) / (count / 6)
        row = np.exp(-0.5 * offsets**2)
        priors.append(stack._replace(scores=shares(np.tile(row, (len(stack.scores), 1)))))
    return priors


def random(records: Sequence[Attended], found: Sequence[Stack]) -> list[Stack]:
    """Return the softmax of standard normal values, the same for all questions of a volume.

    They are drawn from the volume's name, so that no other record changes them. The scoring
    "random" of Med-2E3 is another thing: one row of its own seed for all volumes alike.
    """
    priors = []
    for stack in found:
        names = [records[place].volume for place in stack.places]
        drawn = {name: _normal(name, stack.scores.shape[1]) for name in set(names)}
        rows = np.exp(np.stack([drawn[name] for name in names]))
        priors.append(stack._replace(scores=shares(rows)))
    return priors


def area(records: Sequence[Attended], found: Sequence[Stack]) -> list[Stack]:
    """Return where the evidence of other cases lies: the mean over their records, by depth.

    Those records count that share task, plane and question type; where these are of fewer than
    LEAST_OTHERS other cases the group is a WIDER one, at last all records, of however few cases.
    The evidence of a record weighs 1, spread over its slices; the case's own records are left out.
    Every record needs evidence, and there must be two cases: else rows are nan.
    """
    evidence = np.empty((len(records), GRID))
    for stack in found:
        spread = shares(stack.evidence.astype(float))
        evidence[stack.places] = spread @ overlap(stack.evidence.shape[1], GRID)
    prior = np.full_like(evidence, np.nan)
    for fields in WIDER:
        groups: dict[tuple[str, ...], list[int]] = {}
        for place, record in enumerate(records):
            key = tuple(getattr(record, field) for field in fields)
            groups.setdefault(key, []).append(place)
        for mine in groups.values():
            case_index, names = index_of([records[place].case for place in mine])
            if len(names) > (LEAST_OTHERS if fields else 1):
                missing = np.isnan(prior[mine, 0])
                known = _of_other_cases(evidence[mine], case_index, len(names))
                prior[np.array(mine)[missing]] = known[missing]
    return [
        stack._replace(scores=shares(prior[stack.places] @ overlap(GRID, stack.scores.shape[1])))
        for stack in found
    ]


def _of_other_cases(
    rows: Float[np.ndarray, "k g"], case_index: Int[np.ndarray, "k"], cases: int
) -> Float[np.ndarray, "k g"]:
    """Return, for each row, the sum of the rows of other cases."""
    sums = np.zeros((cases, rows.shape[1]))
    np.add.at(sums, case_index, rows)
    return (sums.sum(axis=0) - sums).clip(min=0)[case_index]


Baseline = Callable[[Sequence[Attended], Sequence[Stack]], list[Stack]]

BASELINES: Mapping[str, Baseline] = {
    "uniform": uniform,
    "gaussian": gaussian,
    "random": random,
    "area": area,
}
"""Name in column `against` -> the scores it gives to stacked records."""


def _normal(volume: str, slices: int) -> Float[np.ndarray, "n"]:
    return np.random.default_rng(crc32(volume.encode())).standard_normal(slices)
