"""Jobs are done once each, after what they need, and an error stops the rest."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from tomovox.progress import Job, do_all
from tomovox.schema import TomovoxError


def note(path: str) -> None:
    """Append the name of the job, and what it found done before it, to a file of its own."""
    place = Path(path)
    before = sorted(p.name for p in place.parent.iterdir())
    place.write_text(f"{torch.get_num_threads()} {' '.join(before)}", encoding="utf-8")


def fail(path: str) -> None:
    raise TomovoxError(f"{path}: broken")


@pytest.mark.parametrize("processes", [1, 2])
def test_a_job_starts_after_those_it_needs(processes, tmp_path):
    needs = {"a": frozenset(), "b": frozenset(), "c": frozenset({"a", "b"})}
    do_all([Job(k, note, str(tmp_path / k), n) for k, n in needs.items()], processes, 1)
    assert (tmp_path / "c").read_text(encoding="utf-8") == "1 a b"


def hang(path: str) -> None:
    """Tell the number of this process, then work on until somebody ends it."""
    Path(path).write_text(str(os.getpid()), encoding="utf-8")
    threading.Event().wait()


def fail_beside(path: str) -> None:
    """Fail as soon as the other job runs."""
    number_in(Path(path))
    raise TomovoxError("broken")


def number_in(path: Path) -> int:
    """Return the process number that a job tells, once it does."""
    for _ in range(6000):
        if path.is_file() and (told := path.read_text("utf-8")):
            return int(told)
        time.sleep(0.01)
    raise AssertionError(f"{path} is never written")


def ends(process: int) -> bool:
    for _ in range(6000):
        if not Path(f"/proc/{process}").exists():
            return True
        time.sleep(0.01)
    return False


needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are read there")


@needs_proc
def test_the_first_error_stops_what_runs_beside_it(tmp_path):
    place = str(tmp_path / "other")
    with pytest.raises(TomovoxError, match="broken"):
        do_all([Job("a", hang, place), Job("b", fail_beside, place)], 2, 1)
    assert ends(number_in(Path(place)))


@needs_proc
def test_workers_end_with_the_process_that_started_them(tmp_path):
    script = tmp_path / "main.py"
    script.write_text(
        "import sys\n"
        "from test_progress import hang, Job, do_all\n"
        "if __name__ == '__main__':\n"
        "    do_all([Job(p, hang, p) for p in sys.argv[1:]], 2, 1)\n",
        encoding="utf-8",
    )
    places = [tmp_path / "a", tmp_path / "b"]
    paths = {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen([sys.executable, script, *places], env=os.environ | paths) as main:
        workers = [number_in(place) for place in places]
        main.kill()
    assert all(ends(worker) for worker in workers)


def die(path: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_is_one_line_and_names_its_job(tmp_path):
    with pytest.raises(TomovoxError, match=r"^a(, b)?: a process was killed, .*continues$"):
        do_all([Job("a", die, "x"), Job("b", note, str(tmp_path / "b"), frozenset({"a"}))], 2, 1)


@pytest.mark.parametrize("processes", [1, 2])
def test_the_first_error_is_raised_as_it_is(processes, tmp_path):
    jobs = [Job("a", fail, "here"), Job("b", note, str(tmp_path / "b"), frozenset({"a"}))]
    with pytest.raises(TomovoxError, match=r"^here: broken$"):
        do_all(jobs, processes, 1)
    assert not (tmp_path / "b").exists()


def test_the_number_of_threads_is_restored():
    before = torch.get_num_threads()
    do_all([Job("a", str, "x")], processes=1, threads=1)
    assert torch.get_num_threads() == before
