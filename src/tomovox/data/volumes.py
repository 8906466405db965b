"""How does a file on disk become the voxels a model sees, and which files are refused?

Letters: D H W depth, height and width of a volume, in voxels.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from tomovox.data.faults import DataFault
from tomovox.plain_arrays import HEADERS, read_header

TOLERANCE = 1e-6
"""How far a rounded intensity may lie outside [0, 1] before the volume is refused."""

LONGEST_PATH, LONGEST_NAME = 3000, 255
"""Bytes of a path below the root, and of one of its steps, that file systems take."""

PREPARE = "prepare it again as one (1, D, H, W) array of intensities in [0, 1]"


def resolve_inside(root: Path, relative: str, place: str) -> Path:
    """Return root / relative; raise TomovoxError when the path is absolute, empty or climbs out.

    Links that the user laid below the root are followed: only what a data file says is checked.
    """
    absolute = PurePosixPath(relative).is_absolute() or bool(PureWindowsPath(relative).anchor)
    parts = PureWindowsPath(relative).parts  # splits at both kinds of slash
    if absolute or ".." in parts or not parts or "\x00" in relative:
        raise DataFault(
            place, f"path {relative!r} leaves the data root {root}", "write it relative to the root"
        )
    if not _can_be_named(relative):
        raise DataFault(place, f"path {relative[:80]!r} can name no file", "write another")
    return Path(root) / relative


def _can_be_named(relative: str) -> bool:
    """Return whether a path is text that the file system takes, and short enough for it."""
    try:
        name = os.fsencode(relative)
    except UnicodeEncodeError:
        return False
    return len(name) < LONGEST_PATH and max(map(len, name.split(b"/"))) <= LONGEST_NAME


def read_volume(root: Path, relative: str, place: str) -> Float[np.ndarray, "1 D H W"]:
    """Return a volume of the data root as float32 (1, D, H, W) with intensities in [0, 1].

    A (D, H, W) file gets its channel axis, uint8 is divided by 255, floats are kept; what rounding
    pushed out of [0, 1] by at most 1e-6 is clipped. `place` is the record or row that asks for it.
    Raises TomovoxError for a file that is missing, cut off, pickled, of another shape or type, not
    finite, constant or out of range. Format: M3D-Cap and M3D-Seg (M3D, section 3).
    """
    return read_volumes(root, [(relative, place)])[0].numpy()


def read_volumes(
    root: Path, wanted: Sequence[tuple[str, str]]
) -> list[Float[Tensor, "1 _D _H _W"]]:
    """Return many volumes, wanted as (path, place), each as `read_volume` does; raises alike.

    Volumes of one size are the rows of one tensor, in order: nothing need be copied to stack them.
    """
    mapped = []
    for relative, place in wanted:
        path = resolve_inside(root, relative, place)
        where = f"{path} (record {place})"
        stored = open_array(path, where, "uf", "uint8 or float")
        if stored.dtype.kind == "u" and stored.dtype != np.uint8:
            raise DataFault(where, f"voxels are {stored.dtype}, expected uint8 or float", PREPARE)
        mapped.append((stored, where))
    shapes = [(1, *stored.shape[-3:]) for stored, _ in mapped]
    if len(set(shapes)) == 1:
        volumes = list(torch.from_numpy(np.empty((len(shapes), *shapes[0]), np.float32)))
    else:
        volumes = [torch.empty(shape) for shape in shapes]
    for (stored, where), voxels in zip(mapped, volumes, strict=True):
        _fill(voxels.numpy(), stored.reshape(voxels.shape), where)
    return volumes


def _fill(
    voxels: Float[np.ndarray, "1 D H W"], stored: Shaped[np.ndarray, "1 D H W"], where: str
) -> None:
    """Write the intensities of a stored volume into `voxels`; raise as `read_volume`."""
    if stored.dtype == np.float16 and stored.dtype.isnative:
        # Six times as fast as numpy, which also compares these one by one.
        torch.from_numpy(voxels).copy_(torch.from_numpy(stored))
        stored = voxels
    low, high = stored.min(), stored.max()  # a NaN anywhere makes both NaN
    if not (math.isfinite(low) and math.isfinite(high)):
        raise DataFault(where, "holds NaN or infinite voxels", PREPARE)
    if low == high:
        raise DataFault(where, f"every voxel is {low}, there is nothing to see", PREPARE)
    if stored.dtype == np.uint8:
        np.divide(stored, np.float32(255), out=voxels)
        return
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise DataFault(where, f"intensities run from {low:g} to {high:g}, outside [0, 1]", PREPARE)
    if stored is not voxels:
        voxels[...] = stored
    if low < 0 or high > 1:
        voxels.clip(0, 1, out=voxels)


def volume_shape(root: Path, relative: str, place: str) -> tuple[int, int, int]:
    """Return (D, H, W) of a volume, of whose file the header alone is read; raise as there."""
    path = resolve_inside(root, relative, place)
    stored = open_array(path, f"{path} (record {place})", "uf", "uint8 or float")
    depth, height, width = stored.shape[-3:]
    return depth, height, width


def read_mask(
    root: Path, relative: str, shape: tuple[int, ...] | None, place: str
) -> Bool[np.ndarray, "1 D H W"]:
    """Return a mask of M3D-Seg for a volume of `shape` (1, D, H, W); all False where it is absent.

    Without a `shape` the mask has that of the file. The file holds truth values or integers 0 and
    1, of the volume's shape, or (1, 1, 1, 1) for a class that the volume does not show. Raises
    TomovoxError as `read_volume`. Format: M3D-Seg (M3D, section 3).
    """
    path = resolve_inside(root, relative, place)
    where = f"{path} (record {place})"
    stored = open_array(path, where, "bui", "booleans or integers")
    shape = shape or (1, *stored.shape[-3:])
    if stored.size == 1 and not stored.any():
        return np.zeros(shape, bool)
    if stored.shape[-3:] != tuple(shape[-3:]):
        raise DataFault(
            where,
            f"a mask of shape {stored.shape} for an image of shape {tuple(shape)}",
            "prepare image and mask to one size",
        )
    if stored.dtype != bool and not 0 <= stored.min() <= stored.max() <= 1:
        raise DataFault(
            where, "holds values other than 0 and 1", "save one mask of 0 and 1 for each class"
        )
    return np.array(stored, dtype=bool, order="C").reshape(shape)


def read_target(
    root: Path, relative: str, label: int, shape: tuple[int, ...], place: str
) -> Bool[np.ndarray, "1 D H W"]:
    """Return the mask that a record asks for: the file, or where a file of labels holds `label`.

    Label 0 means a mask of its own, as in M3D-Seg; M3D-RefSeg numbers the findings of a volume from
    1 in one file. Raises TomovoxError as `read_mask`.
    """
    if not label:
        return read_mask(root, relative, shape, place)
    path = resolve_inside(root, relative, place)
    where = f"{path} (record {place})"
    stored = open_array(path, where, "buif", "numbers")
    if stored.shape[-3:] != tuple(shape[-3:]):
        raise DataFault(
            where,
            f"labels of shape {stored.shape} for an image of shape {tuple(shape)}",
            "prepare image and mask to one size",
        )
    return np.asarray(stored == label).reshape(shape)


def open_array(path: Path, where: str, kinds: str, expected: str) -> np.ndarray:
    """Return the array of a .npy file, mapped and not yet read, after its header was believed.

    `kinds` are the letters of numpy's dtype.kind that are taken, `expected` says them in words.
    Raises TomovoxError naming `where`.
    """
    try:
        with path.open("rb") as stream:
            shape, _, dtype = read_header(stream)
            header = stream.tell()
        size = path.stat().st_size
        _check_header(shape, dtype, size - header, where)
        if dtype.kind not in kinds:
            raise DataFault(where, f"voxels are {dtype}, expected {expected}", PREPARE)
        with HEADERS:
            return np.load(path, mmap_mode="c", allow_pickle=False)
    except FileNotFoundError:
        raise DataFault(
            where, "no such volume", "check the data root or download it again"
        ) from None
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise DataFault(
            where, f"not a readable .npy file ({reason})", "copy or download it again"
        ) from None


def _check_header(shape: tuple[int, ...], dtype: np.dtype, held: int, where: str) -> None:
    """Raise TomovoxError for a header that promises what `held` bytes of data cannot be."""
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[0] != 1):
        raise DataFault(where, f"shape {shape} is neither (D, H, W) nor (1, D, H, W)", PREPARE)
    if min(shape) < 1:
        raise DataFault(where, f"shape {shape} holds no voxel", PREPARE)
    needed = math.prod(shape) * dtype.itemsize
    if needed > held:
        raise DataFault(
            where,
            f"header claims {needed} bytes of voxels, the file holds {held}: cut off",
            "copy or download it again",
        )


def augment(
    voxels: Float[Tensor, "1 D H W"], generator: torch.Generator
) -> Float[Tensor, "1 D H W"]:
    """Return a randomly turned, flipped and rescaled copy, as the published training did.

    Quarter turns in the H-W plane (p 0.5), a flip of each axis (p 0.1 each), intensities times
    1 +- 0.1 (p 0.5) and plus +- 0.1 (p 0.5), not clipped, so that voxels may leave [0, 1]. A plane
    that is not square turns only by 180 degrees, so that shapes stay. Source: M3D, released code.
    """

    def chance(probability: float) -> bool:
        return bool(torch.rand((), generator=generator) < probability)

    def factor() -> float:
        return float(torch.rand((), generator=generator) * 0.2 - 0.1)

    if chance(0.5):
        turns = int(torch.randint(1, 4, (), generator=generator))
        square = voxels.shape[-1] == voxels.shape[-2]
        voxels = torch.rot90(voxels, turns if square else 2, (-2, -1))
    flipped = [axis for axis in (-3, -2, -1) if chance(0.1)]
    if flipped:
        voxels = voxels.flip(flipped)
    if chance(0.5):
        voxels = voxels * (1 + factor())
    if chance(0.5):
        voxels = voxels + factor()
    return voxels.contiguous()
