"""Does a check of M3D-RefSeg find the rows and files that cannot be used, or that mislead?"""

import csv

import numpy as np
import pytest

from tomovox.data.check import check_tree
from tomovox.data.check_report import Report, SplitCount
from tomovox.data.refseg_records import COLUMNS, FILES

SHAPE = (1, 2, 4, 4)


def only(report: Report, severity: str = "error") -> str:
    (line,) = [problem.line() for problem in report.problems if problem.severity == severity]
    return line


def with_refseg(m3d, split: str = "test", **cells: str) -> None:
    """Add M3D-RefSeg of one image whose labels are 0, 1 and 3, with two questions about 3."""
    folder = "M3D_RefSeg_npy"
    m3d.write_volume(f"{folder}/s1/ct.npy")
    m3d.write_volume(f"{folder}/s1/mask.npy", np.resize(np.float32([0, 1, 3]), SHAPE))
    row = dict.fromkeys(COLUMNS, "3")
    row |= {"Image": f"{folder}/s1/ct.npy", "Mask": f"{folder}/s1/mask.npy", "Question_Type": "0"}
    with (m3d.root / folder / FILES[split]).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows([row | {"Question": "Where?"}, row | {"Question": "Which?"} | cells])


def test_questions_about_findings_are_counted(m3d):
    with_refseg(m3d)
    report = check_tree(m3d.root)
    assert (report.problems, report.counts) == ([], [SplitCount("M3D-RefSeg", "test", 2, 1, 1)])


def test_a_finding_that_is_not_in_the_mask_is_a_warning(m3d):
    with_refseg(m3d, Mask_ID="2")
    report = check_tree(m3d.root)
    assert "no voxel of Mask_ID 2" in only(report, "warning")
    assert report.counts == [SplitCount("M3D-RefSeg", "test", 2, 1, 1, negatives=1)]


@pytest.mark.parametrize(
    "cells",
    [
        {"Mask_ID": "0"},
        {"Question_Type": "2"},
        {"Question": ""},
        {"Image": "../ct.npy"},
        {"Image": "M3D_RefSeg_npy/s2/ct.npy"},
        {"Mask": "M3D_RefSeg_npy/s1/absent.npy"},
    ],
)
def test_a_bad_row_about_a_finding_is_an_error(m3d, cells):
    with_refseg(m3d, **cells)
    assert "refseg/000001" in only(check_tree(m3d.root))


def test_labels_that_do_not_fit_their_image_are_one_error(m3d):
    with_refseg(m3d)
    m3d.write_volume("M3D_RefSeg_npy/s1/mask.npy", np.ones((1, 3, 4, 4), np.float32))
    assert "mask.npy" in only(check_tree(m3d.root))


def test_a_case_of_findings_in_two_splits_is_a_warning(m3d):
    with_refseg(m3d)
    with_refseg(m3d, "train")
    assert "test, train of M3D-RefSeg" in only(check_tree(m3d.root), "warning")


def test_one_question_about_two_findings_is_no_repetition(m3d):
    with_refseg(m3d, Question="Where?", Mask_ID="1")
    assert check_tree(m3d.root).problems == []


def test_findings_without_questions_are_an_error(m3d):
    with_refseg(m3d)
    (m3d.root / "M3D_RefSeg_npy" / "M3D_RefSeg_test.csv").unlink()
    assert "M3D_RefSeg_test.csv" in only(check_tree(m3d.root))
