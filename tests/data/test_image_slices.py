import struct
import zlib

import numpy as np
from PIL import Image
from scans import refusal, write_slices

from tomovox.data.images import cropped, read_image

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


def test_a_picture_that_claims_more_pixels_than_any_slice_is_refused(tmp_path):
    folder = write_slices(tmp_path / "Axial", np.eye(6, dtype=np.uint8).reshape(2, 3, 6))
    png = (folder / "8.png").read_bytes()
    told = b"IHDR" + struct.pack(">2I", 10_000, 10_000) + png[24:29]
    (folder / "8.png").write_bytes(png[:12] + told + struct.pack(">I", zlib.crc32(told)) + png[33:])
    assert "10000 x 10000" in refusal(folder)
