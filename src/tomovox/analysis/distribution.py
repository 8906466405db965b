"""How do scores lie over the slices of a volume: sharp or flat, and where?

Entropy, effective slices and top-k mass grow or shrink with the number of slices; beside uniform on
the same records, and as depth 0 to 1, volumes of all sizes may stand in one mean.
Letters: m records, r records of one number of slices, n slices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from tomovox.analysis.attended import Attended, Stack, in_order, measured, stacks
from tomovox.analysis.depth import positions
from tomovox.analysis.priors import uniform
from tomovox.analysis.rows import Measure, Row, mean_rows, parts


def entropy(scores: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r"]:
    """Return the entropy in nats: 0 for one slice, log n for uniform."""
    positive = scores > 0
    logs = np.log(scores, out=np.zeros_like(scores), where=positive)
    return 0.0 - (scores * logs).sum(axis=1)


def effective_slices(scores: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r"]:
    """Return exp(entropy): over how many slices uniform scores would be as flat."""
    return np.exp(entropy(scores))


def centre(scores: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r"]:
    """Return the centre of mass: 0 at the first slice, 1 at the last."""
    return scores @ positions(scores.shape[1])


def spread(scores: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r"]:
    """Return the standard deviation about the centre of mass, as a share of the depth."""
    offsets = positions(scores.shape[1]) - centre(scores)[:, None]
    return np.sqrt((scores * offsets**2).sum(axis=1))


def top_mass(scores: Float[np.ndarray, "r n"], k: int) -> Float[np.ndarray, "r"]:
    """Return the sum of the k highest scores; 1 for k of n or more."""
    return np.sort(scores, axis=1)[:, ::-1][:, :k].sum(axis=1)


Statistic = Callable[[Float[np.ndarray, "r n"]], Float[np.ndarray, "r"]]

DISTRIBUTION: Mapping[str, Statistic] = {
    "entropy": entropy,
    "effective_slices": effective_slices,
    "centre": centre,
    "spread": spread,
    "top1_mass": lambda scores: top_mass(scores, 1),
    "top3_mass": lambda scores: top_mass(scores, 3),
    "top5_mass": lambda scores: top_mass(scores, 5),
}
"""Name in column `statistic` -> the number it makes of each row of scores."""

EITHER_SIDE = frozenset(("centre", "spread"))
"""The statistics that uniform scores do not bound: only these can be tested against them."""


def distribution_rows(records: Iterable[Attended]) -> list[Row]:
    """Return every statistic of one run's scores against uniform scores of the same volumes.

    Nothing is flatter than uniform: where that alone decides the sign, there is no p.
    """
    ordered = in_order(records)
    found = stacks(ordered)
    flat = uniform(ordered, found)
    measures = []
    for name, of in DISTRIBUTION.items():
        known = {"uniform": _each(flat, of)}
        measures.append(Measure(name, _each(found, of), known, tested=name in EITHER_SIDE))
    return list(mean_rows(measures, parts(ordered)))


def _each(found: Sequence[Stack], statistic: Statistic) -> Float[np.ndarray, "m"]:
    return measured(found, lambda stack: statistic(stack.scores))
