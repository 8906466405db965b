import math
import struct

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from scans import (
    patient,
    read_header,
    stored_as,
    write_dicom,
    write_nifti,
    write_nrrd,
    write_slices,
)
from torch.nn import functional

from tomovox.data.images import WINDOWS, cropped, parse_window, read_image, resized, scaled
from tomovox.schema import TomovoxError

EVERYTHING = (67.5, 335.0)
"""A window whose edges are the least and greatest HU of the patient, so no voxel is clipped."""


def truth() -> np.ndarray:
    """The patient axially: D head to feet, H front to back, W right to left, from 0 to 1."""
    voxels = patient().transpose(2, 1, 0)[::-1, ::-1, ::-1].astype(np.float32)
    return (voxels - voxels.min()) / np.float32(335)


def refusal(path, window=None, shape=None, plane="axial") -> str:
    with pytest.raises(TomovoxError) as caught:
        read_image(path, window, shape, plane)
    message = str(caught.value)
    assert "\n" not in message and path.name.split(".")[0] in message and "; " in message
    return message


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


# ---- M3D-Cap's pictures ----------------------------------------------------------------------


def test_slices_are_sorted_by_number_and_scaled_as_published(tmp_path):
    volume = np.random.default_rng(1).integers(1, 200, (5, 6, 7), dtype=np.uint8)
    image = read_image(write_slices(tmp_path / "Axial", volume), None, None)
    grey = volume.astype(np.float32) / np.float32(255)
    grey -= grey.min()
    assert np.array_equal(image[0], cropped(grey / max(grey.max(), 1e-8)))


def test_slices_of_another_size_are_dropped(tmp_path):
    volume = np.random.default_rng(1).integers(1, 200, (5, 6, 7), dtype=np.uint8)
    folder = write_slices(tmp_path / "Axial", volume)
    before = read_image(folder, None, None)
    write_slices(folder, volume[:2, :3], first=1)
    assert np.array_equal(read_image(folder, None, None), before)


def test_a_coloured_jpeg_is_read_as_grey(tmp_path):
    folder = tmp_path / "Axial"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (4, 4), (number * 90,) * 3).save(folder / f"{number}.jpeg")
    assert read_image(folder, None, (3, 4, 4)).shape == (1, 3, 4, 4)


def test_a_picture_not_named_by_a_number_is_refused(tmp_path):
    folder = write_slices(tmp_path / "Axial", np.eye(6, dtype=np.uint8).reshape(2, 3, 6))
    (folder / "8.png").rename(folder / "cover.png")
    assert "cover.png" in refusal(folder)


def test_a_truncated_picture_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (3, 64, 64), dtype=np.uint8)
    folder = write_slices(tmp_path / "Axial", noise)
    path = folder / "9.png"
    path.write_bytes(path.read_bytes()[:300])
    assert "9.png" in refusal(folder)


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
    import gzip

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
    import nrrd

    nrrd.write(str(tmp_path / "scan.nrrd"), patient())
    assert "orientation" in refusal(tmp_path / "scan.nrrd")


# ---- DICOM -----------------------------------------------------------------------------------


def test_a_single_dicom_slice_is_no_volume(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    assert "single slice" in refusal(folder)


def test_two_series_in_one_folder_are_named(tmp_path):
    write_dicom(tmp_path / "scan", uid="1.2.3", name="Arterial")
    write_dicom(tmp_path / "scan", uid="1.2.4", name="Venous")
    message = refusal(tmp_path / "scan")
    assert "1_Arterial" in message and "1_Venous" in message


def test_a_missing_slice_is_noticed(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    sorted(folder.iterdir())[3].unlink()
    assert "missing" in refusal(folder)


def test_two_slices_at_one_position_are_refused(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    (folder / "copy.dcm").write_bytes(sorted(folder.iterdir())[0].read_bytes())
    assert "one position" in refusal(folder)


def test_a_truncated_dicom_slice_is_refused(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    path = sorted(folder.iterdir())[2]
    path.write_bytes(path.read_bytes()[:-20])
    assert path.name in refusal(folder)


def test_another_file_named_dcm_is_refused(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    (folder / "notes.dcm").write_text("not DICOM")
    assert "notes.dcm" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME1"),
        ({"NumberOfFrames": 3}, "frames"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient"),
        ({"Rows": 20000, "Columns": 20000}, "cut off"),
    ],
)
def test_what_is_no_stack_of_grey_slices_is_refused(tmp_path, change, word):
    assert word in refusal(write_dicom(tmp_path / "scan", **change))


def test_compression_that_cannot_be_unpacked_here_is_said(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    for path in folder.iterdir():
        data = read_header(path)
        data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"  # JPEG 2000
        from pydicom.encaps import encapsulate

        data.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(40)])
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        data.save_as(path)
    assert "dcm2niix" in refusal(folder)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "scan").mkdir()
    assert "neither" in refusal(tmp_path / "scan")


def test_spacing_and_codes_of_the_written_files_are_what_the_tests_mean():
    stored, affine = stored_as("SAR")
    assert stored.shape == (8, 7, 6)
    assert math.isclose(np.linalg.norm(affine[:3, 0]), 3.0)
