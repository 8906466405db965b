"""How does a cluster do the jobs of an experiment? As tasks of SLURM arrays, through submitit.

Jobs that are ready together become one array, a task each. A task that SLURM puts back into its
queue does its job again, which picks up from its files. The process that submits waits, scores and
alone writes to MLflow. submitit hands a job over as a pickle that the same user wrote on their own
disk; it is never data, and removed once the job has ended.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tomovox.files import write_atomically
from tomovox.progress import Job, say
from tomovox.schema import TomovoxError
from tomovox.slurm_jobs import (
    ENDED,
    GONE,
    JOBS,
    SUBMITTING,
    ArrayTask,
    cancelled,
    listed,
    noted,
    working_in,
)

if TYPE_CHECKING:
    from submitit import AutoExecutor
    from submitit import Job as Submitted

LOOK_SECONDS, LOOKS_PER_QUESTION, PATIENCE = 2.0, 15, 3
"""Results are looked for this often; SLURM is asked at one look in so many; a job counts as dead
when so many answers in a row say so and no result appears, for a network file system may lag."""

SHORTEST_MINUTES = 3
"""SLURM warns a job 90 s before its time is over: a shorter one would be warned as it starts."""

LOG_LINES = 20


@dataclass
class SlurmSettings:
    """Key `slurm` of an experiment file: what SLURM gives to one job, in the words of sbatch.

    `time` is in minutes: a job that reaches it is put back into the queue, three times at most, and
    goes on from its files. `cpus_per_task` is by default the experiment's `threads`. `setup` are
    shell lines that run before a job, `options` any further options of sbatch, such as
    {account: radiology}.
    """

    partition: str | None = None
    time: int = 720
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    mem_gb: float | None = None
    array_parallelism: int = 256
    setup: list[str] = field(default_factory=list)
    options: dict[str, str | int | bool] = field(default_factory=dict)


class SlurmQueue:
    """A `progress.Pool` whose jobs SLURM does; they are logged in `folder`.

    Jobs of an earlier process that ended without a word are still waited for, not submitted again;
    those that it was killed before it could note are cancelled. Raises TomovoxError where SLURM or
    submitit is missing or the settings cannot be.
    """

    def __init__(self, folder: Path, settings: SlurmSettings, threads: int):
        self.folder, self.threads = folder.resolve(), threads
        self.running: dict[str, Submitted[str]] = {}
        self.executor = _executor(self.folder, settings, threads)
        self.left = self._left()
        self._submitting: list[str] = []
        self._note()
        self._said: dict[str, str] = {}
        self._dead: dict[str, int] = {}
        self._looks = 0

    def start(self, jobs: Sequence[Job[Any]]) -> Sequence[Job[Any]]:
        """Submit the jobs as one array, but for those that SLURM has already; return all."""
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        new = [job for job in jobs if job.key not in self.left]
        tasks = [ArrayTask(job, self.threads, self.folder) for job in new]
        self._submitting = [job.key for job in new]
        self._note()  # a kill may come before their numbers do
        try:
            submitted = self.executor.submit_array(tasks) if tasks else []
        except (FailedJobError, FailedSubmissionError) as error:
            raise TomovoxError(
                f"sbatch: {' '.join(str(error).split())}; mend the key slurm of the experiment"
            ) from None
        self.running |= {job.key: task for job, task in zip(new, submitted, strict=True)}
        self.running |= {job.key: self.left.pop(job.key) for job in jobs if job.key in self.left}
        self._submitting = []
        self._note()
        for job in jobs:
            found = "" if job in new else ", in its queue already"
            say(f"{_shown(job.key)}: SLURM job {self.running[job.key].job_id}{found}")
        return jobs

    def ended(self) -> list[str]:
        """Wait until jobs have ended well and return their keys.

        Raises TomovoxError for one that did not, after the last lines of its log.
        """
        while self.running:
            with suppress(OSError):  # a network file system then looks again
                self.folder.chmod(self.folder.stat().st_mode)
            there = [k for k, job in self.running.items() if job.paths.result_pickle.exists()]
            for key in there:
                self._take(key)
            if there:
                return there
            if self._looks % LOOKS_PER_QUESTION == 0:
                self._ask()
            self._looks += 1
            time.sleep(LOOK_SECONDS)
        return []

    def stop(self) -> None:
        """Cancel all jobs that have not ended; SLURM must not work on beside the next call.

        Where it does not answer, the file of the jobs stays, which keeps others out.
        """
        jobs = [*self.running.values(), *self.left.values()]
        lost = working_in(self.folder) if self._submitting else set()
        numbers = {job.job_id for job in jobs} | (lost or set())
        if lost is None or (numbers and not cancelled(numbers)):
            say(f"SLURM does not answer and may work on; {self.folder / JOBS} keeps its jobs")
            return
        self.running, self.left, self._submitting = {}, {}, []
        self._note()
        if numbers:
            say(f"{len(numbers)} SLURM jobs are cancelled")
        for job in jobs:
            _remove_pickles(job)

    def _left(self) -> dict[str, Submitted[str]]:
        """Return the jobs that an earlier process noted and SLURM still has, by their keys.

        Jobs that it could not note are cancelled, and pickles of jobs that ended removed.
        """
        from submitit import SlurmJob

        before = noted(self.folder)
        states = listed() if before else {}
        lost = working_in(self.folder) if SUBMITTING in before.values() else set()
        if states is None or lost is None:
            raise TomovoxError(
                f"squeue does not answer, and {self.folder / JOBS} names jobs; try again later"
            )
        alive = {key: n for key, n in before.items() if states.get(n, GONE) not in ENDED}
        if lost := lost - set(alive.values()):
            if not cancelled(lost):
                raise TomovoxError(f"scancel {' '.join(sorted(lost))}: no answer; try again later")
            say(f"{len(lost)} SLURM jobs are cancelled, whose process was killed as it began them")
        kept = tuple(f"{number}_" for number in alive.values())
        for path in self.folder.glob("*.pkl*"):  # and what submitit was writing
            if not path.name.startswith(kept):
                path.unlink(missing_ok=True)
        return {key: SlurmJob(self.folder, number) for key, number in alive.items()}

    def _note(self) -> None:
        """Write which jobs SLURM has, for a later process to find should this one vanish."""
        numbers = {key: job.job_id for key, job in (self.left | self.running).items()}
        numbers |= dict.fromkeys(self._submitting, SUBMITTING)
        write_atomically(self.folder / JOBS, json.dumps(numbers, indent=1) + "\n")

    def _ask(self) -> None:
        """Ask SLURM for the states, say what is new, and find out who died without a result."""
        states = listed()
        if states is None:  # the controller is away; jobs go on without it
            return
        for key, job in self.running.items():
            state = states.get(job.job_id, GONE)
            if state != self._said.get(key, "PENDING"):
                say(f"{_shown(key)}: {state.lower()}")
            self._said[key] = state
            self._dead[key] = self._dead.get(key, 0) + 1 if state in ENDED else 0
            if self._dead[key] >= PATIENCE:
                self._complain(key, job, f"ended without a result ({state.lower()})")

    def _take(self, key: str) -> None:
        """Take the result of a job that has one off the disk."""
        job = self.running.pop(key)
        failure = job.exception()
        complaint = "" if failure else job.result()
        _remove_pickles(job)
        self._note()
        if complaint:
            raise TomovoxError(complaint)
        if failure:
            self._complain(key, job, "failed")
        say(f"{_shown(key)}: done")

    def _complain(self, key: str, job: Submitted[str], how: str) -> NoReturn:
        """Show the end of a job's log and raise TomovoxError."""
        log = job.paths.stdout
        text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
        sys.stderr.write("".join(f"  {line}\n" for line in text.splitlines()[-LOG_LINES:]))
        raise TomovoxError(
            f"{_shown(key)}: SLURM job {job.job_id} {how}; its log is {log}; mend the cause, and "
            f"the same command continues"
        )


def _executor(folder: Path, settings: SlurmSettings, threads: int) -> AutoExecutor:
    """Return submitit's executor with the settings of an experiment."""
    if missing := [name for name in ("sbatch", "srun", "squeue") if not shutil.which(name)]:
        raise TomovoxError(
            f"--executor slurm: no {' and no '.join(missing)} here; call it where SLURM takes jobs"
        )
    try:
        from submitit import AutoExecutor
    except ImportError:
        raise TomovoxError(
            "--executor slurm needs submitit: pip install 'tomovox[slurm]'"
        ) from None
    if settings.time < SHORTEST_MINUTES:
        raise TomovoxError(
            f"slurm.time {settings.time}: SLURM warns a job 90 s before its end; give "
            f"{SHORTEST_MINUTES} minutes or more"
        )
    cpus = settings.cpus_per_task or threads
    folder.mkdir(parents=True, exist_ok=True)
    executor = AutoExecutor(folder, cluster="slurm")
    executor.update_parameters(
        name="tomovox",
        timeout_min=settings.time,
        nodes=1,
        tasks_per_node=1,  # named, so that Lightning refuses to fit on more devices than processes
        cpus_per_task=cpus,
        gpus_per_node=settings.gpus_per_node,
        mem_gb=settings.mem_gb,
        stderr_to_stdout=True,
        slurm_partition=settings.partition,
        slurm_array_parallelism=settings.array_parallelism,
        slurm_setup=settings.setup or None,
        slurm_additional_parameters=settings.options or None,
        slurm_srun_args=[f"--cpus-per-task={cpus}"],  # srun no longer takes this from sbatch
    )
    return executor


def _shown(key: str) -> str:
    """Return a key as a line shows it: of a shared stage, the name of its folder."""
    return Path(key).name


def _remove_pickles(job: Submitted[str]) -> None:
    for path in (job.paths.submitted_pickle, job.paths.result_pickle):
        path.unlink(missing_ok=True)
