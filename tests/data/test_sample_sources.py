"""Are label names read without running anything, and places named only where they are clear?"""

from __future__ import annotations

import pytest

from tomovox.data.sample_sources import SOURCES, read_label_names, spoken, wanted_member
from tomovox.schema import TomovoxError


def test_label_names_are_read_and_nothing_is_run(tmp_path):
    source = tmp_path / "labels.py"
    source.write_text('raise SystemExit\nclass_map = {"total": {1: "liver"}}\n')
    assert read_label_names(source, "total") == {1: "liver"}


@pytest.mark.parametrize(
    "text",
    ['class_map = {"total": make()}', "class_map = {}", "other = 1", "class_map = ("],
    ids=["call", "no key", "absent", "syntax"],
)
def test_labels_that_are_no_literal_are_refused(tmp_path, text):
    source = tmp_path / "labels.py"
    source.write_text(text)
    with pytest.raises(TomovoxError, match="no literal class_map"):
        read_label_names(source, "total")


def test_sides_are_spoken_first():
    assert spoken("adrenal_gland_left") == "left adrenal gland"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("pyradiomics-3.0.1/data/lung1_image.nrrd", True),
        ("pyradiomics-3.0.1/LICENSE.txt", True),
        ("pyradiomics-3.0.1/setup.py", False),
        ("data/lung1_image.nrrd", False),
    ],
)
def test_only_scans_and_the_licence_are_wanted(name, wanted):
    assert wanted_member("pyradiomics", name) is wanted


def test_files_of_a_dicom_folder_are_wanted_but_not_those_below():
    folder = "totalsegmentator-2.18.0/tests/reference_files/example_ct_dicom"
    assert wanted_member("totalsegmentator", f"{folder}/CT.1")
    assert not wanted_member("totalsegmentator", f"{folder}/deeper/CT.1")


def test_there_is_one_validation_patient_and_at_least_two_test_patients():
    patients = {
        split: {s.patient for s in SOURCES if s.split == split} for split in ("val", "test")
    }
    assert len(patients["val"]) == 1
    assert len(patients["test"]) >= 2
