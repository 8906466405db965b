import gzip
import struct

import nibabel as nib
import nrrd
import numpy as np
import pytest
from scans import (
    patient,
    refusal,
    truth,
    write_nifti,
    write_nrrd,
)

from tomovox.data.images import read_image

# ---- files that lie, or are broken -----------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".npy"])
def test_another_file_under_that_name_is_refused(tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    path.write_bytes(b"this is no image at all" * 40)
    refusal(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_a_truncated_file_is_refused(tmp_path, suffix, share):
    path = tmp_path / f"scan{suffix}"
    write_nrrd(path) if suffix == ".nrrd" else write_nifti(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refusal(path)


def test_four_dimensions_are_refused(tmp_path):
    voxels = np.stack([patient(), patient() + 1], axis=-1)
    assert "4-D" in refusal(write_nifti(tmp_path / "scan.nii", "RAS", voxels))


def test_a_fourth_axis_of_one_is_dropped(tmp_path):
    path = write_nifti(tmp_path / "scan.nii", "RAS", patient()[..., None])
    assert np.allclose(read_image(path, None, None)[0], truth(), atol=1e-6)


def test_one_slice_is_no_volume(tmp_path):
    assert "single slice" in refusal(write_nifti(tmp_path / "scan.nii", "RAS", patient()[..., :1]))


def test_an_absurd_nifti_header_is_refused_before_memory_is_asked_for(tmp_path):
    path = write_nifti(tmp_path / "scan.nii")
    raw = bytearray(path.read_bytes())
    raw[40:48] = struct.pack("<4h", 3, 30000, 30000, 30000)
    path.write_bytes(raw)
    assert "2**31" in refusal(path)


def test_a_gzip_that_cannot_hold_what_its_header_claims_is_refused(tmp_path):
    blank = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    blank.header.set_data_shape((2, 2, 2))
    nib.save(blank, tmp_path / "plain.nii")
    raw = bytearray((tmp_path / "plain.nii").read_bytes())
    raw[40:48] = struct.pack("<4h", 3, 1000, 1000, 1000)
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(bytes(raw)))
    assert "cannot hold" in refusal(tmp_path / "scan.nii.gz")


def test_a_nrrd_whose_voxels_lie_elsewhere_is_refused(tmp_path):
    path = write_nrrd(tmp_path / "scan.nrrd")
    raw = path.read_bytes().replace(b"encoding:", b"data file: ../../secret.raw\nencoding:", 1)
    path.write_bytes(raw)
    assert "another file" in refusal(path)


def test_a_detached_nrrd_header_is_refused(tmp_path):
    (tmp_path / "scan.nhdr").write_text("NRRD0004\n")
    assert "elsewhere" in refusal(tmp_path / "scan.nhdr")


def test_a_nrrd_without_orientation_is_refused(tmp_path):
    nrrd.write(str(tmp_path / "scan.nrrd"), patient())
    assert "orientation" in refusal(tmp_path / "scan.nrrd")
