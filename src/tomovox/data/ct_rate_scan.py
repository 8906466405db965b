"""How does one reconstruction of CT-RATE become a volume that a model reads, however long it is?

Values become HU, the grid gets one spacing, and the middle is kept. A scan of 1,617 slices must not
fill the memory: slices are read, resampled and written one by one, so that only two of them and the
finished volume are held. Letters: D H W depth, height and width of the finished volume; i j k the
axes as stored, n slices of k.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Shaped
from torch.nn import functional

from tomovox.data.ct_rate import DATA_SET, Scanned
from tomovox.data.faults import DataFault
from tomovox.data.image_files import ASSUMED, nifti_faults, open_nifti
from tomovox.data.images import PLANES
from tomovox.data.stored import MOST_VOXELS
from tomovox.schema import TomovoxError

SHAPE = (240, 480, 480)
SPACING_MM = (1.5, 0.75, 0.75)
WINDOW = (0.0, 2000.0)
"""Size, millimetres of a voxel (D, H, W), and window in HU of CT-CLIP and CT-CHAT (released code):
trilinear, the middle cut out or padded with -1000 HU."""

AIR_HU, TISSUE_HU = (-1100.0, -900.0), (-150.0, 150.0)
PADDING_HU = -1000.0
LEAST = 0.02
"""In HU, this share of a scan at least is air, and as much is soft tissue or fat."""

AS_DICOM = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Axes to the patient's left, the back and the head, as the slices of a DICOM series have them."""

MOST_PIXELS = 2**26
"""Of a slice at the new spacing, before its middle is cut out."""

SAMPLED = 64
"""Air is looked for in so many slices, and in so many of their rows and columns or up to twice."""


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """What decides the voxels of every output; they stand in prepare.json.

    `shape` is what is cut out of the middle; with `depth` "native" all slices stay.
    `spacing_mm` 0 keeps an axis as it was scanned. `window` is (centre, width) in HU.
    """

    data_set: str = DATA_SET
    shape: tuple[int, int, int] = SHAPE
    depth: str = "shape"
    spacing_mm: tuple[float, float, float] = SPACING_MM
    window: tuple[float, float] = WINDOW
    format: str = "uint8"

    def check(self) -> None:
        """Raise TomovoxError for settings that no scan could satisfy."""
        if min(self.shape) < 1 or math.prod(self.shape) > MOST_VOXELS:
            raise TomovoxError(f"shape {self.shape}: give three sizes D,H,W, such as 240,480,480")
        if not all(size == 0 or 0.01 <= size <= 100 for size in self.spacing_mm):
            raise TomovoxError(
                f"spacing {self.spacing_mm}: give three sizes in mm, such as 1.5,0.75,0.75, or 0 "
                f"for an axis that stays as scanned"
            )
        if not (all(map(math.isfinite, self.window)) and self.window[1] > 0):
            raise TomovoxError(f"window {self.window}: give a centre and a width above 0")


@dataclass(frozen=True, slots=True)
class PreparedScan:
    """A finished volume, and what became of the file: `hu` is how its values became HU.

    `air_hu` is the median of what is taken for air, `grid` the size before the middle was cut out.
    """

    voxels: Shaped[np.ndarray, "1 D H W"]
    source_shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    orientation: str
    axes: str
    hu: str
    air_hu: float
    grid: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Turn:
    """How slices (i j) become (H W), and which way the slices run."""

    from_i_to_h: bool
    flipped_h: bool
    flipped_w: bool
    from_feet: bool

    def slice(self, values: np.ndarray) -> np.ndarray:
        values = values if self.from_i_to_h else values.T
        values = values[::-1] if self.flipped_h else values
        return values[:, ::-1] if self.flipped_w else values


def prepare_scan(path: Path, scanned: Scanned, settings: ScanSettings) -> PreparedScan:
    """Return a reconstruction as a volume with intensities in [0, 1], as `settings` has it.

    D runs from head to feet, H from front to back, W from the patient's right to the left. Raw
    volumes may have a header that was never set (the identity): their axes are those of DICOM.
    Values are taken as HU where air and tissue lie as they do in HU; else slope and intercept of
    the metadata are applied, and the same is asked again. Raises DataFault naming the file when it
    is damaged, when neither or both give HU, or when its slices do not run along the body.
    """
    image, shape, code = open_nifti(path)
    affine = image.affine
    if code.endswith(ASSUMED) or np.array_equal(affine, np.eye(4)):
        affine, code = AS_DICOM, f"LPS{ASSUMED}"
    turn, axes = _turned(affine, str(path))
    slope, intercept, hu, air = _hounsfield(path, image, scanned)
    n, height, width = shape[2], *(shape[:2] if turn.from_i_to_h else shape[1::-1])
    grid, kept = _sizes(path, (n, height, width), scanned.spacing_mm, settings)
    middle = [_middle(old, new) for old, new in zip(grid, kept, strict=True)]
    low = settings.window[0] - settings.window[1] / 2
    air_seen = min(max((PADDING_HU - low) / settings.window[1], 0.0), 1.0)
    padding = round(air_seen * 255) if settings.format == "uint8" else air_seen
    voxels = np.full((1, *kept), padding, np.dtype(settings.format))
    below, above, share = places(n, grid[0])
    held: dict[int, np.ndarray] = {}
    wanted = _wanted(grid[0], middle[0], turn.from_feet)
    needed = sorted({int(k) for q, _ in wanted for k in (below[q], above[q])})
    slices = _slices(path, image, needed)
    for q, row in wanted:
        while int(above[q]) not in held:
            k, stored = next(slices)
            values = turn.slice(np.asarray(stored, np.float32)) * np.float32(slope)
            values += np.float32(intercept)
            if not np.isfinite(values).all():
                raise DataFault(str(path), "holds NaN or infinite voxels", "download it again")
            values = np.clip((values - np.float32(low)) / np.float32(settings.window[1]), 0, 1)
            held = {old: held[old] for old in held if old >= int(below[q])}
            held[k] = _resampled(values, grid[1:])
        first, second = held[int(below[q])], held[int(above[q])]
        mixed = first + (second - first) * share[q]
        out = voxels[0, row]
        (to_h, from_h), (to_w, from_w) = middle[1], middle[2]
        part = mixed[from_h, from_w]
        out[to_h, to_w] = np.rint(part * 255) if settings.format == "uint8" else part
    return PreparedScan(voxels, shape, scanned.spacing_mm, code, axes, hu, air, grid)


def places(
    n: int, size: int
) -> tuple[Int[np.ndarray, "m"], Int[np.ndarray, "m"], Float32[np.ndarray, "m"]]:
    """Return for each of `size` places the two of n that it lies between, and the upper's share.

    Linear interpolation without aligned corners and without anti-aliasing, as torch has it.
    """
    position = np.maximum((np.arange(size) + 0.5) * (n / size) - 0.5, 0.0)
    below = np.minimum(position.astype(np.int64), n - 1)
    return below, np.minimum(below + 1, n - 1), (position - below).astype(np.float32)


def hounsfield_share(values: np.ndarray) -> tuple[float, float]:
    """Return the shares of values where air is in HU, and where soft tissue and fat are."""
    shares = [float(((values >= a) & (values <= b)).mean()) for a, b in (AIR_HU, TISSUE_HU)]
    return shares[0], shares[1]


def _hounsfield(path: Path, image: Any, scanned: Scanned) -> tuple[float, float, str, float]:
    """Return slope and intercept that make HU of the values, that in words, and where air is.

    Values that are HU both as stored and by the metadata are refused: a raw volume whose corners
    were filled with -1000 has air there, and its real air in the place of tissue.
    """
    n = image.shape[2]
    chosen = sorted({round(k) for k in np.linspace(0, n - 1, min(n, SAMPLED))})
    step = max(1, min(image.shape[:2]) // SAMPLED)
    parts = (stored[::step, ::step] for _, stored in _slices(path, image, chosen))
    sample = np.stack([np.array(part, np.float32) for part in parts])  # views keep whole slices
    metadata = f"slope {scanned.slope:g}, intercept {scanned.intercept:g}"
    ways = {(1.0, 0.0): "as stored"}
    ways.setdefault((scanned.slope, scanned.intercept), metadata)
    told, found = [], []
    for (slope, intercept), words in ways.items():
        values = sample * np.float32(slope) + np.float32(intercept)
        air, tissue = hounsfield_share(values)
        if air >= LEAST and tissue >= LEAST:
            inside = values[(values >= AIR_HU[0]) & (values <= AIR_HU[1])]
            found.append((slope, intercept, words, float(np.median(inside))))
        told.append(f"{words}: air {air:.1%}, tissue {tissue:.1%}")
    if len(found) == 1:
        return found[0]
    what = "HU either way" if found else "no HU: too few voxels near -1000 (air) or 0 (tissue)"
    remedy = "download the file and its row of the metadata again, or leave it out"
    raise DataFault(str(path), f"{what}; {'; '.join(told)}", remedy)


def _turned(affine: Float[np.ndarray, "4 4"], place: str) -> tuple[_Turn, str]:
    from nibabel import orientations

    letters, words = PLANES["axial"]
    now = orientations.io_orientation(affine)
    turn = orientations.ornt_transform(now, orientations.axcodes2ornt(tuple(letters)))
    axis = [int(k) for k in turn[:, 0]]
    if axis[2] != 0:
        raise DataFault(
            place, "its slices do not run along the body", "leave it out: no axial scan"
        )
    flips = {axis[k]: bool(turn[k, 1] < 0) for k in range(3)}
    return _Turn(axis[0] == 1, flips[1], flips[2], flips[0]), f"{letters}: {words}"


def _slices(path: Path, image: Any, wanted: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number and values (i j) of some slices, in ascending order."""
    more = (0,) * (len(image.shape) - 3)
    for k in wanted:
        with nifti_faults(path):
            stored = np.asarray(image.dataobj[(slice(None), slice(None), k, *more)])
        yield k, stored


def _sizes(
    path: Path,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    settings: ScanSettings,
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return the size at the new spacing and what is kept of it; DataFault if no memory has it."""
    grid = _grid(shape, spacing, settings.spacing_mm)
    if grid[1] * grid[2] > MOST_PIXELS:
        raise DataFault(
            str(path),
            f"its slices would be {grid[1]} x {grid[2]}: no scan has pixels of "
            f"{spacing[1]:g} x {spacing[2]:g} mm",
            "mend its row of the metadata",
        )
    depth = grid[0] if settings.depth == "native" else settings.shape[0]
    kept = (depth, *settings.shape[1:])
    if math.prod(kept) > MOST_VOXELS:
        raise DataFault(
            str(path), f"would be {kept}, more than 2**31 voxels", "give a smaller shape"
        )
    return grid, kept


def _grid(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    target: tuple[float, float, float],
) -> tuple[int, int, int]:
    """Return the size at the target spacing, rounded down as CT-CLIP does; 0 keeps an axis."""
    sizes = [
        max(1, int(old * (have / want))) if want else old  # the factor first, as there
        for old, have, want in zip(shape, spacing, target, strict=True)
    ]
    return sizes[0], sizes[1], sizes[2]


def _middle(old: int, new: int) -> tuple[slice, slice]:
    """Return where the middle of `old` voxels goes among `new`, and which they are."""
    kept = min(old, new)
    to, start = (new - kept) // 2, (old - kept) // 2
    return slice(to, to + kept), slice(start, start + kept)


def _wanted(size: int, middle: tuple[slice, slice], from_feet: bool) -> list[tuple[int, int]]:
    """Return pairs of a resampled slice, as stored, and its row in the output, in stored order."""
    to, kept = middle
    pairs = []
    for row in range(to.start, to.stop):
        place = kept.start + row - to.start
        pairs.append((size - 1 - place if from_feet else place, row))
    return sorted(pairs)


def _resampled(
    values: Float32[np.ndarray, "h w"], size: tuple[int, int]
) -> Float32[np.ndarray, "H W"]:
    if values.shape == tuple(size):
        return np.ascontiguousarray(values)
    tensor = torch.from_numpy(np.ascontiguousarray(values))[None, None]
    return functional.interpolate(tensor, size, mode="bilinear", align_corners=False)[0, 0].numpy()
