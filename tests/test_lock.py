"""Does one process at a time work in a folder, and is the next one free when it is gone?"""

import os
import platform
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tomovox.lock import LOCK, folder_to_hold, only_process, only_process_in_all, sweep
from tomovox.schema import TomovoxError


def in_child(work: Callable[[], object]) -> int:
    """Do something in a forked process; return its exit code, 3 for a TomovoxError."""
    child = os.fork()
    if not child:
        try:
            work()
        except TomovoxError:
            os._exit(3)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def hold(folder: Path) -> None:
    with only_process(folder):
        pass


def hold_and_die(folder: Path) -> None:
    with only_process(folder):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_second_process_is_refused(tmp_path):
    with only_process(tmp_path):
        assert in_child(lambda: hold(tmp_path)) == 3


def test_the_refusal_names_process_and_host_of_the_other(tmp_path):
    read, write = os.pipe()

    def refused():
        try:
            hold(tmp_path)
        except TomovoxError as error:
            os.write(write, str(error).encode())

    with only_process(tmp_path):
        in_child(refused)
    told = os.read(read, 1000).decode()
    assert told == (
        f"{tmp_path}: process {os.getpid()} on {platform.node()} works here; wait for its end, or "
        f"use another folder"
    )


def test_a_killed_process_leaves_the_folder_free(tmp_path):
    assert in_child(lambda: hold_and_die(tmp_path)) == -signal.SIGKILL
    assert (tmp_path / LOCK).is_file()
    assert in_child(lambda: hold(tmp_path)) == 0


def test_a_forked_worker_does_not_keep_the_folder(tmp_path):
    read, write = os.pipe()
    with only_process(tmp_path):
        worker = os.fork()
        if not worker:
            os.read(read, 1)  # outlives the holder
            os._exit(0)
    assert in_child(lambda: hold(tmp_path)) == 0
    os.write(write, b".")
    os.waitpid(worker, 0)


def test_no_variable_of_a_launcher_opens_a_held_folder(tmp_path, monkeypatch):
    with only_process(tmp_path):
        monkeypatch.setenv("SLURM_PROCID", "1")
        assert in_child(lambda: hold(tmp_path)) != 0


def test_a_folder_that_is_missing_is_not_made(tmp_path):
    with pytest.raises(TomovoxError, match="give a folder that is there"):
        hold(tmp_path / "typo")
    assert not list(tmp_path.iterdir())


def test_rows_of_one_experiment_are_held_once(tmp_path):
    rows = [tmp_path / "a-s0", tmp_path / "b-s0"]
    (tmp_path / LOCK).touch()
    for row in rows:
        row.mkdir()
    with only_process_in_all(rows):
        assert in_child(lambda: hold(tmp_path)) != 0
    assert in_child(lambda: hold(tmp_path)) == 0


def test_a_run_of_an_experiment_is_held_with_the_whole_experiment(tmp_path):
    run = tmp_path / "blind-s0"
    assert folder_to_hold(run) == run
    with only_process(tmp_path):
        assert folder_to_hold(run) == tmp_path


def test_what_was_being_written_is_swept_and_nothing_else(tmp_path):
    (tmp_path / "a" / ".b.tmp").mkdir(parents=True)
    for kept in ("a/b.tmp", "a/.b", "table.csv"):
        (tmp_path / kept).write_text("kept")
    for left in ("a/.table.csv.7.tmp", "a/.mlflow.db.7.tmp-journal", "a/.b.tmp/c"):
        (tmp_path / left).write_text("left")
    sweep(tmp_path)
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"a/b.tmp", "a/.b", "table.csv"}
