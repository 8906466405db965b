"""Is the raw M3D-RefSeg prepared as published, step by step, and is what cannot be listed?"""

import nibabel as nib
import numpy as np
import pytest
import torch
from raw_sets import raw_scan, refusal, write_raw_refseg
from torch.nn.functional import interpolate

from tomovox.data import prepare_refseg as module
from tomovox.data.prepare_refseg import prepare_refseg, scaled_by_percentiles
from tomovox.data.volumes import read_target, read_volume

SHAPE = (4, 10, 12)


@pytest.fixture
def raw(tmp_path):
    return write_raw_refseg(tmp_path / "raw")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data" / "M3D_RefSeg_npy"


def published() -> tuple[np.ndarray, np.ndarray]:
    """Do the published steps on the raw scan (x y z): scan and labels (1 D H W)."""
    scan, labels = (torch.from_numpy(a.astype(np.float64)).permute(2, 0, 1) for a in raw_scan())
    low, high = torch.quantile(scan, torch.tensor([0.005, 0.995], dtype=torch.float64)).tolist()
    scan = ((scan - low) / (high - low)).clamp(0, 1).float()
    seen = torch.nonzero(scan > 0)
    (d, h, w), (dd, hh, ww) = seen.min(0).values.tolist(), (seen.max(0).values + 1).tolist()
    scan, labels = (x[None, None, d:dd, h:hh, w:ww] for x in (scan, labels.float()))
    small = interpolate(scan, SHAPE, mode="trilinear", align_corners=False)[0]
    return small.numpy(), interpolate(labels, SHAPE, mode="nearest")[0].numpy()


# ---- what is written -------------------------------------------------------------------------


def test_a_scan_is_the_published_one(raw, out):
    prepare_refseg(raw, out, SHAPE)
    stored = np.load(out / "s0001" / "ct.npy")
    assert (stored.dtype, stored.shape) == (np.float32, (1, *SHAPE))
    assert np.abs(stored - published()[0]).max() < 1e-6


def test_labels_are_the_published_ones(raw, out):
    prepare_refseg(raw, out, SHAPE)
    stored = np.load(out / "s0001" / "mask.npy")
    assert stored.dtype == np.float32 and set(np.unique(stored)) == {0, 1, 2, 5}
    assert np.array_equal(stored, published()[1])


def test_a_finding_is_read_as_a_record_asks(raw, out):
    prepare_refseg(raw, out, SHAPE)
    scan = read_volume(out, "s0000/ct.npy", "x")
    assert read_target(out, "s0000/mask.npy", 5, scan.shape, "x").any()


def test_findings_and_questions_go_along(raw, out):
    (raw / "M3D_RefSeg_test.csv").write_text("Image,Mask\n")
    prepare_refseg(raw, out, SHAPE)
    assert (out / "s0000" / "text.json").read_text() == '{"1": "A cyst."}'
    assert (out / "M3D_RefSeg_test.csv").read_text() == "Image,Mask\n"


def test_percentiles_are_the_ends_of_the_scale():
    scan = np.arange(-500, 1501, dtype=np.float32)
    scaled = scaled_by_percentiles(scan, "x")
    assert scaled[10] == 0 and scaled[11] > 0 and scaled[1989] < 1 and scaled[1990] == 1


def test_several_processes_write_the_same(raw, out, tmp_path):
    prepare_refseg(raw, out, SHAPE)
    prepare_refseg(raw, tmp_path / "two", SHAPE, workers=2)
    files = sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file())
    assert len(files) == 7
    assert all((out / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


def test_a_finished_case_is_not_prepared_again(raw, out, monkeypatch):
    prepare_refseg(raw, out, SHAPE)
    monkeypatch.setattr(module, "write_array", None)
    outcome = prepare_refseg(raw, out, SHAPE)
    assert (outcome.prepared, outcome.skipped) == (0, 2)


# ---- what cannot be prepared -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["no mask", "cut", "another shape", "air", "nan"])
def test_a_case_that_cannot_be_prepared_is_listed_and_left_out(raw, out, kind):
    folder, (scan, labels) = raw / "s0000", raw_scan()
    if kind == "no mask":
        (folder / "mask.nii.gz").unlink()
    elif kind == "cut":
        (folder / "ct.nii.gz").write_bytes((folder / "ct.nii.gz").read_bytes()[:200])
    elif kind == "another shape":
        nib.save(nib.Nifti1Image(labels[:-1], np.eye(4)), folder / "mask.nii.gz")
    else:
        fill = np.full(scan.shape, -1000 if kind == "air" else np.nan, np.float32)
        nib.save(nib.Nifti1Image(fill, np.eye(4)), folder / "ct.nii.gz")
    outcome = prepare_refseg(raw, out, SHAPE)
    _, line = (out / "not_prepared.tsv").read_text().splitlines()
    assert "s0000" in line and line.count("\t") == 2
    assert (outcome.prepared, len(outcome.refused)) == (1, 1)
    assert not (out / "s0000").exists()


def test_a_folder_without_cases_is_refused(tmp_path, out):
    (tmp_path / "raw").mkdir()
    assert "M3D_RefSeg" in refusal(prepare_refseg, tmp_path / "raw", out, SHAPE)
