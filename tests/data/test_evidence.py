"""Are the slices of an answer those of evidence.csv, or those that its mask touches?"""

from pathlib import Path

import numpy as np
import pytest

from tomovox.data.evidence import depth_of, facts_of, plane_and_phase
from tomovox.schema import Record, Task, TomovoxError

VOLUME = "M3D_Cap_npy/ct_case/000001/Axial_C__portal_venous_phase.npy"


def record(name: str, task: Task, **keys) -> Record:
    return Record(name, task, "test", "ct_case/000001", (VOLUME,), "?", "!", **keys)


def write_evidence(root: Path, *rows: str) -> None:
    head = "vqa,image,question_type,scope,slices"
    (root / "evidence.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")


def write_volume(root: Path, mask: np.ndarray) -> None:
    path = root / VOLUME
    path.parent.mkdir(parents=True)
    np.save(path, np.arange(mask.size, dtype=np.uint8).reshape(mask.shape), allow_pickle=False)
    np.save(root / "mask.npy", mask, allow_pickle=False)


def test_closed_and_open_records_of_a_row_share_its_slices(tmp_path):
    write_evidence(
        tmp_path, f"test/000003,{VOLUME},organ,slice,4 5", f"test/000004,{VOLUME},x,volume,"
    )
    closed = record("vqa_closed/test/000003", Task.VQA_CLOSED)
    spoken = record("vqa_open/test/000003", Task.VQA_OPEN)
    other = record("vqa_open/test/000004", Task.VQA_OPEN)
    facts = facts_of(tmp_path, [closed, spoken, other])
    assert facts[closed.id] == facts[spoken.id]
    assert (facts[closed.id].scope, facts[closed.id].slices) == ("slice", (4, 5))
    assert (facts[other.id].scope, facts[other.id].slices) == ("volume", ())


def test_the_copies_of_a_closed_question_share_its_slices(tmp_path):
    write_evidence(tmp_path, f"test/000003,{VOLUME},organ,slice,4 5")
    copy = record("vqa_closed/test/000003/order1", Task.VQA_CLOSED)
    assert facts_of(tmp_path, [copy])[copy.id].slices == (4, 5)


def test_a_report_has_no_evidence_although_its_number_is_that_of_a_question(tmp_path):
    write_evidence(tmp_path, f"test/000003,{VOLUME},organ,slice,4 5")
    report = record("report/test/000003", Task.REPORT)
    assert facts_of(tmp_path, [report])[report.id].slices == ()


def test_a_mask_touches_its_slices(tmp_path):
    mask = np.zeros((1, 6, 4, 4), bool)
    mask[0, 2:4, 1, 1] = True
    write_volume(tmp_path, mask)
    asked = record("seg_semantic/test/9000/000000", Task.SEG_SEMANTIC, mask="mask.npy")
    assert facts_of(tmp_path, [asked])[asked.id].slices == (2, 3)


def test_what_is_absent_has_no_evidence(tmp_path):
    write_volume(tmp_path, np.zeros((1, 6, 4, 4), bool))
    asked = record("seg_semantic/test/9000/000000", Task.SEG_SEMANTIC, mask="mask.npy")
    assert facts_of(tmp_path, [asked])[asked.id].slices == ()


def test_the_depth_of_a_volume_is_its_number_of_slices(tmp_path):
    write_volume(tmp_path, np.zeros((1, 6, 4, 5), bool))
    assert depth_of(tmp_path, record("vqa_open/test/000003", Task.VQA_OPEN)) == 6


def test_a_volume_that_is_not_there_has_no_depth(tmp_path):
    with pytest.raises(TomovoxError, match="no such volume"):
        depth_of(tmp_path, record("vqa_open/test/000003", Task.VQA_OPEN))


@pytest.mark.parametrize(
    "cells",
    ["organ,near,4", "organ,slice,4;5", "organ,slice,-1", "organ", f"organ,slice,{'9' * 5000}"],
)
def test_a_bad_line_is_named(tmp_path, cells):
    write_evidence(tmp_path, f"test/000003,{VOLUME},{cells}")
    with pytest.raises(TomovoxError, match=r"evidence\.csv:2"):
        facts_of(tmp_path, [])


@pytest.mark.parametrize(
    ("name", "plane", "phase"),
    [
        ("Axial_C__portal_venous_phase", "axial", "portal venous"),
        ("Coronal_non_contrast", "coronal", "noncontrast"),
        ("Sagittal_C__arterial_phase", "sagittal", "arterial"),
        ("Axial_bone_window", "axial", ""),
        ("Axial_without_intravenous_contrast", "axial", "noncontrast"),
        ("Axial_intravenous", "axial", ""),
        ("ct", "", ""),
    ],
)
def test_names_of_series_tell_plane_and_phase(name, plane, phase):
    assert plane_and_phase(f"M3D_Cap_npy/ct_case/000001/{name}.npy") == (plane, phase)
