"""SLURM does the jobs of an experiment, and what comes out is what comes out without it."""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import array_jobs
import pytest
from loopback_slurm import loopback_slurm, silent, states, until
from test_experiment import tiny

from tomovox import executor, experiment
from tomovox.executor import SlurmQueue, SlurmSettings
from tomovox.experiment import ExperimentRun, read_experiment
from tomovox.lightning_verbs import predict_run
from tomovox.progress import Job, do_in_order
from tomovox.schema import TomovoxError
from tomovox.slurm_jobs import JOBS, refuse_beside_slurm
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


def logs(folder: Path) -> str:
    return "".join(p.read_text(encoding="utf-8") for p in (folder / "slurm").glob("*_log.out"))


def killed_after_sbatch(
    patch: pytest.MonkeyPatch, queue: SlurmQueue, how: type[BaseException]
) -> None:
    submit = queue.executor.submit_array

    def submit_and_end(tasks: list[object]) -> None:
        submit(tasks)
        raise how

    patch.setattr(queue.executor, "submit_array", submit_and_end)


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
    with pytest.raises(TomovoxError, match=r"with --executor slurm, or call scancel \d"):
        refuse_beside_slurm(tmp_path / "slurm")
    (tmp_path / "done" / "leave").touch()
    assert later.ended() == ["a"]
    refuse_beside_slurm(tmp_path / "slurm")


@needs_slurm
def test_what_an_earlier_process_left_and_nobody_asks_for_is_cancelled_at_the_end(queue, tmp_path):
    queue.start([job(array_jobs.wait_for_leave, tmp_path, "a")])
    later = SlurmQueue(tmp_path / "slurm", SlurmSettings(time=60), threads=1)
    do_in_order([], later)
    later.stop()
    until(lambda: not states())
    refuse_beside_slurm(tmp_path / "slurm")


@needs_slurm
def test_pickles_of_jobs_that_ended_while_nobody_waited_are_removed(queue, tmp_path):
    (tmp_path / "done" / "leave").touch()
    queue.start([job(array_jobs.wait_for_leave, tmp_path, "a")])
    until(lambda: not states())
    assert list((tmp_path / "slurm").glob("*.pkl"))
    SlurmQueue(tmp_path / "slurm", SlurmSettings(time=60), threads=1)
    assert not list((tmp_path / "slurm").glob("*.pkl"))


@needs_slurm
def test_two_tasks_of_one_key_work_one_after_the_other(queue, tmp_path):
    jobs = [job(array_jobs.note_begin_and_end, tmp_path, "a")]
    queue.start(jobs)
    until((tmp_path / "done" / "a").exists)
    (tmp_path / "slurm" / JOBS).unlink()  # as if nobody had learned of the first
    second = SlurmQueue(tmp_path / "slurm", SlurmSettings(time=60), threads=1)
    second.start(jobs)
    until(lambda: "a: another task is at it" in logs(tmp_path))
    (tmp_path / "done" / "leave").touch()
    assert second.ended() == ["a"]
    assert (tmp_path / "done" / "a").read_text(encoding="utf-8").split() == ["begin", "end"] * 2


# ---- ends -----------------------------------------------------------------------------------


@needs_slurm
def test_ctrl_c_cancels_the_jobs(queue, tmp_path):
    interrupt = threading.Timer(1, os.kill, [os.getpid(), signal.SIGINT])
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        do_in_order([job(array_jobs.wait_for_leave, tmp_path, n) for n in "ab"], queue)
    until(lambda: not states())
    refuse_beside_slurm(tmp_path / "slurm")


@needs_slurm
def test_jobs_that_cannot_be_cancelled_stay_noted(queue, tmp_path, monkeypatch, capsys):
    queue.start([job(array_jobs.wait_for_leave, tmp_path, "a")])
    with monkeypatch.context() as patch:
        silent(patch, tmp_path / "bin", "scancel")
        queue.stop()
    assert "SLURM does not answer and may work on" in capsys.readouterr().out
    with pytest.raises(TomovoxError, match=r"or call scancel \d+ and remove the file"):
        refuse_beside_slurm(tmp_path / "slurm")
    queue.stop()
    refuse_beside_slurm(tmp_path / "slurm")


@needs_slurm
def test_a_job_that_was_submitted_as_the_user_stopped_is_cancelled(queue, tmp_path, monkeypatch):
    killed_after_sbatch(monkeypatch, queue, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        do_in_order([job(array_jobs.wait_for_leave, tmp_path, "a")], queue)
    until(lambda: not states())
    refuse_beside_slurm(tmp_path / "slurm")


@needs_slurm
def test_jobs_of_a_process_killed_before_it_had_their_numbers_are_cancelled(
    queue, tmp_path, monkeypatch, capsys
):
    killed_after_sbatch(monkeypatch, queue, SystemExit)
    with pytest.raises(SystemExit):
        queue.start([job(array_jobs.wait_for_leave, tmp_path, n) for n in "ab"])
    with pytest.raises(TomovoxError, match=r"scancel what squeue --me --format='%i %o' shows"):
        refuse_beside_slurm(tmp_path / "slurm")
    SlurmQueue(tmp_path / "slurm", SlurmSettings(time=60), threads=1)
    assert "2 SLURM jobs are cancelled, whose process was killed" in capsys.readouterr().out
    until(lambda: not states())
    refuse_beside_slurm(tmp_path / "slurm")


# ---- bad input ------------------------------------------------------------------------------


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


def test_predict_of_a_row_is_refused_beside_the_jobs_of_its_experiment(tmp_path):
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / JOBS).write_text('{"blind-s0": "7"}', encoding="utf-8")
    with pytest.raises(TomovoxError, match="or call scancel 7 and remove the file"):
        predict_run(tmp_path / "blind-s0")


@needs_slurm
def test_a_later_call_continues_the_mlflow_runs_of_a_preempted_one(preempted, tmp_path):
    before = Kept.read(preempted)
    ExperimentRun(two_rows(tmp_path / "e"), preempted).run()
    after = Kept.read(preempted)
    assert (after.parent, after.children) == (before.parent, before.children)
    tracker = Tracker(None, preempted, after.experiment)
    assert len(tracker._client.search_runs([tracker.experiment_id])) == 3
