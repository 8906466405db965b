"""Do values become HU, and the grid one spacing, however a scan is stored and how long it is?"""

import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from ct_rate_tree import hu, stored
from nibabel import orientations
from torch.nn import functional

from tomovox.data.ct_rate import Scanned
from tomovox.data.ct_rate_scan import PreparedScan, ScanSettings, _grid, places, prepare_scan
from tomovox.data.faults import DataFault

AS_SCANNED = (0.0, 0.0, 0.0)


def write(path: Path, values: np.ndarray, code: str = "LPS") -> Path:
    """Write (n H W), from head to feet, front to back, right to left, with axes towards `code`."""
    turn = orientations.ornt_transform(
        orientations.axcodes2ornt(("I", "P", "L")), orientations.axcodes2ornt(tuple(code))
    )
    affine = orientations.inv_ornt_aff(turn, values.shape)
    base = np.array([[0, 0, -1, 0], [0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1.0]])
    stored = np.ascontiguousarray(orientations.apply_orientation(values, turn))
    nib.save(nib.Nifti1Image(stored, base @ affine), path)
    return path


def prepared(path: Path, scanned: Scanned | None = None, **settings) -> PreparedScan:
    scanned = scanned or Scanned(1.0, -1024.0, (1.5, 0.75, 0.75), "B")
    wanted = {"shape": (6, 8, 8), "spacing_mm": AS_SCANNED, "format": "float32"} | settings
    return prepare_scan(path, scanned, ScanSettings(**wanted))


def in_window(values: np.ndarray) -> np.ndarray:
    return np.clip((values.astype(np.float32) + 1000) / 2000, 0, 1)


def test_values_in_hu_stay_whatever_the_metadata_say(tmp_path):
    scan = prepared(write(tmp_path / "a.nii.gz", hu()), Scanned(1.0, -8192.0, (1.5, 1, 1), "B"))
    assert scan.hu == "as stored"
    np.testing.assert_allclose(scan.voxels[0], in_window(hu()), atol=1e-6)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, -1024.0), (1.0, -8192.0), (2.0, -2048.0)])
def test_raw_values_become_hu_by_slope_and_intercept(tmp_path, slope, intercept):
    values = (hu() // 2 * 2).astype(np.int16)
    raw = ((values - intercept) / slope).astype(np.int16)
    scan = prepared(
        write(tmp_path / "a.nii.gz", raw), Scanned(slope, intercept, (1.5, 0.75, 0.75), "B")
    )
    assert scan.hu == f"slope {slope:g}, intercept {intercept:g}"
    np.testing.assert_allclose(scan.voxels[0], in_window(values), atol=1e-6)


def test_pixels_that_no_scan_has_are_refused_before_memory_is_taken(tmp_path):
    path = write(tmp_path / "a.nii.gz", hu())
    with pytest.raises(DataFault, match=r"a\.nii\.gz.* no scan has pixels of 90 x 90 mm; mend"):
        prepared(path, Scanned(1.0, 0.0, (1.5, 90.0, 90.0), "B"), spacing_mm=(1.5, 0.01, 0.01))


def test_air_is_told_as_it_was_found(tmp_path):
    assert -1000 <= prepared(write(tmp_path / "a.nii.gz", hu())).air_hu <= -900


@pytest.mark.parametrize("shift", [500, 3000, -1024])
def test_a_scan_whose_air_is_not_near_minus_1000_is_one_clear_line(tmp_path, shift):
    path = write(tmp_path / "a.nii.gz", (hu() + shift).astype(np.int16))
    with pytest.raises(DataFault, match=r"a\.nii\.gz: no HU: .*-1000.*intercept -1024") as caught:
        prepared(path)
    assert "\n" not in str(caught.value)


def test_soft_tissue_that_is_shifted_to_the_place_of_air_is_not_taken_for_air(tmp_path):
    twice = (hu() - 1024).astype(np.int16)  # the intercept was applied to what was in HU
    with pytest.raises(DataFault, match="no HU"):
        prepared(write(tmp_path / "a.nii.gz", twice), Scanned(1.0, 0.0, (1.5, 1, 1), "B"))


@pytest.mark.parametrize("code", ["LPS", "RAS", "LPI", "PLS", "ARI", "LAS"])
def test_every_way_to_store_an_axial_scan_gives_the_same_volume(tmp_path, code):
    scan = prepared(write(tmp_path / "a.nii.gz", hu(), code))
    np.testing.assert_allclose(scan.voxels[0], in_window(hu()), atol=1e-6)


@pytest.mark.parametrize("coded", [True, False])
def test_a_header_that_was_never_set_means_the_axes_of_dicom(tmp_path, coded):
    image = nib.Nifti1Image(stored(hu()), np.eye(4))
    if not coded:
        image.set_sform(None, 0)
        image.set_qform(None, 0)
    nib.save(image, tmp_path / "a.nii.gz")
    scan = prepared(tmp_path / "a.nii.gz")
    assert scan.orientation == "LPS (assumed)"
    np.testing.assert_allclose(scan.voxels[0], in_window(hu()), atol=1e-6)


def test_raw_values_whose_corners_are_filled_with_air_in_hu_are_refused(tmp_path):
    raw = hu() + np.int16(1024)
    raw[:, :, :2] = -1000
    with pytest.raises(DataFault, match="HU either way; as stored: air"):
        prepared(write(tmp_path / "a.nii.gz", raw))


def test_slices_that_do_not_run_along_the_body_are_refused(tmp_path):
    with pytest.raises(DataFault, match="do not run along the body"):
        prepared(write(tmp_path / "a.nii.gz", hu(), "SPL"))


@pytest.mark.parametrize(("n", "size"), [(5, 9), (9, 5), (4, 4), (1, 3), (502, 251)])
def test_places_are_those_of_torch(n, size):
    values = torch.randn(1, 1, n, generator=torch.Generator().manual_seed(0))
    below, above, share = places(n, size)
    line = values[0, 0].numpy()
    ours = line[below] * (1 - share) + line[above] * share
    torch_says = functional.interpolate(values, size, mode="linear", align_corners=False)
    np.testing.assert_allclose(ours, torch_says[0, 0].numpy(), atol=1e-5)


@pytest.mark.parametrize("code", ["LPS", "LPI"])
def test_slice_by_slice_is_trilinear_resampling_of_the_whole(tmp_path, code):
    values = hu(slices=7, side=12)
    scanned = Scanned(1.0, -1024.0, (3.0, 0.6, 0.6), "B")
    scan = prepared(
        write(tmp_path / "a.nii.gz", values, code),
        scanned,
        spacing_mm=(1.5, 0.75, 0.75),
        shape=(14, 9, 9),
    )
    assert scan.grid == (14, 9, 9)
    tensor = torch.from_numpy(in_window(values))[None, None]
    whole = functional.interpolate(tensor, (14, 9, 9), mode="trilinear", align_corners=False)
    np.testing.assert_allclose(scan.voxels[0], whole[0, 0].numpy(), atol=1e-5)


def test_the_middle_is_cut_out_and_padded_with_air(tmp_path):
    scan = prepared(write(tmp_path / "a.nii.gz", hu(slices=9, side=10)), shape=(5, 14, 6))
    whole = in_window(hu(slices=9, side=10))
    np.testing.assert_allclose(scan.voxels[0, :, 2:12], whole[2:7, :, 2:8], atol=1e-6)
    assert not scan.voxels[0, :, :2].any() and not scan.voxels[0, :, 12:].any()


@pytest.mark.parametrize(("kind", "air"), [("float32", 0.25), ("uint8", 64)])
def test_what_is_padded_is_air_in_every_window(tmp_path, kind, air):
    path = write(tmp_path / "a.nii.gz", hu(slices=3))
    scan = prepared(path, window=(0.0, 4000.0), format=kind)
    assert np.all(scan.voxels[0, 0] == air) and np.all(scan.voxels[0, -2:] == air)


def test_sizes_are_rounded_down_as_ct_clip_does():
    scanned, wanted = 0.7, 0.1
    assert _grid((10, 10, 3), (scanned,) * 3, (wanted, 0, 0)) == (int(10 * (0.7 / 0.1)), 10, 3)


def test_native_depth_keeps_all_slices(tmp_path):
    scan = prepared(write(tmp_path / "a.nii.gz", hu(slices=11)), depth="native")
    np.testing.assert_allclose(scan.voxels[0], in_window(hu(slices=11)), atol=1e-6)


def test_uint8_is_off_by_half_a_step_at_most(tmp_path):
    path = write(tmp_path / "a.nii.gz", hu())
    fine, coarse = prepared(path), prepared(path, format="uint8")
    assert coarse.voxels.dtype == np.uint8
    assert np.abs(coarse.voxels / 255 - fine.voxels).max() <= 1 / 510 + 1e-6


def test_the_memory_of_a_long_scan_is_that_of_its_output(tmp_path):
    values = np.tile(hu(slices=4, side=192), (30, 1, 1))
    path = write(tmp_path / "a.nii.gz", values)
    tracemalloc.start()
    scan = prepared(path, format="uint8", shape=(120, 16, 16), spacing_mm=(0, 9, 9))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert scan.voxels.nbytes < 70_000
    assert most < values.nbytes / 2  # 8.8 MB as stored, twice that as float32


def test_a_cut_off_file_is_one_line_with_its_name(tmp_path):
    path = write(tmp_path / "a.nii.gz", hu(slices=40, side=40))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataFault, match=r"a\.nii\.gz: not a readable NIfTI file"):
        prepared(path)


def test_voxels_that_are_no_numbers_are_refused(tmp_path):
    values = hu().astype(np.float32)
    values[2, 4, 4] = np.nan
    with pytest.raises(DataFault, match="NaN"):
        prepared(write(tmp_path / "a.nii.gz", values))
