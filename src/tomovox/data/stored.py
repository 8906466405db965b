"""What does a reader of image files hand on, and which sizes does nobody believe?

Letters: i j k the axes of an image as its file stores them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from tomovox.data.faults import DataFault

MOST_VOXELS = 2**31
"""Images of more voxels are refused before any memory is asked for."""

MOST_MM = 1e6
"""No voxel is so long."""

MOST_PIXELS = 2**26
"""A packed slice of more pixels is refused before it is unpacked."""

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".npy")
AGAIN = "copy or export the file again"


@dataclass(frozen=True, slots=True)
class Stored:
    """An image as its file stores it.

    `affine` maps (i, j, k) to millimetres in RAS+, the world of NIfTI (x to the patient's right, y
    to the front, z to the head); None where the file says nothing of orientation: then the axes are
    taken as (D, H, W). `finished` images are in the published form already.
    """

    voxels: np.ndarray
    affine: Float[np.ndarray, "4 4"] | None
    spacing_mm: tuple[float, ...]
    orientation: str
    dropped_slices: int = 0
    finished: bool = False


def file_kind(path: Path) -> str:
    """Return the suffix of an image file as one of SUFFIXES; raise TomovoxError for another."""
    name = path.name.lower()
    kind = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
    if kind == ".nhdr":
        raise DataFault(
            str(path), "a header whose voxels lie elsewhere", "save header and voxels as one .nrrd"
        )
    if not kind:
        raise DataFault(
            str(path),
            "not an image file that can be read",
            "give .nii, .nii.gz, .nrrd or .npy, or a folder of DICOM files or of slices <int>.png",
        )
    if not path.exists():
        raise DataFault(str(path), "no such file", "check the path")
    return kind


def check_size(
    shape: Sequence[int], bytes_each: int, held: int, place: str, ratio: int = 1
) -> None:
    """Raise TomovoxError for a size that `held` bytes, packed at most `ratio` to 1, cannot be."""
    voxels = math.prod(int(size) for size in shape)
    if min(shape, default=0) < 1:
        raise DataFault(place, f"shape {tuple(shape)} holds no voxel", AGAIN)
    if voxels > MOST_VOXELS:
        raise DataFault(
            place, f"header claims {voxels} voxels, more than 2**31", "crop or resample it first"
        )
    if voxels * bytes_each > held * ratio:
        raise DataFault(
            place,
            f"header claims {voxels * bytes_each} bytes of voxels, the file of {held} bytes "
            f"cannot hold them: cut off",
            AGAIN,
        )


def check_volume(shape: Sequence[int], place: str) -> None:
    """Raise TomovoxError unless a shape is that of a volume: three axes of two voxels or more."""
    if len(shape) != 3:
        raise DataFault(
            place, f"{len(shape)}-D of shape {tuple(shape)}", "save one 3-D volume per file"
        )
    if min(shape) < 2:
        raise DataFault(
            place, f"shape {tuple(shape)} is a single slice, not a volume", "leave it out"
        )


def orientation_code(affine: Float[np.ndarray, "4 4"], place: str) -> str:
    """Return where i, j, k run to, such as RAS; raise TomovoxError when the affine says nothing."""
    from nibabel import orientations

    axes = affine[:3, :3]
    whole = np.isfinite(affine).all() and np.linalg.norm(axes, axis=0).max() < MOST_MM
    if whole and abs(np.linalg.det(axes)) >= 1e-12:
        codes = orientations.aff2axcodes(affine)
        if None not in codes:
            return "".join(codes)
    raise DataFault(place, "its orientation matrix is singular", "export the image again")
