"""Do processes that share a work all start, and is one that fails or is missing told of?"""

import os
from pathlib import Path

import pytest

from tomovox.ranks import check_world_size, do_apart, do_together
from tomovox.schema import TomovoxError

# ---- processes ---------------------------------------------------------------------------------


def refuse(share: str) -> None:
    if share == "bad":
        raise TomovoxError("bad: cannot be done")


def test_the_error_of_one_process_is_raised():
    with pytest.raises(TomovoxError, match="bad: cannot be done"):
        do_apart(refuse, ["good", "bad"], "x")


def leave(share: str) -> None:
    if share == "killed":
        os._exit(9)


def test_a_process_that_was_killed_is_one_line_and_the_remedy():
    with pytest.raises(TomovoxError, match=r"x 1.*a process was killed.*same command contin"):
        do_apart(leave, ["good", "killed"], "x")


def report(folder: Path) -> None:
    rank, count = os.environ["LOCAL_RANK"], os.environ["WORLD_SIZE"]
    (folder / rank).write_text(count, encoding="utf-8")


def test_every_process_knows_its_number_and_how_many_there_are(tmp_path):
    do_together(report, tmp_path, 2, "x")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"0": "2", "1": "2"}


def test_this_process_is_none_of_them(tmp_path):
    do_together(report, tmp_path, 2, "x")
    assert "LOCAL_RANK" not in os.environ


# ---- are they all there? -----------------------------------------------------------------------


class Counted:
    def __init__(self, devices: int, nodes: int, world_size: int):
        self.num_devices, self.num_nodes, self.world_size = devices, nodes, world_size


@pytest.mark.parametrize(("devices", "nodes"), [(1, 1), (2, 1), (4, 2)])
def test_as_many_processes_as_devices_may_train(devices, nodes):
    check_world_size(Counted(devices, nodes, devices * nodes))


@pytest.mark.parametrize(("devices", "nodes", "there"), [(2, 1, 1), (4, 2, 4), (1, 1, 2)])
def test_any_other_number_is_refused(devices, nodes, there):
    with pytest.raises(TomovoxError, match=rf"{devices * nodes} processes, and {there} run"):
        check_world_size(Counted(devices, nodes, there))
