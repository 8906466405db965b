"""How do a scan and its masks, each with its own grid, become arrays that lie as the patient lies?

Letters: z y x patient axes of an array: head to feet, front to back, right to left; D H W of a
series.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from tomovox.data.image_dicom import one_series, read_dicom
from tomovox.data.image_files import read_file
from tomovox.data.images import oriented, scaled
from tomovox.data.stored import Stored, file_kind
from tomovox.schema import TomovoxError


def read_scan(path: Path) -> Stored:
    """Return a scan as stored: a .nii.gz or .nrrd file, or a folder of one DICOM series.

    Raises TomovoxError naming what cannot be read.
    """
    if path.is_dir():
        return read_dicom(path, one_series(path))
    return read_file(path, file_kind(path))


def laid_on(mask: Stored, image: Stored) -> Stored:
    """Return the mask at the voxels of `image`: the nearest one in mm, 0 where the mask has none.

    Raises TomovoxError when one of the two says nothing of its orientation.
    """
    from scipy.ndimage import affine_transform

    if mask.affine is None or image.affine is None:
        raise TomovoxError("sample: a scan without orientation; get the archive again")
    shape = image.voxels.shape
    if mask.voxels.shape == shape and np.allclose(mask.affine, image.affine, atol=0.1):
        return replace(image, voxels=mask.voxels)
    matrix = np.linalg.inv(mask.affine) @ image.affine
    voxels = affine_transform(mask.voxels, matrix[:3, :3], matrix[:3, 3], shape, order=0)
    return replace(image, voxels=voxels)


def patient_axes(scan: Stored, place: str) -> np.ndarray:
    """Return the voxels with axes turned and flipped to z y x; none is interpolated."""
    return np.ascontiguousarray(oriented(scan, place, "axial")[0])


def intensities(
    voxels: np.ndarray, window: tuple[float, float] | None, place: str
) -> Float[np.ndarray, "z y x"]:
    """Return float32 in [0, 1]: a CT window (centre, width), or MR from percentile 0.5 to 99.5."""
    if window is None:
        voxels = np.clip(voxels, *np.percentile(voxels, (0.5, 99.5)))
    return scaled(voxels, window, place)


def foreground(image: Float[np.ndarray, "z y x"]) -> tuple[slice, slice, slice]:
    """Return the bounding box of the voxels above 0, as the published preparation crops."""
    seen = image > 0
    box = []
    for axis in range(3):
        hit = np.flatnonzero(seen.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return box[0], box[1], box[2]


def resized_image(image: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Return uint8 (D, H, W): linear with half-pixel centres, averaging where it shrinks.

    Where no axis shrinks this is the published trilinear resize. Where one does, the triangle is
    widened, since scans of 512 pixels are brought to as few as 64.
    """
    result = image.astype(np.float64)
    for axis, size in enumerate(shape):
        weights = _triangle(result.shape[axis], size)
        result = np.moveaxis(np.tensordot(weights, result, (1, axis)), 0, axis)
    # The small summand decides ties alike on machines that add in another order.
    return np.floor(result.clip(0, 1) * 255 + 0.5 + 1e-6).astype(np.uint8)


def resized_mask(
    mask: Bool[np.ndarray, "n m k"], shape: tuple[int, int, int]
) -> Bool[np.ndarray, "D H W"]:
    """Return a mask at (D, H, W): the nearest voxel by half-pixel centres, as published."""
    picks = [
        ((np.arange(size) + 0.5) * (n / size)).astype(int)
        for n, size in zip(mask.shape, shape, strict=True)
    ]
    return mask[np.ix_(*picks)]


def _triangle(count: int, size: int) -> np.ndarray:
    scale = count / size
    centres = (np.arange(size) + 0.5) * scale - 0.5
    # Clamped centres repeat the border voxel, as half-pixel interpolation does.
    away = np.abs(np.arange(count)[None] - np.clip(centres, 0, count - 1)[:, None])
    weights = np.maximum(0.0, 1.0 - away / max(1.0, scale))
    return weights / weights.sum(axis=1, keepdims=True)
