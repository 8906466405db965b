import struct

import numpy as np
import pytest
import torch

from tomovox.data import volumes
from tomovox.data.volumes import augment, read_volume, read_volumes, resolve_inside
from tomovox.plain_arrays import npy
from tomovox.schema import TomovoxError

RAMP = np.linspace(0, 1, 2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)


def error_of(m3d, relative: str = "a.npy") -> str:
    with pytest.raises(TomovoxError) as caught:
        read_volume(m3d.root, relative, "report/test/000004")
    message = str(caught.value)
    assert "\n" not in message
    assert "a.npy" in message
    assert "report/test/000004" in message
    return message


def read(m3d, array: np.ndarray) -> np.ndarray:
    return read_volume(m3d.root, m3d.write_volume("a.npy", array), "report/test/000004")


@pytest.mark.parametrize("array", [RAMP, RAMP[None]])
def test_every_volume_has_one_channel(m3d, array):
    assert np.array_equal(read(m3d, array), RAMP[None])


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_every_volume_is_float32_and_may_be_written_to(m3d, dtype):
    voxels = read(m3d, np.ones_like(RAMP, dtype) * (np.arange(4) > 1).astype(dtype))
    assert voxels.dtype == np.float32
    assert voxels.flags.writeable and voxels.flags.c_contiguous


def test_bytes_are_divided_by_255(m3d):
    stored = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    assert np.array_equal(read(m3d, stored)[0], stored.astype(np.float32) / 255)


def test_fortran_order_is_read_alike(m3d):
    assert np.array_equal(read(m3d, np.asfortranarray(RAMP)), RAMP[None])


def test_big_endian_is_read_alike(m3d):
    assert np.array_equal(read(m3d, RAMP.astype(">f4")), RAMP[None])


@pytest.mark.parametrize("order", ["C", "F"])
def test_half_precision_is_widened_exactly(m3d, order):
    stored = np.array(np.random.default_rng(0).random((3, 4, 5)), np.float16, order=order)
    assert np.array_equal(read(m3d, stored)[0], stored.astype(np.float32))


def test_many_volumes_are_read_as_each_alone(m3d):
    stored = {
        "a.npy": RAMP,
        "b.npy": (RAMP * 255).astype(np.uint8),
        "c.npy": RAMP.astype(np.float16)[None],
        "d.npy": RAMP[:, :, :2].astype(np.float64),
    }
    for name, array in stored.items():
        m3d.write_volume(name, array)
    for names in (["a.npy", "b.npy", "c.npy"], list(stored), ["b.npy", "b.npy"]):
        together = read_volumes(m3d.root, [(name, "x") for name in names])
        for name, voxels in zip(names, together, strict=True):
            assert np.array_equal(voxels, read_volume(m3d.root, name, "x"))


def test_the_bad_one_of_many_volumes_is_named(m3d):
    m3d.write_volume("a.npy", RAMP)
    m3d.write_volume("b.npy", RAMP * np.nan)
    with pytest.raises(TomovoxError, match=r"b\.npy .record second"):
        read_volumes(m3d.root, [("a.npy", "first"), ("b.npy", "second")])


def test_a_volume_may_be_written_to_without_its_file(m3d):
    name = m3d.write_volume("a.npy", RAMP)
    read_volume(m3d.root, name, "x")[:] = 0
    assert np.array_equal(read_volume(m3d.root, name, "x")[0], RAMP)


def test_rounding_beyond_the_range_is_clipped(m3d):
    voxels = read(m3d, (RAMP.astype(np.float64) * (1 + 1e-6) - 5e-7))
    assert voxels.min() == 0
    assert voxels.max() == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.01, 1.01, 255.0])
def test_a_bad_intensity_is_refused(m3d, bad):
    array = RAMP.copy()
    array[1, 1, 1] = bad
    m3d.write_volume("a.npy", array)
    assert "intensities in [0, 1]" in error_of(m3d)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_constant_volume_is_refused(m3d, value):
    m3d.write_volume("a.npy", np.full((2, 3, 4), value, np.float32))
    assert "every voxel" in error_of(m3d)


@pytest.mark.parametrize("shape", [(24,), (4, 6), (2, 2, 2, 3), (1, 1, 2, 3, 4), (0, 3, 4)])
def test_another_shape_is_refused(m3d, shape):
    m3d.write_volume("a.npy", np.zeros(shape, np.float32))
    assert "shape" in error_of(m3d)


@pytest.mark.parametrize("dtype", [bool, np.int16, np.complex64, "U3"])
def test_another_type_is_refused(m3d, dtype):
    m3d.write_volume("a.npy", np.zeros((2, 3, 4), dtype))
    assert "uint8 or float" in error_of(m3d)


def test_pickled_objects_are_never_loaded(m3d):
    np.save(m3d.root / "a.npy", np.array([[[{}]]], dtype=object), allow_pickle=True)
    assert "pickled" in error_of(m3d)


def test_a_missing_volume_is_named(m3d):
    assert "no such volume" in error_of(m3d)


@pytest.mark.parametrize("kept", [0, 5, 40, 130, -1])
def test_a_file_that_was_cut_off_is_refused(m3d, kept):
    m3d.write_volume("a.npy", RAMP)
    path = m3d.root / "a.npy"
    path.write_bytes(path.read_bytes()[:kept])
    error_of(m3d)


@pytest.mark.parametrize("content", [b"PK\x03\x04 not an array", b"\x80\x04K\x01.", b"{}" * 80])
def test_a_file_of_another_format_is_refused(m3d, content):
    (m3d.root / "a.npy").write_bytes(content)
    assert "not a readable .npy" in error_of(m3d)


def test_a_header_that_promises_a_terabyte_is_refused_before_reading(m3d):
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 9999, 9999, 9999), }\n"
    header = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
    (m3d.root / "a.npy").write_bytes(header + bytes(64))
    assert "cut off" in error_of(m3d)


@pytest.mark.parametrize("relative", ["/etc/a.npy", "../a.npy", "b/../../a.npy", "C:\\a.npy"])
def test_a_path_out_of_the_root_is_refused(m3d, relative):
    assert "leaves the data root" in error_of(m3d, relative)


@pytest.mark.parametrize("relative", ["", "a\x00b", "..\\a"])
def test_a_path_that_names_nothing_is_refused(tmp_path, relative):
    with pytest.raises(TomovoxError, match="row 3"):
        resolve_inside(tmp_path, relative, "M3D.csv: row 3")


def test_a_folder_is_not_a_volume(m3d):
    (m3d.root / "a.npy").mkdir()
    error_of(m3d)


def test_augmentation_repeats_with_its_generator():
    voxels = torch.rand(1, 2, 4, 4)
    first, second = (augment(voxels, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("shape", [(1, 2, 4, 4), (1, 2, 3, 5)])
def test_augmentation_keeps_the_shape_and_leaves_the_input(shape):
    voxels = torch.rand(shape)
    before = voxels.clone()
    generator = torch.Generator().manual_seed(0)
    assert all(augment(voxels, generator).shape == voxels.shape for _ in range(40))
    assert torch.equal(voxels, before)


def test_augmentation_changes_intensities_by_ten_percent_at_most():
    voxels = torch.rand(1, 2, 4, 4)
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        change = augment(voxels, generator).flatten().sort().values - voxels.flatten().sort().values
        assert change.abs().max() <= 0.2 + 1e-6


def test_augmentation_keeps_the_order_of_slices_or_reverses_it():
    slices = torch.arange(4.0)[:, None, None].expand(4, 3, 3)[None] / 4
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        depth = augment(slices, generator)[0, :, 0, 0]
        steps = depth.diff()
        assert (steps > 0).all() or (steps < 0).all()


def test_headers_are_parsed_one_at_a_time(tmp_path, monkeypatch):
    def held(call):
        def checked(*arguments, **options):
            assert volumes.HEADERS.locked()
            return call(*arguments, **options)

        return checked

    np.save(tmp_path / "v.npy", np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 4, 4, 4))
    monkeypatch.setattr(volumes.np, "load", held(np.load))
    monkeypatch.setattr(npy, "read_magic", held(npy.read_magic))
    assert volumes.read_volume(tmp_path, "v.npy", "a").shape == (1, 4, 4, 4)
    assert not volumes.HEADERS.locked()
