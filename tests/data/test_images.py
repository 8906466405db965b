import math

import numpy as np
import pytest
import torch
from scans import (
    patient,
    refusal,
    stored_as,
    truth,
    write_dicom,
    write_nifti,
    write_nrrd,
)
from torch.nn import functional

from tomovox.data.images import WINDOWS, cropped, parse_window, read_image, resized, scaled
from tomovox.schema import TomovoxError

EVERYTHING = (67.5, 335.0)
"""A window whose edges are the least and greatest HU of the patient, so no voxel is clipped."""


# ---- orientation -----------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["RAS", "LPS", "LAS", "RPI", "SAR", "ASL", "PIR"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_of_any_orientation_is_the_same_volume(tmp_path, code, suffix):
    image = read_image(write_nifti(tmp_path / f"scan{suffix}", code), None, None)
    assert np.allclose(image[0], truth(), atol=1e-6)


@pytest.mark.parametrize("code", ["RAS", "LPS", "SAR"])
@pytest.mark.parametrize(
    "space", ["left-posterior-superior", "right-anterior-superior", "left-anterior-superior"]
)
def test_nrrd_of_any_space_is_the_same_volume(tmp_path, code, space):
    image = read_image(write_nrrd(tmp_path / "scan.nrrd", code, space), None, None)
    assert np.allclose(image[0], truth(), atol=1e-6)


@pytest.mark.parametrize("code", ["LPS", "LPI", "PIR", "LIP", "RAS"])
def test_dicom_of_any_plane_is_the_same_volume(tmp_path, code):
    image = read_image(write_dicom(tmp_path / "scan", code), None, None)
    assert np.allclose(image[0], truth(), atol=1e-6)


def test_the_first_axial_slice_is_at_the_head_its_first_row_in_front_its_first_column_right(
    tmp_path,
):
    voxels = np.full((6, 7, 8), 10, np.int16)
    voxels[-1, -1, -1] = 500  # the corner at the patient's right, front and head
    voxels[0, 0, 0] = 0
    image = read_image(write_nifti(tmp_path / "scan.nii", "RAS", voxels), None, (8, 7, 6))
    assert np.unravel_index(image.argmax(), image.shape) == (0, 0, 0, 0)


@pytest.mark.parametrize(("plane", "axes"), [("coronal", (1, 0, 2)), ("sagittal", (2, 0, 1))])
def test_another_plane_is_the_same_patient_sliced_along_another_axis(tmp_path, plane, axes):
    image = read_image(write_nifti(tmp_path / "scan.nii", "LPS"), None, None, plane)
    assert np.allclose(image[0], truth().transpose(axes), atol=1e-6)


def test_an_image_without_orientation_has_no_other_plane(tmp_path):
    np.save(tmp_path / "scan.npy", patient())
    assert "orientation" in refusal(tmp_path / "scan.npy", plane="coronal")


def test_an_unknown_plane_is_refused(tmp_path):
    path = write_nifti(tmp_path / "scan.nii")
    with pytest.raises(TomovoxError, match="axial, coronal, sagittal"):
        read_image(path, None, None, "oblique")


# ---- intensities -----------------------------------------------------------------------------


def test_rescale_slope_and_intercept_give_hounsfield_units(tmp_path):
    image = read_image(write_dicom(tmp_path / "scan"), EVERYTHING, None)
    assert np.allclose(image[0], truth(), atol=1e-6)


def test_a_window_maps_its_edges_to_0_and_1_and_clips_beyond():
    values = np.array([-500, -160, -60, 40, 140, 240, 900], np.float32).reshape(7, 1, 1)
    assert np.allclose(scaled(values, (40, 400), "a").ravel(), [0, 0, 0.25, 0.5, 0.75, 1, 1])


def test_without_a_window_the_range_of_the_image_becomes_0_to_1():
    values = np.array([-1000, 0, 1000], np.int16).reshape(3, 1, 1)
    assert scaled(values, None, "a").ravel().tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_goes_by_its_name(name):
    assert parse_window(name) == WINDOWS[name]


def test_a_window_goes_by_its_numbers():
    assert parse_window("-600,1500") == (-600, 1500)


@pytest.mark.parametrize("text", ["", "lungs", "40", "40,0", "40,-1", "nan,4", "1,2,3"])
def test_a_bad_window_is_refused(text):
    with pytest.raises(TomovoxError, match="window"):
        parse_window(text)


def test_a_window_that_shows_nothing_is_refused(tmp_path):
    assert "one side" in refusal(write_nifti(tmp_path / "scan.nii"), (5000, 10))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_voxels_that_are_no_numbers_are_refused(tmp_path, bad):
    voxels = patient().astype(np.float32)
    voxels[1, 2, 3] = bad
    assert "NaN" in refusal(write_nifti(tmp_path / "scan.nii", "RAS", voxels))


def test_an_empty_image_is_refused(tmp_path):
    assert "every voxel" in refusal(write_nifti(tmp_path / "scan.nii", "RAS", patient() * 0))


def test_the_foreground_is_cropped_without_margin():
    values = np.zeros((5, 6, 7), np.float32)
    values[1:4, 2:3, 3:7] = 0.5
    assert cropped(values).shape == (3, 1, 4)


def test_resizing_is_trilinear_without_anti_aliasing():
    values = np.random.default_rng(0).random((9, 12, 10), dtype=np.float32)
    same = functional.interpolate(torch.from_numpy(values)[None, None], (4, 5, 6), mode="trilinear")
    assert np.array_equal(resized(values, (4, 5, 6)), same[0, 0].numpy())


# ---- .npy ------------------------------------------------------------------------------------


def test_a_prepared_volume_is_only_resized(tmp_path):
    volume = np.zeros((1, 4, 4, 4), np.uint8)
    volume[0, 1:3, 1:3, 1:3] = 51
    np.save(tmp_path / "scan.npy", volume)
    assert np.allclose(read_image(tmp_path / "scan.npy", None, None), volume / 255)


def test_a_window_on_a_prepared_volume_is_refused(tmp_path):
    np.save(tmp_path / "scan.npy", np.eye(8, dtype=np.uint8).reshape(1, 4, 4, 4))
    assert "window" in refusal(tmp_path / "scan.npy", (40, 400))


def test_hounsfield_units_in_a_npy_keep_their_axes(tmp_path):
    np.save(tmp_path / "scan.npy", patient())
    low = patient().min()
    assert np.allclose(read_image(tmp_path / "scan.npy", None, None)[0], (patient() - low) / 335)


def test_a_pickled_npy_is_refused(tmp_path):
    np.save(tmp_path / "scan.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    assert "pickled" in refusal(tmp_path / "scan.npy")


def test_spacing_and_codes_of_the_written_files_are_what_the_tests_mean():
    stored, affine = stored_as("SAR")
    assert stored.shape == (8, 7, 6)
    assert math.isclose(np.linalg.norm(affine[:3, 0]), 3.0)
