"""How far apart are two distributions, and how far on average over pairs of patients' records?

Letters: m records, g bins of depth, q pairs, c cases, r draws.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from tomovox.statistics.clusters import blocks

SHIFTS = 8
"""A record is paired with at most twice as many others: all pairs would grow with the square."""


def jensen_shannon(
    p: Float[np.ndarray, "q g"], q: Float[np.ndarray, "q g"]
) -> Float[np.ndarray, "q"]:
    """Return the Jensen-Shannon divergence to base 2: 0 when equal, 1 when nowhere both positive.

    Source: Lin, IEEE Transactions on Information Theory 37 (1991).
    """
    apart = _bits((p + q) / 2) - (_bits(p) + _bits(q)) / 2
    return apart.clip(0, 1)


def partners(
    keys: Sequence[Hashable], case_index: Int[np.ndarray, "m"], seed: int
) -> tuple[Int[np.ndarray, "q"], Int[np.ndarray, "q"]]:
    """Return pairs of records of one key and different cases; no pair comes twice.

    All pairs where a key has few records; else, after a shuffle, each with its SHIFTS neighbours
    on either side of a ring.
    """
    places: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    generator = np.random.default_rng(seed)
    left: list[np.ndarray] = [np.zeros(0, dtype=np.intp)]
    right: list[np.ndarray] = [np.zeros(0, dtype=np.intp)]
    for mine in places.values():
        ring = generator.permutation(np.array(mine, dtype=np.intp))
        size = len(ring)
        for shift in range(1, min(size // 2, SHIFTS) + 1):
            # Half way round, the second half of the ring would meet the first half again.
            first = ring[: size // 2] if 2 * shift == size else ring
            left.append(first)
            right.append(np.roll(ring, -shift)[: len(first)])
    a, b = np.concatenate(left), np.concatenate(right)
    apart = case_index[a] != case_index[b]
    return a[apart], b[apart]


def degrees(
    left: Int[np.ndarray, "q"], right: Int[np.ndarray, "q"], records: int
) -> Int[np.ndarray, "m"]:
    """Return in how many pairs each record is."""
    return np.bincount(left, minlength=records) + np.bincount(right, minlength=records)


@dataclass(frozen=True, eq=False)
class PairMean:
    """A mean over pairs of records of different cases, in which both cases are drawn.

    `values` and `weights` are those of the pairs between the cases `a` and `b`. A draw counts a
    pair as often as the product of its cases, so the interval knows that a case is in many pairs.
    """

    values: Float[np.ndarray, "q"]
    weights: Float[np.ndarray, "q"]
    a: Int[np.ndarray, "q"]
    b: Int[np.ndarray, "q"]
    cases: int

    def point(self) -> float:
        """Return the weighted mean over all pairs."""
        return float(self.values @ self.weights / self.weights.sum())

    def replicates(self, weights: Int[np.ndarray, "r c"]) -> Float[np.ndarray, "r"]:
        """Return the mean of each draw, nan for a draw without a pair."""
        sums = self._products(self.values * self.weights, weights)
        counts = self._products(self.weights, weights)
        return np.divide(sums, counts, out=np.full(len(weights), np.nan), where=counts > 0)

    def _products(
        self, entries: Float[np.ndarray, "q"], weights: Int[np.ndarray, "r c"]
    ) -> Float[np.ndarray, "r"]:
        from scipy.sparse import coo_array

        between = coo_array((entries, (self.b, self.a)), shape=(self.cases, self.cases)).tocsr()
        products = np.empty(len(weights))
        for rows in blocks(*weights.shape):
            drawn = weights[rows].astype(float)
            products[rows] = ((between @ drawn.T).T * drawn).sum(axis=1)
        return products


def pair_mean(
    values: Float[np.ndarray, "q"],
    left: Int[np.ndarray, "q"],
    right: Int[np.ndarray, "q"],
    case_index: Int[np.ndarray, "m"],
    cases: int,
) -> PairMean:
    """Return the mean over records of the mean over their pairs."""
    count = degrees(left, right, len(case_index))
    weights = 1 / count[left] + 1 / count[right]
    return PairMean(values, weights, case_index[left], case_index[right], cases)


def record_means(
    values: Float[np.ndarray, "q"],
    left: Int[np.ndarray, "q"],
    right: Int[np.ndarray, "q"],
    records: int,
) -> Float[np.ndarray, "m"]:
    """Return each record's mean over the pairs that it is in, nan where it is in none."""
    sums = np.bincount(left, values, records) + np.bincount(right, values, records)
    count = degrees(left, right, records)
    return np.divide(sums, count, out=np.full(records, np.nan), where=count > 0)


def _bits(rows: Float[np.ndarray, "q g"]) -> Float[np.ndarray, "q"]:
    logs = np.log2(rows, out=np.zeros_like(rows), where=rows > 0)
    return 0.0 - (rows * logs).sum(axis=-1)
