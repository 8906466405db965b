"""In which order are studies visited in training, and how often each?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class StudySampler(Sampler[tuple[int, int]]):
    """Yields (row, draw seed) as often as there are studies, another order and draws every epoch.

    Equal weights visit every study once an epoch, others in proportion: the expected number of
    visits, rounded up or down. The epoch is the one of `set_epoch`, which Lightning calls; where a
    wrapper for several processes hides that method, each pass counts as the next epoch.
    """

    def __init__(
        self, n: int, seed: int = 0, shuffle: bool = True, weights: Sequence[float] | None = None
    ) -> None:
        self.n, self.seed, self.shuffle = n, seed, shuffle
        self.weights = np.array(weights if weights is not None else [1.0] * n)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of studies."""
        return self.n

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Start a pass over the studies."""
        visits = self._visits()
        random = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        rows = visits[random.permutation(self.n)] if self.shuffle else visits
        seeds = random.integers(2**63, size=self.n)
        return iter(list(zip(rows.tolist(), seeds.tolist(), strict=True)))

    def _visits(self) -> np.ndarray:
        """Return n rows in order: systematic sampling, a comb laid over the weights.

        The place of the comb is drawn from numbers of its own, so that weights change no draw.
        """
        if np.ptp(self.weights) == 0:
            return np.arange(self.n)
        place = np.random.default_rng([self.seed, self.epoch, 1]).random()
        teeth = (np.arange(self.n) + place) * (self.weights.sum() / self.n)
        return np.searchsorted(self.weights.cumsum(), teeth).clip(max=self.n - 1)
