"""Do the tables of CT-RATE tell scans, reconstructions and reports as they stand?"""

from pathlib import Path

import pytest
from ct_rate_tree import REPORT, CtRate

from tomovox.data.ct_rate import (
    Tree,
    name_of,
    not_chest,
    read_labels,
    read_scanned,
    read_scans,
    told,
    tree_of,
)
from tomovox.data.faults import DataFault, Faults


@pytest.fixture
def source(tmp_path) -> CtRate:
    return CtRate(tmp_path)


def tree(source: CtRate) -> Tree:
    found = tree_of(source.write().root)
    assert found is not None
    return found


def fault_of(read, source: CtRate) -> str:
    with pytest.raises(DataFault) as caught:
        read(tree(source), "valid")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_reconstructions_of_one_scan_are_one_scan(source):
    for name in ("valid_7_a_1", "valid_7_a_2", "valid_7_b_1"):
        source.volume(name)
    scans = read_scans(tree(source), "valid")
    names = [[volume.volume for volume in scan.volumes] for scan in scans]
    assert names == [["valid_7_a_1", "valid_7_a_2"], ["valid_7_b_1"]]
    assert {scan.patient for scan in scans} == {"valid_7"}


def test_quotes_and_parentheses_of_a_report_stay(source):
    source.volume("valid_1_a_1")
    assert read_scans(tree(source), "valid")[0].report == REPORT


@pytest.mark.parametrize("cell", ["Not given.", "not given", " ", ""])
def test_what_is_not_given_is_empty(cell):
    assert told(cell) == ""


def test_a_report_without_findings_is_its_impressions(source):
    source.volume("valid_1_a_1", findings="Not given.", impressions="Normal.")
    assert read_scans(tree(source), "valid")[0].report == "Normal."


def test_a_volume_without_any_report_is_a_fault_with_its_row(source):
    source.volume("valid_1_a_1", findings="Not given.")
    assert "row 1: no report of valid_1_a_1" in fault_of(read_scans, source)


def test_two_reports_of_one_scan_are_a_fault(source):
    source.volume("valid_1_a_1")
    source.volume("valid_1_a_2", findings="Another.")
    assert "row 2: another report" in fault_of(read_scans, source)


def test_a_patient_of_the_other_split_is_a_fault(source):
    source.volume("valid_1_a_1")
    source.reports["valid"].append(("train_1_a_1.nii.gz", "", "", "Text.", ""))
    assert "train_1_a_1 is of another split" in fault_of(read_scans, source)


def test_faults_are_collected_and_the_other_rows_read(source):
    source.volume("valid_1_a_1", findings="Not given.")
    source.volume("valid_2_a_1")
    faults = Faults(collect=True)
    assert [scan.name for scan in read_scans(tree(source), "valid", faults)] == ["valid_2_a"]
    assert len(faults.found) == 1


def test_the_metadata_tell_slope_intercept_spacing_and_kernel(source):
    source.volume("valid_1_a_1", intercept=-8192, XYSpacing="[0.7, 0.8]", ZSpacing="3")
    scanned = read_scanned(tree(source), "valid")["valid_1_a_1"]
    assert (scanned.slope, scanned.intercept) == (1.0, -8192.0)
    assert scanned.spacing_mm == (3.0, 0.7, 0.8)
    assert scanned.kernel == "Br40f"


@pytest.mark.parametrize("cells", [{"XYSpacing": ""}, {"ZSpacing": "0"}, {"RescaleSlope": "nan"}])
def test_metadata_that_are_no_numbers_are_a_fault(source, cells):
    source.volume("valid_1_a_1", **cells)
    assert "not the numbers of a scan" in fault_of(read_scanned, source)


def test_labels_are_the_18_of_the_release(source):
    source.volume("valid_1_a_1")
    labels = read_labels(tree(source), "valid")["valid_1_a_1"]
    assert len(labels) == 18 and labels[9] and sum(labels) == 1


def test_a_label_that_is_neither_0_nor_1_is_a_fault(source):
    source.volume("valid_1_a_1")
    source.labels["valid"] = [("valid_1_a_1.nii.gz", "2", *"0" * 17)]
    assert "neither 0 nor 1" in fault_of(read_labels, source)


def test_the_list_of_what_is_no_chest_is_read_with_or_without_folders(source):
    source.volume("valid_1_a_1")
    root = tree(source)
    path = root.tables / "metadata" / "no_chest_valid.txt"
    path.write_text("valid/valid_1/valid_1_a/valid_1_a_1.nii.gz\nvalid_2_a_1.nii.gz\n")
    assert not_chest(root, "valid") == {"valid_1_a_1", "valid_2_a_1"}


def test_corrected_volumes_come_before_raw_ones(tmp_path):
    source = CtRate(tmp_path)
    source.volume("valid_1_a_1", fixed=False)
    assert str(tree(source).volumes("valid")) == "dataset/valid"
    source.volume("valid_1_a_1", fixed=True)
    assert str(tree(source).volumes("valid")) == "dataset/valid_fixed"


@pytest.mark.parametrize("base", ["dataset", ""])
def test_tables_lie_in_dataset_or_in_the_root(tmp_path, base):
    source = CtRate(tmp_path, base)
    source.volume("valid_1_a_1")
    assert tree(source).tables == Path(tmp_path / base)


@pytest.mark.parametrize("text", ["valid_1_a", "test_1_a_1", "../valid_1_a_1x", "valid_1_A_1"])
def test_a_name_of_no_volume_is_a_fault(text):
    with pytest.raises(DataFault):
        name_of(text, "row 1")
