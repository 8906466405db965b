"""What does a user see while things run? Lines with the time, and where training stands.

Lightning is imported late: the command asks here for quiet before anything heavy is loaded.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from rich.console import Console

from tomovox.schema import TomovoxError
from tomovox.workers import end_with_parent

if TYPE_CHECKING:
    from lightning import Trainer

ArgumentT = TypeVar("ArgumentT")

PLAIN_TRAINER: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "limit_val_batches": 0,
}
"""Trainer arguments of a run that keeps its own files."""


def say(text: str) -> None:
    """Print one line of progress with the time."""
    console = Console(soft_wrap=True)
    console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {text}", highlight=False)


def quiet_libraries() -> None:
    """Keep library chatter that no user can act on out of the terminal."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", module="lightning|torch|jsonargparse|transformers")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)


def say_step(name: str, trainer: Trainer, *_: Any) -> None:
    """Print a line at each quarter of the steps, for runs whose bars would overwrite each other."""
    step, steps = trainer.global_step, trainer.max_steps
    if trainer.is_global_zero and steps >= 40 and step % (steps // 4) == 0 and step < steps:
        loss = float(trainer.callback_metrics.get("train/loss", float("nan")))
        say(f"  {name}: step {step} of {steps}, loss {loss:.3f}")


@dataclass
class Job(Generic[ArgumentT]):
    """A piece of work under a key, to be started when the jobs of the keys `needs` are done."""

    key: str
    work: Callable[[ArgumentT], None]
    argument: ArgumentT
    needs: frozenset[str] = frozenset()


class Pool(Protocol):
    """Where jobs are done: processes of this machine, or the queue of a cluster."""

    def start(self, jobs: Sequence[Job[Any]]) -> Sequence[Job[Any]]:
        """Start the jobs that there is room for, earlier ones first, and return these."""

    def ended(self) -> Sequence[str]:
        """Wait until jobs have ended, return their keys; raises the error of one that failed."""

    def stop(self) -> None:
        """End at once what still runs."""


def do_in_order(jobs: Sequence[Job[Any]], pool: Pool) -> None:
    """Do all jobs, each after those it needs, earlier ones first; the first error stops the rest.

    A key in `needs` that no job has counts as done.
    """
    pending = list(jobs)
    running: set[str] = set()
    try:
        while pending or running:
            open_keys = {job.key for job in pending} | running
            ready = [job for job in pending if not job.needs & open_keys]
            for job in pool.start(ready) if ready else []:
                pending.remove(job)
                running.add(job.key)
            running.difference_update(pool.ended())
    except BaseException:
        pool.stop()
        raise


def do_all(jobs: Sequence[Job[Any]], processes: int, threads: int) -> None:
    """Do all jobs on this machine, `processes` at a time with `threads` CPU threads each."""
    if processes <= 1 or len(jobs) <= 1:
        for job in jobs:
            with_threads(threads, job.work, job.argument)
        return
    pool = Processes(processes, threads)
    do_in_order(jobs, pool)
    pool.close()


class Processes:
    """A `Pool` of processes that end with this one."""

    def __init__(self, processes: int, threads: int):
        self.processes, self.threads = processes, threads
        context = get_context("spawn")
        self._pool = ProcessPoolExecutor(processes, context, initializer=end_with_parent)
        self._running: dict[Future[None], str] = {}

    def start(self, jobs: Sequence[Job[Any]]) -> Sequence[Job[Any]]:
        """Start jobs in the processes that are free and return these."""
        started = jobs[: self.processes - len(self._running)]
        for job in started:
            future = self._pool.submit(with_threads, self.threads, job.work, job.argument)
            self._running[future] = job.key
        return started

    def ended(self) -> list[str]:
        """Wait until a job has ended; raises its error if it failed.

        Raises TomovoxError when a process was killed: which job it had, nobody can tell.
        """
        done = wait(self._running, return_when=FIRST_COMPLETED).done
        try:
            for future in done:
                future.result()
        except BrokenProcessPool:
            raise TomovoxError(
                f"{', '.join(self._running.values())}: a process was killed, perhaps for want of "
                f"memory; the same command continues"
            ) from None
        return [self._running.pop(future) for future in done]

    def stop(self) -> None:
        """Kill the processes."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in active_children():
            worker.kill()  # Lightning lets SIGTERM pass

    def close(self) -> None:
        """End the processes once all is done."""
        self._pool.shutdown()


def with_threads(threads: int, work: Callable[[ArgumentT], None], job: ArgumentT) -> None:
    """Do one job with a fixed number of CPU threads: another number gives other last digits."""
    import torch

    quiet_libraries()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        work(job)
    finally:
        torch.set_num_threads(before)
