"""Is the synthetic CT-RATE one, in files and in what is true of it?"""

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tomovox.data.ct_rate import ABNORMALITIES, path_of, read_scanned, read_scans, tree_of
from tomovox.data.ct_rate_records import abnormalities
from tomovox.data.phantom_ct_rate import write_ct_rate_phantom, write_prepared_ct_rate
from tomovox.data.records import read_records
from tomovox.data.volumes import read_volume
from tomovox.schema import Task, TomovoxError

ARGUMENTS = {"cases": 12, "seed": 5, "shape": (8, 16, 16), "difficulty": "easy"}


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("phantom")
    write_prepared_ct_rate(folder / "prepared", folder / "raw", test_cases=3, **ARGUMENTS)
    return folder / "raw", folder / "prepared"


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_files_are_those_of_the_release(roots):
    names = files(roots[0]).keys()
    assert {
        "dataset/radiology_text_reports/train_reports.csv",
        "dataset/radiology_text_reports/validation_reports.csv",
        "dataset/multi_abnormality_labels/valid_predicted_labels.csv",
        "dataset/metadata/validation_metadata.csv",
        "dataset/metadata/no_chest_train.txt",
        "dataset/vqa/train_vqa.json",
        "dataset/valid_fixed/valid_1/valid_1_a/valid_1_a_1.nii.gz",
        "dataset/train/train_4/train_4_a/train_4_a_1.nii.gz",
    } <= names


def test_tables_have_the_columns_of_the_release(roots):
    folder = roots[0] / "dataset"
    columns = {}
    for name in (
        "metadata/train_metadata.csv",
        "multi_abnormality_labels/train_predicted_labels.csv",
    ):
        with (folder / name).open(encoding="utf-8", newline="") as stream:
            columns[name] = next(csv.reader(stream))
    metadata, labels = columns.values()
    assert len(metadata) == 44
    assert labels == ["VolumeName", *ABNORMALITIES]


def test_some_scans_have_two_kernels_and_other_numbers_of_slices(roots):
    tree = tree_of(roots[0])
    known = read_scanned(tree, "train")
    pairs = [scan.volumes for scan in read_scans(tree, "train") if len(scan.volumes) == 2]
    assert pairs and all(known[a.volume].kernel != known[b.volume].kernel for a, b in pairs)
    folder = tree.volumes("train")
    files = [[tree.root / path_of(name, folder, ".nii.gz") for name in pair] for pair in pairs]
    slices = [[nib.load(file).shape[2] for file in pair] for pair in files]
    assert any(a != b for a, b in slices)


def test_one_vendor_has_the_intercept_minus_8192(roots):
    known = read_scanned(tree_of(roots[0]), "train")
    assert {scanned.intercept for scanned in known.values()} == {-1024.0, -8192.0}


def test_raw_and_corrected_volumes_are_prepared_alike(roots):
    for split in ("train", "test"):
        for record in read_records(roots[1], Task.REPORT, split):
            voxels = read_volume(roots[1], record.volumes[0], record.id)
            assert voxels.shape == (1, 8, 16, 16)
            assert np.median(voxels[0, :, :2, :2]) < 0.05  # air


def test_a_second_scan_of_a_patient_is_another_study_of_the_same_case(tmp_path):
    write_ct_rate_phantom(tmp_path / "raw", cases=20, seed=0, shape=(8, 16, 16))
    scans = read_scans(tree_of(tmp_path / "raw"), "train")
    assert len({scan.patient for scan in scans}) < len(scans)


def test_labels_say_what_reports_tell(roots):
    records = read_records(roots[1], Task.REPORT, "train")
    labels = abnormalities(roots[1], records)
    for record in records:
        has = dict(zip(ABNORMALITIES, labels[record.id], strict=True))
        if "heart is enlarged" in record.reference:
            assert has["Cardiomegaly"]
        if "No pleural effusion." in record.reference:
            assert not has["Pleural effusion"]


def test_the_same_arguments_give_the_same_bytes(roots, tmp_path):
    write_ct_rate_phantom(tmp_path / "raw", test_cases=3, **ARGUMENTS)
    assert files(tmp_path / "raw") == files(roots[0])


def test_a_patient_does_not_depend_on_how_many_there_are(roots, tmp_path):
    write_ct_rate_phantom(tmp_path / "raw", test_cases=3, **(ARGUMENTS | {"cases": 5}))
    fewer, more = files(tmp_path / "raw"), files(roots[0])
    volumes = [name for name in fewer if name.endswith(".nii.gz")]
    assert volumes and all(fewer[name] == more[name] for name in volumes)


def test_the_same_set_is_not_written_again(roots):
    before = {p: p.stat().st_mtime_ns for p in roots[0].rglob("*")}
    write_ct_rate_phantom(roots[0], test_cases=3, **ARGUMENTS)
    assert before == {p: p.stat().st_mtime_ns for p in roots[0].rglob("*")}


def test_a_set_of_other_arguments_is_refused(roots):
    with pytest.raises(TomovoxError, match="of other arguments"):
        write_ct_rate_phantom(roots[0], test_cases=2, **ARGUMENTS)


@pytest.mark.parametrize(
    "wrong", [{"cases": 0}, {"series": 3}, {"shape": (4, 16, 16)}, {"test_cases": 99}, {"seed": -1}]
)
def test_arguments_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(TomovoxError, match=next(iter(wrong))):
        write_ct_rate_phantom(tmp_path / "raw", **(ARGUMENTS | wrong))
