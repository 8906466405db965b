"""SLURM does the jobs of an experiment, and what comes out is what comes out without it."""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import array_jobs
import pytest
from loopback_slurm import loopback_slurm
from test_experiment import tiny

from tomovox import executor, experiment
from tomovox.executor import JOBS, SlurmQueue, SlurmSettings, refuse_beside_slurm
from tomovox.experiment import ExperimentRun, read_experiment
from tomovox.progress import Job, do_in_order
from tomovox.schema import TomovoxError
from tomovox.tracking.kept import Kept
from tomovox.tracking.store import Tracker

HERE = Path(__file__).parent
needs_slurm = pytest.mark.needs_slurm


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster of this machine alone, whose nodes find the jobs of the tests."""
    if shutil.which("slurmctld") is None:
        pytest.skip("program slurmctld is missing")
    paths = [str(HERE), str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        patch.setattr(executor, "LOOK_SECONDS", 0.1)
        patch.setattr(executor, "LOOKS_PER_QUESTION", 5)
        with loopback_slurm(tmp_path_factory.mktemp("slurm")):
            yield


@pytest.fixture
def queue(slurm: None, tmp_path: Path) -> SlurmQueue:
    (tmp_path / "done").mkdir()
    return SlurmQueue(tmp_path / "slurm", SlurmSettings(time=60), threads=1)


def job(work: Callable[[str], None], folder: Path, name: str, *needs: str) -> Job[str]:
    return Job(name, work, str(folder / "done" / name), frozenset(needs))


def until(there: Callable[[], object]) -> None:
    for _ in range(600):
        if there():
            return
        time.sleep(0.1)
    raise AssertionError("it never happens")


def states() -> str:
    return subprocess.run(["squeue", "-h", "-o", "%T"], capture_output=True, text=True).stdout


# ---- the queue ------------------------------------------------------------------------------


@needs_slurm
def test_what_is_ready_together_is_one_array_and_comes_before_what_needs_it(queue, tmp_path):
    names = {"a": (), "b": (), "c": ("a", "b")}
    do_in_order([job(array_jobs.note, tmp_path, n, *needs) for n, needs in names.items()], queue)
    logs = sorted(p.name for p in (tmp_path / "slurm").glob("*_log.out"))
    array = logs[0].partition("_")[0]
    assert [log.startswith(f"{array}_") for log in logs] == [True, True, False]
    assert (tmp_path / "done" / "c").read_text(encoding="utf-8") == "a b"


@needs_slurm
def test_a_complaint_is_raised_as_it_is_and_cancels_the_rest(queue, tmp_path):
    jobs = [job(array_jobs.hang_once, tmp_path, "a"), Job("b", array_jobs.complain, "here")]
    with pytest.raises(TomovoxError, match=r"^here: broken$"):
        do_in_order(jobs, queue)
    until(lambda: not states())
    assert not list((tmp_path / "slurm").glob("*.pkl"))


@needs_slurm
def test_a_job_that_dies_shows_its_last_words(queue, tmp_path, capfd):
    with pytest.raises(TomovoxError, match=r"^a: SLURM job \d+ ended without a result \(failed\)"):
        do_in_order([job(array_jobs.die, tmp_path, "a")], queue)
    assert "  the last words\n" in capfd.readouterr().err


@needs_slurm
def test_a_job_of_one_process_cannot_train_on_two_devices(queue, tmp_path, capfd):
    with pytest.raises(TomovoxError, match=r"^a: SLURM job \d+ failed; its log is .*\.out; mend"):
        do_in_order([job(array_jobs.train_on_two_devices, tmp_path, "a")], queue)
    assert "`--ntasks-per-node=1` does not match" in capfd.readouterr().err


@needs_slurm
def test_a_later_process_waits_for_the_jobs_of_one_that_vanished(queue, tmp_path):
    jobs = [job(array_jobs.wait_for_leave, tmp_path, "a")]
    queue.start(jobs)
    later = SlurmQueue(tmp_path / "slurm", SlurmSettings(time=60), threads=1)
    later.start(jobs)
    assert later.running["a"].job_id == queue.running["a"].job_id
    with pytest.raises(TomovoxError, match=r"continue with --executor slurm, or call scancel \d"):
        refuse_beside_slurm(tmp_path / "slurm")
    (tmp_path / "done" / "leave").touch()
    assert later.ended() == ["a"]
    refuse_beside_slurm(tmp_path / "slurm")


@needs_slurm
@pytest.mark.parametrize(
    ("settings", "complaint"),
    [({"partition": "gone"}, "sbatch: .*[Ii]nvalid partition"), ({"time": 1}, r"slurm\.time 1: ")],
)
def test_settings_that_cannot_be_are_refused(settings, complaint, slurm, tmp_path):
    with pytest.raises(TomovoxError, match=complaint):
        SlurmQueue(tmp_path, SlurmSettings(**settings), 1).start(
            [job(array_jobs.note, tmp_path, "a")]
        )


def test_without_slurm_the_executor_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TomovoxError, match="no sbatch and no srun and no squeue here"):
        SlurmQueue(tmp_path, SlurmSettings(), threads=1)


def test_an_unknown_setting_is_refused_with_the_file_named(tmp_path):
    with pytest.raises(TomovoxError, match=r"tiny\.yaml: .*partitions"):
        read_experiment(tiny(tmp_path, slurm={"partitions": "gpu"}))


# ---- an experiment --------------------------------------------------------------------------


def two_rows(folder: Path) -> Path:
    """Write an experiment of one model and one floor, in one folder for both ways to run it."""
    folder.mkdir()
    path = tiny(folder)
    given = experiment.read_yaml(path)
    blind = {"blind": given["models"]["blind"]}
    return tiny(
        folder, models=blind, shared={}, slurm={"time": 60, "options": {"comment": "two rows"}}
    )


@pytest.fixture(scope="module")
def preempted(slurm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an experiment whose model was put back into the queue as it answered."""
    folder = tmp_path_factory.mktemp("preempted")
    run = ExperimentRun(two_rows(folder / "e"), folder / "out", "slurm")
    hung = run.folder / "blind-s0" / "hung"

    def preempt() -> None:
        until(hung.exists)
        number = json.loads((run.folder / "slurm" / JOBS).read_text(encoding="utf-8"))["blind-s0"]
        subprocess.run(["scancel", "--signal=TERM", number], check=True)
        subprocess.run(["scancel", "--signal=USR2", number], check=True)

    making = experiment._maker
    with pytest.MonkeyPatch.context() as patch:
        hang = array_jobs.hang_after_the_first_answers
        patch.setattr(experiment, "_maker", lambda cell: making(cell) if cell.floor else hang)
        beside = threading.Thread(target=preempt)
        beside.start()
        run.run()
        beside.join()
    return run.folder


@needs_slurm
def test_predictions_and_table_after_a_preemption_are_those_of_a_plain_run(preempted, tmp_path):
    ExperimentRun(two_rows(tmp_path / "e"), tmp_path / "plain").run()
    files = [p.relative_to(preempted) for p in preempted.glob("*/predictions.jsonl")]
    assert len(files) == 2
    for file in [*files, Path("table.csv")]:
        assert (preempted / file).read_bytes() == (tmp_path / "plain" / file).read_bytes(), file


@needs_slurm
def test_a_preempted_row_does_not_train_again(preempted):
    logs = [p.read_text(encoding="utf-8") for p in (preempted / "slurm").glob("*.out")]
    assert sum("Requeued job" in log for log in logs) == 1
    trained = (preempted / "blind-s0" / "training.jsonl").read_text(encoding="utf-8")
    assert trained.count("\n") == 1


@needs_slurm
def test_a_later_call_continues_the_mlflow_runs_of_a_preempted_one(preempted, tmp_path):
    before = Kept.read(preempted)
    ExperimentRun(two_rows(tmp_path / "e"), preempted).run()
    after = Kept.read(preempted)
    assert (after.parent, after.children) == (before.parent, before.children)
    tracker = Tracker(None, preempted, after.experiment)
    assert len(tracker._client.search_runs([tracker.experiment_id])) == 3
