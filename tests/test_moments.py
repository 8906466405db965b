"""Does a process that is to die at every write die once at each, and else never?"""

import os
import signal

from tomovox.files import append_lines, write_atomically
from tomovox.moments import KILL_AT


def ended(folder) -> int:
    """Write a file whole and a line in a forked process; return its exit code."""
    child = os.fork()
    if not child:
        write_atomically(folder / "whole", "new")
        append_lines(folder / "lines", ["a line"])
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_it_dies_once_at_every_point_and_then_ends_well(tmp_path, monkeypatch):
    monkeypatch.setenv(KILL_AT, str(tmp_path / "points"))
    ends = [ended(tmp_path) for _ in range(5)]
    assert ends == [-signal.SIGKILL] * 4 + [0]
    points = ["before whole", "after whole", "within lines of lines", "after lines of lines"]
    assert (tmp_path / "points").read_text().splitlines() == points
    assert (tmp_path / "lines").read_text() == "a line\na line\n"  # once before it died after it


def test_a_death_before_the_rename_leaves_the_old_file(tmp_path, monkeypatch):
    monkeypatch.setenv(KILL_AT, str(tmp_path / "points"))
    (tmp_path / "whole").write_text("old")
    ended(tmp_path)
    assert (tmp_path / "whole").read_text() == "old"


def test_without_being_told_to_nothing_dies(tmp_path, monkeypatch):
    monkeypatch.delenv(KILL_AT, raising=False)
    assert ended(tmp_path) == 0
