"""Do cases start only where they belong, and do boxes and labels follow the image?"""

import json

import numpy as np
import pytest
import torch
from raw_sets import refusal
from torch.nn.functional import interpolate

from tomovox.data.faults import DataFault, Faults
from tomovox.data.prepare_cases import claim_target, foreground, nearest, run_cases, write_inside

SHAPE = (2, 3, 4)


class Letter:
    """A case of one file, named by a letter."""

    def __init__(self, name: str) -> None:
        self.outputs = (name,)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


# ---- where to --------------------------------------------------------------------------------


def test_the_settings_are_kept_beside_the_cases(source, tmp_path):
    claim_target(source, tmp_path / "out", "M3D-Seg", SHAPE)
    claim_target(source, tmp_path / "out", "M3D-Seg", SHAPE)
    kept = json.loads((tmp_path / "out" / "prepare.json").read_text())
    assert kept == {"source": str(source), "data_set": "M3D-Seg", "shape": [2, 3, 4]}


@pytest.mark.parametrize(("data_set", "shape"), [("M3D-RefSeg", SHAPE), ("M3D-Seg", (2, 3, 5))])
def test_other_settings_are_refused(source, tmp_path, data_set, shape):
    claim_target(source, tmp_path / "out", "M3D-Seg", SHAPE)
    assert "another" in refusal(claim_target, source, tmp_path / "out", data_set, shape)


def test_a_folder_with_other_files_is_left_alone(source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    message = refusal(claim_target, source, tmp_path / "out", "M3D-Seg", SHAPE)
    assert "empty folder" in message


@pytest.mark.parametrize("place", ["", "out"])
def test_nothing_is_written_into_the_source(source, place):
    assert "beside" in refusal(claim_target, source, source / place, "M3D-Seg", SHAPE)


def test_a_missing_source_is_refused(tmp_path):
    message = refusal(claim_target, tmp_path / "raw", tmp_path / "out", "M3D-Seg", SHAPE)
    assert "no such folder" in message


def test_links_out_of_the_target_are_not_written_through(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.npy").symlink_to(tmp_path / "elsewhere.npy")
    assert "link" in refusal(write_inside, tmp_path / "out", "a.npy", "text")


# ---- case by case ----------------------------------------------------------------------------


def test_only_cases_that_are_not_finished_are_worked_at(tmp_path):
    (tmp_path / "a").touch()
    done = []
    outcome = run_cases([Letter("a"), Letter("b")], done.append, tmp_path, Faults(collect=True))
    assert [case.outputs for case in done] == [("b",)]
    assert (outcome.prepared, outcome.skipped) == (1, 1)


def test_progress_ends_at_the_number_of_cases_to_do(tmp_path):
    seen = []
    cases = [Letter(name) for name in "abc"]
    run_cases(
        cases, lambda case: None, tmp_path, Faults(True), progress=lambda *step: seen.append(step)
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_what_is_wrong_is_listed_on_one_line_each(tmp_path):
    def fail(case):
        return DataFault(case.outputs[0], "two\nlines", "a\ttab")

    outcome = run_cases([Letter("a"), Letter("b")], fail, tmp_path, Faults(collect=True))
    listed = (tmp_path / "not_prepared.tsv").read_text()
    assert listed == "place\twhat\twhat to do\na\ttwo lines\ta tab\nb\ttwo lines\ta tab\n"
    assert (outcome.prepared, len(outcome.refused)) == (0, 2)


# ---- geometry --------------------------------------------------------------------------------


def test_the_foreground_is_the_smallest_box_of_what_is_above_0():
    values = np.zeros((5, 6, 7), np.float32)
    values[1, 2, 3] = values[3, 2, 5] = 1
    assert foreground(values) == (slice(1, 4), slice(2, 3), slice(3, 6))


@pytest.mark.parametrize("size", [(5, 6, 7), (9, 31, 4), (32, 300, 511), (1, 1, 1)])
def test_nearest_labels_are_those_of_torch(size):
    labels = np.random.default_rng(0).integers(0, 200, size).astype(np.uint8)
    expected = interpolate(torch.from_numpy(labels)[None, None].float(), (7, 32, 12))[0, 0]
    assert np.array_equal(nearest(labels, (7, 32, 12)), expected.numpy())
