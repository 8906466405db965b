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
from typing import TYPE_CHECKING, Any, Generic, TypeVar

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


def do_all(jobs: Sequence[Job[Any]], processes: int, threads: int) -> None:
    """Do all jobs, each after those it needs, earlier ones first; the first error stops the rest.

    `processes` run at a time, with `threads` CPU threads each. A key in `needs` that no job has
    counts as done.
    """
    pending = list(jobs)
    if processes <= 1 or len(pending) <= 1:
        for job in pending:
            with_threads(threads, job.work, job.argument)
        return
    context = get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=end_with_parent)
    running: dict[Future[None], str] = {}
    try:
        while pending or running:
            open_keys = {job.key for job in pending} | set(running.values())
            ready = [job for job in pending if not job.needs & open_keys]
            for job in ready[: processes - len(running)]:
                future = pool.submit(with_threads, threads, job.work, job.argument)
                running[future] = job.key
                pending.remove(job)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                del running[future]
    except BrokenProcessPool:
        raise TomovoxError(
            f"{', '.join(running.values())}: a process was killed, perhaps for want of memory; "
            f"the same command continues"
        ) from None
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in active_children():
            worker.kill()  # Lightning lets SIGTERM pass
        raise
    pool.shutdown()


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
