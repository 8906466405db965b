"""Where does a training that was cut go on? With the next batch, and the random numbers of then."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from tomovox.data.sampling import StudySampler


class TrainingLoader(DataLoader[Any]):
    """A loader that goes on where a cut training stood, in the middle of a pass.

    Its state is the pass, the batches given in it, and the random numbers of the process, which
    dropout draws from: Lightning keeps it in checkpoints and gives it back. Studies that were
    visited before the cut are not read again.

    Args:
        dataset: what to read.
        order: the sampler; where Lightning wraps it for several processes, the one inside.
        options: as of a DataLoader. Without `order`, `shuffle` needs a `generator` and no workers:
            they run ahead of the batches that are given, and so do their draws.
    """

    def __init__(
        self, dataset: Dataset[Any], order: StudySampler | None = None, **options: Any
    ) -> None:
        super().__init__(dataset, **({"sampler": order} | options))
        assert order is not None or self.num_workers == 0, "workers need a StudySampler"
        self.order = order
        self._start: dict[str, Any] = {}
        self._given = 0
        self._continued: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the pass, how many of its batches were given, and all random numbers' states."""
        return {"start": self._start, "given": self._given, "random": random_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next pass be the rest of the one that `state` was taken in."""
        self._continued = state

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Start a pass, or continue one."""
        state, self._continued = self._continued, None
        if state is None:
            self._start, self._given = self._pass_state(), 0
            return self._counted(self._new_pass())
        self._start, self._given = state["start"], state["given"]
        self._go_to(state["start"])
        left = self._batches_after(state["given"])
        set_random_state(state["random"])
        return self._counted(iter(left))

    def _new_pass(self) -> Iterator[Any]:
        """Return a whole pass; it draws once for its workers, be they new or kept from the last."""
        if self.persistent_workers and self._iterator is not None:
            self._draw()
        return super().__iter__()

    def _draw(self) -> None:
        torch.empty((), dtype=torch.int64).random_(generator=self.generator)

    def _batches_after(self, given: int) -> DataLoader[Any]:
        """Return a loader of the rest of a pass, whose own random numbers nobody else draws."""
        if self.generator is not None:
            self._draw()  # as the start of the pass did
        assert self.batch_sampler is not None
        return DataLoader(
            self.dataset,
            batch_sampler=list(islice(self.batch_sampler, given, len(self))),
            num_workers=self.num_workers,
            collate_fn=self.collate_fn,
            pin_memory=self.pin_memory,
            generator=torch.Generator(),
        )

    def _counted(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            self._given += 1
            yield batch

    def _pass_state(self) -> dict[str, Any]:
        """Return what the order of the pass that starts now follows from."""
        state: dict[str, Any] = {} if self.order is None else {"epoch": self.order.epoch}
        return state | ({} if self.generator is None else {"drawn": self.generator.get_state()})

    def _go_to(self, start: dict[str, Any]) -> None:
        if self.order is not None:
            self.order.set_epoch(start["epoch"])
        if self.generator is not None:
            self.generator.set_state(start["drawn"])


def random_state() -> dict[str, Any]:
    """Return the states of all global random numbers as tensors and plain values."""
    kind, keys, *place = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys, np.int64)), *place),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Give all global random numbers the states of `random_state`, on as many devices as then."""
    random.setstate(state["python"])
    kind, keys, *place = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *place))
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
