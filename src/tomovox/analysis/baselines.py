"""What would finding the evidence be worth that needs neither the question nor the image?

Every baseline returns the stacks it was given, with other scores.
Letters: m records, r records of one number of slices, n slices, g bins of depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from zlib import crc32

import numpy as np
from jaxtyping import Float

from tomovox.analysis.attended import Attended, Stack, shares
from tomovox.analysis.depth import GRID, overlap
from tomovox.statistics.clusters import index_of


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

    They are drawn from the volume's name, so that no other record changes them.
    """
    priors = []
    for stack in found:
        names = [records[place].volume for place in stack.places]
        drawn = {name: _normal(name, stack.scores.shape[1]) for name in set(names)}
        rows = np.exp(np.stack([drawn[name] for name in names]))
        priors.append(stack._replace(scores=shares(rows)))
    return priors


def area(records: Sequence[Attended], found: Sequence[Stack]) -> list[Stack]:
    """Return where the evidence of the other cases lies: the mean over their records, by depth.

    The evidence of a record weighs 1, spread over its slices; the case's own records are left out.
    Every record needs evidence, and there must be two cases: else rows are nan.
    """
    case_index, names = index_of([record.case for record in records])
    sums = np.zeros((len(names), GRID))
    for stack in found:
        depth = shares(stack.evidence.astype(float)) @ overlap(stack.evidence.shape[1], GRID)
        np.add.at(sums, case_index[stack.places], depth)
    others = (sums.sum(axis=0) - sums).clip(min=0)
    counts = np.bincount(case_index, minlength=len(names))
    others[counts == counts.sum()] = np.nan
    return [
        stack._replace(
            scores=shares(others[case_index[stack.places]] @ overlap(GRID, stack.evidence.shape[1]))
        )
        for stack in found
    ]


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
