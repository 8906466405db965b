"""How does one medical image, in whatever file, become a volume that a model reads?

Stored axes are turned to one convention, intensities go to [0, 1], the foreground is cropped, and
the rest is resized. Letters: D H W depth, height and width of the volume; i j k axes as stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch.nn import functional

from tomovox.data.faults import DataFault
from tomovox.data.image_dicom import one_series, read_dicom
from tomovox.data.image_files import read_file
from tomovox.data.image_slices import read_slices, slice_files
from tomovox.data.stored import MOST_VOXELS, Stored, check_volume, file_kind
from tomovox.schema import TomovoxError

SHAPE = (32, 256, 256)
"""Size of the published volumes of M3D-Cap."""

PLANES = {
    "axial": ("IPL", "D head>feet, H front>back, W right>left"),
    "coronal": ("PIL", "D front>back, H head>feet, W right>left"),
    "sagittal": ("LIP", "D right>left, H head>feet, W front>back"),
}
"""Slice axis -> where D, H, W run to, as letters and in words; right and left are the patient's."""

WINDOWS = {
    "abdomen": (40.0, 400.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
    "liver": (60.0, 160.0),
    "lung": (-600.0, 1500.0),
    "mediastinum": (40.0, 400.0),
    "pelvis": (40.0, 400.0),
    "spine": (50.0, 250.0),
    "stroke": (40.0, 40.0),
}
"""Usual display windows of CT: name -> (centre, width) in Hounsfield units."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A finished volume, and what became of which image: orientation as stored, slices dropped."""

    voxels: Float[np.ndarray, "1 D H W"]
    source_shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    source_orientation: str
    axes: str
    dropped_slices: int


def read_image(
    path: Path,
    window: tuple[float, float] | None,
    shape: tuple[int, int, int] | None,
    plane: str = "axial",
) -> Float[np.ndarray, "1 D H W"]:
    """Return an image as float32 (1, D, H, W) with intensities in [0, 1].

    `path` is a file (.nii, .nii.gz, .nrrd, .npy), a folder of one DICOM series, or a folder of
    slices <int>.png or .jpg. `window` is (centre, width) in the image's own units (HU for CT);
    without it the image's own minimum and maximum become 0 and 1, as published. `shape` None keeps
    the size after cropping. `plane` chooses the slice axis D (see PLANES). Slice folders and .npy
    say nothing of orientation and keep their axes; a .npy in the published form, (1, D, H, W) in
    [0, 1], is only resized. Raises TomovoxError naming the file. Steps: M3D, section 3 and its
    released preprocessing.
    """
    path = Path(path)
    if path.is_dir():
        files = slice_files(path.iterdir())
        stored = read_slices(path, files) if files else read_dicom(path, one_series(path))
    else:
        stored = read_file(path, file_kind(path))
    return prepare_image(stored, str(path), window, shape, plane).voxels


def prepare_image(
    stored: Stored,
    place: str,
    window: tuple[float, float] | None,
    shape: tuple[int, int, int] | None,
    plane: str = "axial",
    native: bool = False,
) -> Prepared:
    """Return what `read_image` does to an image as stored, and the facts for prepared.tsv.

    With `native` every slice stays as it is along D: none is cropped away, none made of others.
    """
    check_settings(window, shape, plane)
    source_shape = stored.voxels.shape
    if not stored.finished:  # a folder may hold one slice, which is no volume but may be a series
        depth, *sides = source_shape
        check_volume((max(2, depth) if native else depth, *sides), place)
    voxels, axes = oriented(stored, place, plane)
    if stored.finished:
        if window:
            raise DataFault(place, "lies in [0, 1] already", "leave out the window")
        voxels = voxels.astype(np.float32) / np.float32(255 if voxels.dtype == np.uint8 else 1)
    else:
        voxels = cropped(scaled(voxels, window, place), native)
    if shape is not None:
        voxels = resized(voxels, (len(voxels), *shape[1:]) if native else shape)
    return Prepared(
        np.ascontiguousarray(voxels, dtype=np.float32)[None],
        source_shape,
        stored.spacing_mm,
        stored.orientation,
        axes,
        stored.dropped_slices,
    )


def check_settings(
    window: tuple[float, float] | None, shape: tuple[int, int, int] | None, plane: str
) -> None:
    """Raise TomovoxError for settings that no image could satisfy."""
    if plane not in PLANES:
        raise TomovoxError(f"plane {plane!r} is unknown; known: {', '.join(PLANES)}")
    if window and not (all(map(math.isfinite, window)) and window[1] > 0):
        raise TomovoxError(f"window {window}: give a centre and a width above 0, such as 40,400")
    if shape and (len(shape) != 3 or min(shape) < 1 or math.prod(shape) > MOST_VOXELS):
        raise TomovoxError(f"shape {shape}: give three sizes D,H,W, such as 32,256,256")


def parse_window(text: str) -> tuple[float, float]:
    """Return (centre, width) of a window's name or of "centre,width"; raise TomovoxError else."""
    if text in WINDOWS:
        return WINDOWS[text]
    try:
        centre, width = (float(part) for part in text.split(","))
    except ValueError:
        raise TomovoxError(
            f"window {text!r} is neither centre,width nor one of {', '.join(WINDOWS)}"
        ) from None
    check_settings((centre, width), None, "axial")
    return centre, width


def oriented(stored: Stored, place: str, plane: str) -> tuple[np.ndarray, str]:
    """Return the image (D H W) with its axes turned to a plane's convention, and that in words.

    Axes are swapped and flipped, never resampled: an oblique image keeps its own grid.
    """
    if stored.affine is None:
        if plane != "axial":
            raise DataFault(
                place,
                f"says nothing of its orientation, so its {plane} slices are unknown",
                "leave out the plane: its own slice axis is kept",
            )
        return stored.voxels, "as stored"
    from nibabel import orientations

    letters, words = PLANES[plane]
    now = orientations.io_orientation(stored.affine)
    turn = orientations.ornt_transform(now, orientations.axcodes2ornt(tuple(letters)))
    return orientations.apply_orientation(stored.voxels, turn), f"{letters}: {words}"


def scaled(
    voxels: np.ndarray, window: tuple[float, float] | None, place: str
) -> Float[np.ndarray, "D H W"]:
    """Return the image in [0, 1]: a window's lower edge becomes 0, its upper edge 1.

    Without a window the least value becomes 0 and the greatest 1. Raises TomovoxError when the
    image is not finite or shows nothing.
    """
    values = np.array(voxels, dtype=np.float32)  # a copy: what follows works in place
    low, high = float(values.min()), float(values.max())  # a NaN anywhere makes both NaN
    if not (math.isfinite(low) and math.isfinite(high)):
        raise DataFault(place, "holds NaN or infinite voxels", "export the image again")
    if low == high:
        raise DataFault(place, f"every voxel is {low:g}, there is nothing to see", "leave it out")
    if window is None:
        values -= values.min()
        values /= max(float(values.max()), 1e-8)
        return values
    centre, width = window
    values -= np.float32(centre - width / 2)
    values /= np.float32(width)
    np.clip(values, 0, 1, out=values)
    if values.min() == values.max():
        raise DataFault(
            place,
            f"values run from {low:g} to {high:g}, all on one side of the window "
            f"{centre:g},{width:g}",
            "choose another window, or none for an image that is not CT",
        )
    return values


def cropped(values: Float[np.ndarray, "D H W"], native: bool = False) -> Float[np.ndarray, "d h w"]:
    """Return the smallest box that holds every voxel above 0, without margin.

    With `native` the box is one of the plane: every slice stays.
    """
    above = values > 0
    box = [slice(None)] * native
    for axis in range(int(native), 3):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(above.any(axis=others))
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return values[tuple(box)]


def resized(
    values: Float[np.ndarray, "d h w"], shape: tuple[int, int, int]
) -> Float[np.ndarray, "D H W"]:
    """Return the image at another size: trilinear, corners not aligned, without anti-aliasing."""
    if values.shape == tuple(shape):
        return values
    tensor = torch.from_numpy(np.ascontiguousarray(values))[None, None]
    resampled = functional.interpolate(tensor, tuple(shape), mode="trilinear", align_corners=False)
    return resampled[0, 0].clamp_(0, 1).numpy()
