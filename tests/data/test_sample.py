"""Is the real sample the published layout, honest about its texts, and split by patient?"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest

from tomovox.data.records import read_records
from tomovox.data.sample import write_sample
from tomovox.data.sample_archives import ARCHIVES, Archive
from tomovox.data.sample_sources import SOURCES, Source
from tomovox.data.sample_text import MARK
from tomovox.data.supervision import finding_masks
from tomovox.data.volumes import read_volume
from tomovox.schema import Task, TomovoxError

SHAPE = (8, 16, 16)
LABELS = """import os
os.abort()
class_map = {"total": {1: "liver", 2: "spleen", 3: "heart", 4: "brain", 5: "sacrum",
                       6: "kidney_cyst_left"},
             "total_mr": {1: "liver", 2: "spleen", 3: "heart", 4: "brain", 5: "sacrum"}}
"""
AFFINE = np.array([[10.0, 0, 0, -90], [0, 10, 0, -90], [0, 0, 10, -90], [0, 0, 0, 1]])


# ---- tiny archives of the same member names --------------------------------------------------


def _body() -> np.ndarray:
    """Return 18x18x18 voxels, indices towards right, anterior, superior."""
    noise = np.random.default_rng(0).normal(0, 5, (18, 18, 18))
    voxels = np.full((18, 18, 18), -1000.0)
    voxels[2:16, 2:16, 1:17] = 60 + noise[2:16, 2:16, 1:17]
    return voxels.astype(np.int16)


def _organs() -> np.ndarray:
    """Return a label map: 1 upper right (liver), 2 upper left (spleen)."""
    labels = np.zeros((18, 18, 18), np.uint8)
    labels[10:15, 5:13, 11:16], labels[3:7, 5:13, 11:16] = 1, 2
    return labels


def _nifti(voxels: np.ndarray) -> bytes:
    return gzip.compress(nibabel.Nifti1Image(voxels, AFFINE).to_bytes(), mtime=0)


def _nrrd(voxels: np.ndarray, scratch: Path) -> bytes:
    header = {
        "space": "left-posterior-superior",
        "space directions": np.diag([10.0, 10.0, 10.0]),
        "space origin": [-90.0, -90.0, -90.0],
    }
    nrrd.write(str(scratch / "x.nrrd"), voxels[::-1, ::-1], header)
    return (scratch / "x.nrrd").read_bytes()


def _dicom(index: int) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    data, data.file_meta = Dataset(), FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = f"1.2.3.{index + 1}"
    data.SeriesInstanceUID, data.Modality = "1.2.3", "CT"
    data.Rows = data.Columns = 18
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 15, 1, 1
    data.PhotometricInterpretation, data.PixelSpacing = "MONOCHROME2", [10, 10]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.ImagePositionPatient = [-80, -80, -90 + 10 * index]
    data.RescaleSlope, data.RescaleIntercept = 1, 0
    data.PixelData = np.ascontiguousarray(_body()[::-1, ::-1, index].T).tobytes()
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _members(source: Source, scratch: Path) -> dict[str, bytes]:
    image = {"/": b"", "z": _nifti(_body()), "d": _nrrd(_body(), scratch)}[source.image[-1]]
    found = {source.image: image}
    if not image:
        found = {f"{source.image}CT.{i:02}": _dicom(i) for i in range(18)}
    if source.labels[0]:
        found[source.labels[0]] = _nifti(_organs())
    for label, member in source.masks:
        mask = (_organs() == 1).astype(np.uint8) * (not label.startswith("iliac"))
        found[member] = _nrrd(mask, scratch) if member.endswith("nrrd") else _nifti(mask)
    return found


def _pack(path: Path, archive: Archive, scratch: Path, more: dict[str, bytes]) -> None:
    files = {archive.licence_file: f"licence of {archive.name}".encode()}
    for source in SOURCES:
        if ARCHIVES[source.archive].project == archive.project:
            files |= _members(source, scratch)
    if archive.project == "TotalSegmentator":
        files["totalsegmentator/map_to_binary.py"] = LABELS.encode()
    named = {archive.member(name): data for name, data in files.items()}
    with tarfile.open(path, "w:gz") as packed:
        for name, data in sorted((named | more).items()):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder, scratch = (tmp_path_factory.mktemp(name) for name in ("archives", "scratch"))
    with pytest.MonkeyPatch.context() as patch:
        for key, archive in dict(ARCHIVES).items():
            _pack(folder / archive.file, archive, scratch, {"../escaped": b"x"})
            digest = hashlib.sha256((folder / archive.file).read_bytes()).hexdigest()
            patch.setitem(ARCHIVES, key, dataclasses.replace(archive, sha256=digest))
        yield folder


@pytest.fixture(scope="module")
def root(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "set"
    write_sample(folder, SHAPE, archives)
    return folder


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _bytes(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


# ---- layout ----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [Task.REPORT, Task.VQA_CLOSED, Task.VQA_OPEN])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_split_is_read_as_published(root, task, split):
    for record in read_records(root, task, split):
        assert read_volume(root, record.volumes[0], record.id).shape == (1, *SHAPE)


def test_every_study_has_three_planes(root):
    planes = [row["plane"] for row in _rows(root / "series.csv")]
    assert planes == ["axial", "coronal", "sagittal"] * len(SOURCES)


def test_a_native_sample_keeps_every_slice_of_every_plane(archives, tmp_path):
    write_sample(tmp_path / "set", (8, 20, 16), archives, native=True)
    shapes = {
        int(row["native_slices"]): np.load(tmp_path / "set" / row["image"]).shape
        for row in _rows(tmp_path / "set" / "series.csv")
    }
    assert shapes == {depth: (1, depth, 20, 16) for depth in shapes} and len(shapes) > 1
    tumours = [*(tmp_path / "set/M3D_Seg_npy/9002").rglob("mask_0.npy")]
    assert tumours
    for mask in tumours:
        assert np.load(mask).shape == np.load(mask.parents[1] / "image.npy").shape


def test_a_native_sample_is_another_set(root, archives):
    with pytest.raises(TomovoxError, match="choose another folder"):
        write_sample(root, SHAPE, archives, native=True)


def test_all_question_types_are_asked(root):
    rows = _rows(root / "M3D-VQA" / "M3D_VQA_train.csv")
    assert {row["Question Type"] for row in rows} == {"1", "2", "3", "4", "5"}


def test_the_answer_stands_at_its_letter(root):
    for split in ("train", "val", "test"):
        for row in _rows(root / "M3D-VQA" / f"M3D_VQA_{split}.csv"):
            assert row[f"Choice {row['Answer Choice']}"] == row["Answer"]


def test_the_training_tumours_are_found_by_their_images(root):
    found = finding_masks(root, ["tumour"]).masks.values()
    assert sum(bool(masks) for masks in found) == 3 * 2


def test_the_same_archives_give_the_same_bytes(root, archives, tmp_path):
    write_sample(tmp_path / "twin", SHAPE, archives)
    assert _bytes(tmp_path / "twin") == _bytes(root)


def test_a_finished_folder_needs_no_archive(root, tmp_path):
    before = _bytes(root)
    write_sample(root, SHAPE, tmp_path)
    assert _bytes(root) == before


def test_another_shape_is_not_written_over_a_sample(root, archives):
    with pytest.raises(TomovoxError, match="choose another folder"):
        write_sample(root, (8, 16, 32), archives)


def test_a_failed_run_leaves_nothing_behind(archives, tmp_path, monkeypatch):
    monkeypatch.setattr("tomovox.data.sample.read_study", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_sample(tmp_path / "set", SHAPE, archives)
    assert not list(tmp_path.iterdir())


def test_every_class_name_has_descriptions(root):
    names, terms = (
        json.loads((root / f"M3D_Seg_npy/{name}.json").read_text(encoding="utf-8"))
        for name in ("dataset_info", "term_dictionary")
    )
    assert set(terms) == {name for classes in names.values() for name in classes}


@pytest.mark.parametrize(("name", "studies"), [("M3D_RefSeg", 2), ("M3D_RefSeg_test", 2)])
def test_referring_questions_ask_for_the_tumour_of_a_study(root, name, studies):
    rows = _rows(root / f"M3D_RefSeg_npy/{name}.csv")
    assert len({row["Image"] for row in rows}) == studies
    for row in rows:
        case = row["Image"].split("/")[1]
        tumour = np.load(root / f"M3D_Seg_npy/9002/{case}_0/masks/mask_0.npy")
        assert ((np.load(root / row["Mask"]) == int(row["Mask_ID"])) == tumour).all()
        assert np.load(root / row["Image"]).shape == tumour.shape
        assert "[SEG]" in row["Answer"]


# ---- truth -----------------------------------------------------------------------------------


def test_no_patient_is_in_two_splits(root):
    seen: dict[str, set[str]] = {}
    splits = json.loads((root / "M3D_Cap_npy" / "M3D_Cap.json").read_text(encoding="utf-8"))
    for split in ("train", "validation", "test"):
        for entry in splits[split]:
            number = int(Path(entry["image"]).parent.name)
            seen.setdefault(SOURCES[number - 1].patient, set()).add(split)
    assert {len(found) for found in seen.values()} == {1}


def test_slab_and_whole_scan_of_one_patient_share_a_split():
    slab = [s for s in SOURCES if s.image.endswith(("example_ct.nii.gz", "example_ct_sm.nii.gz"))]
    assert {s.split for s in slab if "aorta" not in s.image} == {"train"}


def test_every_report_says_that_it_is_derived_from_masks(root):
    texts = [p.read_text(encoding="utf-8") for p in root.glob("M3D_Cap_npy/ct_case/*/text.txt")]
    assert len(texts) == len(SOURCES)
    assert all(text.startswith(f"{MARK} ") for text in texts)


def test_evidence_slices_hold_the_mask(root):
    rows = _rows(root / "M3D-VQA" / "M3D_VQA_train.csv")
    tumours = 0
    for line in _rows(root / "evidence.csv"):
        split, number = line["vqa"].split("/")
        if split != "train" or rows[int(number)]["Answer"] != "tumour":
            continue
        case, plane = line["image"].split("/")[2], line["image"].split("/")[3].split("_")[0]
        index = ("Axial", "Coronal", "Sagittal").index(plane)
        mask = np.load(root / f"M3D_Seg_npy/9002/{case}_{index}/masks/mask_0.npy")
        assert line["slices"].split() == [str(d) for d in np.flatnonzero(mask.any((0, 2, 3)))]
        tumours += 1
    assert tumours == 3 * 2


@pytest.mark.parametrize("number", [n for n, s in enumerate(SOURCES, 1) if s.labels[0]])
def test_the_liver_lies_upper_right_whatever_the_file_format(root, number):
    text = (root / f"M3D_Cap_npy/ct_case/{number:06d}/text.txt").read_text(encoding="utf-8")
    assert "liver lies on the right, in the upper third" in text


@pytest.mark.parametrize("number", [n for n, s in enumerate(SOURCES, 1) if "lung" in s.image])
def test_a_tumour_in_nrrd_lies_where_its_mask_does(root, number):
    text = (root / f"M3D_Cap_npy/ct_case/{number:06d}/text.txt").read_text(encoding="utf-8")
    assert "marks a tumour on the right, in the upper third" in text


def test_a_scan_cut_to_one_side_is_not_asked_for_sides(root):
    rows = _rows(root / "M3D-VQA" / "M3D_VQA_val.csv")
    assert not [row for row in rows if row["Answer"] in ("left", "right", "midline")]


def test_licences_and_hashes_are_kept(root):
    sources = (root / "SOURCES.txt").read_text(encoding="utf-8")
    for archive in ARCHIVES.values():
        assert archive.sha256 in sources
        licence = (root / "LICENSES" / f"{archive.project}.txt").read_text(encoding="utf-8")
        assert licence == f"licence of {archive.name}"
