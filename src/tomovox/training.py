"""How is a stage trained, and continued where it was cut? Lightning's fit, with a file in between.

The file holds what training made, optimizer, schedule, epoch, step, the place in the data and the
random numbers: on one device the continued training gives the weights of an uncut one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, LambdaCallback

from tomovox.files import remove, whole_file
from tomovox.progress import say, say_step
from tomovox.schema import TomovoxError

CHECKPOINTS = "*.ckpt"
"""What cut trainings leave in a folder until its weights are there."""


class Checkpoints(Callback):
    """Writes `path` every so many minutes, between two steps; `seconds` is the time of training.

    Not at the end of an epoch, where Lightning would train a batch too many on its return, but one
    step later. Time only decides how much is done again, never what comes out. Where several
    devices share the weights, `path` may be a folder with a file of each.
    """

    def __init__(self, path: Path, minutes: float) -> None:
        self.path, self.minutes = path, minutes
        self.earlier = 0.0
        self.started = self.written = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since training began, without those in which it stood cut."""
        return self.earlier + time.perf_counter() - self.started

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds so far."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Count the seconds before the cut."""
        self.earlier = state_dict["seconds"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the file when its time has come."""
        whole_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        last = trainer.is_last_batch or trainer.global_step >= trainer.max_steps > 0
        if not whole_step or last:
            return
        due = time.perf_counter() - self.written >= 60 * self.minutes
        if not trainer.strategy.broadcast(due):
            return
        self.written = time.perf_counter()
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.path)  # takes part; the first process writes
            return
        with whole_file(self.path) as temporary:
            trainer.save_checkpoint(temporary)


class Tally(Callback):
    """Counts the samples that this process trains on, a question or pair each time it is seen."""

    def __init__(self) -> None:
        self.samples = 0

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the questions or pairs of a batch."""
        self.samples += len(batch.records)

    def of_all(self, trainer: Any) -> int:
        """Return the sum over all processes, which must all ask for it."""
        mine = torch.tensor(self.samples, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(mine, reduce_op="sum"))

    def state_dict(self) -> dict[str, Any]:
        """Return the count, for a training that is cut."""
        return {"samples": self.samples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the count of before the cut."""
        self.samples = state_dict["samples"]


def fit(
    trainer: Trainer,
    module: LightningModule,
    name: str,
    quiet: bool,
    checkpoints: Checkpoints,
    **data: Any,
) -> dict[str, float]:
    """Fit and return the last logged figures; a cut training is continued.

    With `quiet`, lines instead of a bar. Raises TomovoxError when training ended before its steps
    were done.
    """
    if quiet:
        lines = LambdaCallback(on_train_batch_end=partial(say_step, name))
        trainer.callbacks.append(lines)  # type: ignore[attr-defined]
    trainer.callbacks.append(checkpoints)  # type: ignore[attr-defined]
    cut = checkpoints.path if checkpoints.path.exists() else None
    if cut:
        say(f"{name}: goes on where it was cut")
    with ends_by_hand(trainer):
        trainer.fit(module, ckpt_path=cut, weights_only=True, **data)
    if trainer.global_step < trainer.max_steps:
        raise TomovoxError(
            f"{name}: ended after {trainer.global_step} of {trainer.max_steps} steps; is there "
            f"enough data for one batch?"
        )
    return {k: round(float(v), 4) for k, v in trainer.callback_metrics.items()}


def forget_cuts(folder: Path) -> None:
    """Remove what cut trainings left in a folder: its weights are there."""
    for left in folder.glob(CHECKPOINTS):
        remove(left)


@contextmanager
def ends_by_hand(trainer: Trainer) -> Iterator[None]:
    """Let ctrl-C and SIGTERM end in KeyboardInterrupt: Lightning leaves without a word of them."""
    try:
        yield
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
