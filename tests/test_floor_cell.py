"""Which training volumes may answer in the row of a floor that looks at images?"""

from pathlib import Path

import pytest
from test_experiment import BASELINES

from tomovox.cell import Cell
from tomovox.configuration import merged, read_yaml
from tomovox.data.phantom import write_phantom
from tomovox.data.records import read_cap
from tomovox.floor_cell import make_floor
from tomovox.left_out import count_left_out
from tomovox.schema import PREDICTIONS, Prediction, Task, TomovoxError, read_predictions


@pytest.fixture
def root(tmp_path) -> Path:
    """A data root of four training volumes and two of test; the first one's copy is in training."""
    folder = tmp_path / "data"
    write_phantom(folder, 7, seed=0, shape=(8, 32, 32), test_cases=2, val_cases=1, series=1)
    copied = folder / read_cap(folder, "test")[0].volumes[0]
    (folder / read_cap(folder, "train")[2].volumes[0]).write_bytes(copied.read_bytes())
    return folder


def floor(folder: Path, root: Path, **data) -> list[Prediction]:
    """Make the row nearest_report over a data root and return its answers."""
    data = {"root": str(root), "tasks": ["report", "vqa_open"], **data}
    config = merged(read_yaml(BASELINES / "blind" / "tiny.yaml"), {"data": data})
    cell = Cell("nearest_report", 0, folder / "nearest_report-s0", config, [], floor=True)
    make_floor(cell)
    return list(read_predictions(cell.folder / PREDICTIONS))


def test_reports_are_answered_and_nothing_else(tmp_path, root):
    found = floor(tmp_path, root)
    assert [answer.id for answer in found] == [record.id for record in read_cap(root, "test")]
    assert {answer.task for answer in found} == {Task.REPORT}


def test_a_test_volume_gets_the_report_of_its_copy_in_training(tmp_path, root):
    assert floor(tmp_path, root)[0].text == read_cap(root, "train")[2].reference


def test_the_report_of_a_case_is_that_of_what_is_most_like_its_first_series(tmp_path, root):
    (answer, _) = floor(tmp_path, root, tasks=["case_report", "vqa_open"])
    assert (answer.task, answer.text) == (Task.CASE_REPORT, read_cap(root, "train")[2].reference)


def test_a_limit_holds_for_training_volumes_too(tmp_path, root):
    (answer,) = floor(tmp_path, root, limit=1)
    assert answer.text == read_cap(root, "train")[0].reference


def test_an_unreadable_training_volume_is_left_out_and_counted(tmp_path, root):
    copy = read_cap(root, "train")[2]
    (root / copy.volumes[0]).write_bytes(b"")
    assert floor(tmp_path, root, on_bad_volume="list")[0].text != copy.reference
    assert count_left_out(tmp_path / "nearest_report-s0") == {"train": 1}


def test_without_a_report_to_answer_it_is_refused(tmp_path, root):
    with pytest.raises(TomovoxError, match="floor nearest_report: there is no report"):
        floor(tmp_path, root, tasks=["vqa_open"])


def test_without_a_readable_training_volume_it_is_refused(tmp_path, root):
    for record in read_cap(root, "train"):
        (root / record.volumes[0]).write_bytes(b"")
    with pytest.raises(TomovoxError, match="floor nearest_report: there is no report"):
        floor(tmp_path, root, on_bad_volume="list")
