"""What does SLURM have to do for an experiment, and how does one task do it?

A file names the jobs, so that whoever comes later knows of them. It says beforehand that some are
about to be submitted: their numbers are known only afterwards, and a kill may come between. Jobs of
which nobody learned are found by their batch scripts, which submitit writes into the folder.
"""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from tomovox.lock import locked
from tomovox.parsed import read_object
from tomovox.progress import Job, say, with_threads
from tomovox.schema import TomovoxError

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

FOLDER, JOBS, HELD = "slurm", "jobs.json", "held"
"""Folder of an experiment with the logs, and in it: the file of the jobs that SLURM has in its
queue, and the folder of the locks of those at work."""

SUBMITTING = ""
"""Number of a job that is about to be submitted."""

GONE = "GONE"
"""Our word for the state of a job that SLURM does not list."""

ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "TIMEOUT", GONE),
}
"""States of a job that SLURM will not do any more."""


@dataclass
class ArrayTask:
    """One job as submitit calls it on a node, with a fixed number of CPU threads."""

    job: Job[Any]
    threads: int
    folder: Path

    def __call__(self) -> str:
        """Do the job; return what TomovoxError complained of, "" when all is well.

        The work runs beside the main thread, which is left to submitit's signals. Lightning listens
        in the main thread alone: there it would end a fit when SLURM announces a preemption.
        """
        outcome: Future[None] = Future()
        Thread(target=self._do, args=[outcome], daemon=True).start()
        try:
            outcome.result()
        except TomovoxError as error:
            return str(error)
        return ""

    def _do(self, outcome: Future[None]) -> None:
        try:
            with only_task(self.folder, self.job.key):
                with_threads(self.threads, self.job.work, self.job.argument)
        except BaseException as error:  # raised again in the thread that waits
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    def checkpoint(self) -> DelayedSubmission:
        """Return what submitit puts back into the queue: the same, for files hold what was done."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@contextmanager
def only_task(folder: Path, key: str) -> Iterator[None]:
    """Hold the job of a key until what is inside ends; wait for another task that holds it.

    Such a one is left of a process that was killed as it submitted, or dies slowly on another node.
    Raises TomovoxError without locks.
    """
    path = folder / HELD / sha256(key.encode()).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        if not locked(stream):
            say(f"{Path(key).name}: another task is at it; this one waits for its end")
            locked(stream, wait=True)
        yield


def listed(folder: Path | None = None) -> dict[str, str] | None:
    """Return the state of every job of this user that SLURM lists; None where it does not answer.

    With a folder, of those whose batch script lies there. squeue needs no accounting data base,
    unlike the sacct that submitit would ask.
    """
    command = ["squeue", "--me", "--noheader", "--array", "--states=all", "--format=%i %T %o"]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode != 0:
        return None
    lines = [line.split(maxsplit=2) for line in answer.stdout.splitlines() if line.strip()]
    return {
        number: state
        for number, state, *script in lines
        if folder is None or [Path(file).parent for file in script] == [folder]
    }


def working_in(folder: Path) -> set[str] | None:
    """Return the numbers of a folder's jobs that have not ended; None where SLURM is silent."""
    states = listed(folder)
    return None if states is None else {n for n, state in states.items() if state not in ENDED}


def cancelled(numbers: Collection[str]) -> bool:
    """Have SLURM end jobs at once, and return whether it will."""
    # SIGTERM alone would leave a running job half a minute more.
    now = ["--state=RUNNING", "--signal=KILL"]
    for how in (now, []):
        answer = subprocess.run(["scancel", "--quiet", *how, *numbers], capture_output=True)
    return answer.returncode == 0


def noted(folder: Path) -> dict[str, str]:
    """Return the numbers of the jobs that a folder's file says SLURM has, by their keys."""
    path = folder / JOBS
    return (
        read_object(path, "see that squeue shows no job, and remove it") if path.is_file() else {}
    )


def refuse_beside_slurm(folder: Path) -> None:
    """Raise TomovoxError where a process that vanished has left jobs to SLURM."""
    if numbers := noted(folder).values():
        known = " ".join(numbers) if SUBMITTING not in numbers else ""
        which = known or f"what squeue --me --format='%i %o' shows of {folder}"
        raise TomovoxError(
            f"{folder / JOBS}: SLURM may work here still; continue tomovox run with --executor "
            f"slurm, or call scancel {which} and remove the file"
        )
