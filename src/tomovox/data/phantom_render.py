"""How does a synthetic patient become voxels? Painting, noise, window, and the published resize.

Letters: D H W depth, height and width of a volume, n native slices of a series.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy.random import Generator

from tomovox.data.phantom_body import (
    ORGANS,
    PHASES,
    PLANES,
    Difficulty,
    Finding,
    Part,
    Point,
    Series,
    point,
)

HU = {
    "fat": (-100, -100, -100, -100),
    "muscle": (50, 55, 65, 60),
    "cavity": (-80, -80, -80, -80),
    "lung": (-800, -800, -800, -800),
    "spine": (250, 260, 265, 260),
    "heart": (40, 230, 140, 95),
    "stomach": (25, 30, 30, 30),
    "bowel": (30, 45, 60, 50),
    "liver": (55, 65, 115, 85),
    "spleen": (45, 125, 110, 85),
    "kidney": (35, 140, 190, 150),
    "gallbladder": (10, 10, 10, 10),
    "aorta": (40, 320, 160, 100),
}
"""Tissue -> Hounsfield units in the order of PHASES."""

WINDOW_HU = (-200.0, 400.0)


@dataclass(frozen=True, slots=True)
class Rendered:
    """One series as voxels, -200 to 400 HU as 0 to 255; `finding` is None in a normal case."""

    image: UInt8[np.ndarray, "1 D H W"]
    finding: Bool[np.ndarray, "1 D H W"] | None
    organs: dict[str, Bool[np.ndarray, "1 D H W"]]


def thickness_range(depth: int) -> tuple[int, int]:
    """Return the fewest and most slices a finding fills in `depth` slices: 2 and 4 per 32."""
    fewest = max(1, round(2 * depth / 32))
    return fewest, max(fewest, round(4 * depth / 32))


def render(
    parts: tuple[Part, ...],
    finding: Finding | None,
    series: Series,
    shape: tuple[int, int, int],
    difficulty: Difficulty,
    rng: Generator,
    organ_masks: bool = False,
) -> Rendered:
    """Return one series of a patient at `shape` (D H W).

    Native slices are painted from the ellipsoids, get noise and the window, and are then resized
    along the slice axis by linear interpolation with half-pixel centres, without anti-aliasing, as
    the published preparation of M3D-Cap does. Masks take the nearest native slice by the same
    centres, so that they lie on the image.
    """
    depth, height, width = shape
    native = (series.native_slices, height, width)
    axes, phase = PLANES[series.plane], PHASES.index(series.phase)
    volume = np.full(native, -1000.0, np.float32)
    labels = np.zeros(native if organ_masks else (0, 0, 0), np.uint8)
    for part in parts:
        paint(volume, part.centre, part.radius, axes, HU[part.tissue][phase] + part.shift_hu)
        if organ_masks:
            label = ORGANS.index(part.tissue) + 1 if part.tissue in ORGANS else 0
            paint(labels, part.centre, part.radius, axes, label)
    position = (np.arange(depth) + 0.5) * (series.native_slices / depth)
    nearest = np.minimum(position.astype(int), series.native_slices - 1)
    mask = None
    if finding:
        centre, radius = _flattened(finding, series, shape, nearest)
        paint(volume, centre, radius, axes, finding_hu(finding, phase, difficulty))
        mask = np.zeros(native, bool)
        paint(mask, centre, radius, axes, True)
        mask = mask[None, nearest]
    noise = rng.standard_normal(native, np.float32)
    noise *= np.float32(difficulty.noise_hu * (0.9 if series.kernel == "soft" else 1.2))
    volume += noise
    organs = (
        {name: (labels == k)[None, nearest] for k, name in enumerate(ORGANS, 1)}
        if organ_masks
        else {}
    )
    return Rendered(_resized(_windowed(volume), position), mask, organs)


def finding_hu(finding: Finding, phase: int, difficulty: Difficulty) -> float:
    """Return a finding's HU; `contrast` stretches its distance from the organ around it."""
    organ = HU[finding.organ][phase] + finding.shift_hu
    if finding.kind in ("calcification", "stone"):
        return 600.0
    if finding.organ == "lung":  # Against air every contrast is full: no factor.
        return 10.0 if finding.kind == "effusion" else 70.0
    if finding.kind == "cyst":  # Below -40 HU a cyst could no longer be told from fat.
        return max(-40.0, organ + difficulty.contrast * (5.0 - organ))
    return organ + difficulty.contrast * 80.0


def _flattened(
    finding: Finding, series: Series, shape: tuple[int, int, int], nearest: Int[np.ndarray, "D"]
) -> tuple[Point, Point]:
    """Return centre and radius, flattened along the slice axis to the finding's thickness."""
    axes = PLANES[series.plane]
    depth, native = shape[0], series.native_slices
    fewest, most = thickness_range(depth)
    fits = int(2 * finding.organ_radius[axes[0]] * depth)
    target = min(max(fewest, round(finding.thickness * depth / 32)), max(fewest, fits))
    before = np.searchsorted(nearest, np.arange(native + 1)).tolist()
    wanted = finding.centre[axes[0]] * native
    options = []
    for count in range(1, int(most * native / depth) + 2):
        start = round(wanted - count / 2)
        for first in range(max(0, start - 1), min(native - count, start + 1) + 1):
            filled = before[first + count] - before[first]
            if fewest <= filled <= most:
                options.append(
                    (abs(filled - target), abs(first + count / 2 - wanted), first, count)
                )
    _, _, first, count = min(options)
    centre, radius = list(finding.centre), list(finding.radius)
    centre[axes[0]], radius[axes[0]] = (first + count / 2) / native, count / 2 / native
    for axis, size in zip(axes[1:], shape[1:], strict=True):
        radius[axis] = max(radius[axis], 1.5 / size)
    return point(centre), point(radius)


def paint(
    volume: np.ndarray, centre: Point, radius: Point, axes: tuple[int, int, int], value: float
) -> None:
    """Set the voxels whose centre lies in the ellipsoid, looking only inside its bounding box."""
    box, squares = [], []
    for size, axis in zip(volume.shape, axes, strict=True):
        first = max(0, int(np.ceil((centre[axis] - radius[axis]) * size - 0.5)))
        last = min(size, int(np.floor((centre[axis] + radius[axis]) * size - 0.5)) + 1)
        if first >= last:
            return
        box.append(slice(first, last))
        places = (np.arange(first, last, dtype=np.float32) + 0.5) / size
        squares.append(np.square((places - centre[axis]) / np.float32(radius[axis])))
    inside = (squares[0][:, None, None] + squares[1][:, None]) + squares[2] <= 1.0001
    np.copyto(volume[tuple(box)], value, where=inside)


def _windowed(volume: Float[np.ndarray, "n H W"]) -> Float[np.ndarray, "n H W"]:
    """Map the window to [0, 255] in place."""
    low, high = WINDOW_HU
    volume -= np.float32(low)
    volume *= np.float32(255.0 / (high - low))
    return np.clip(volume, 0.0, 255.0, out=volume)


def _resized(
    volume: Float[np.ndarray, "n H W"], position: Float[np.ndarray, "D"]
) -> UInt8[np.ndarray, "1 D H W"]:
    """Interpolate linearly at `position` (native slices, centres at one half) and round."""
    place = np.clip(position - 0.5, 0.0, len(volume) - 1.0)
    below = place.astype(int)
    above = np.minimum(below + 1, len(volume) - 1)
    share = (place - below).astype(np.float32)[:, None, None]
    result = volume[above]
    result -= volume[below]
    result *= share
    result += volume[below]
    result += np.float32(0.5)
    return result.astype(np.uint8)[None]
