"""How is a region written as a box? Mask to box, box to text and back, and how boxes overlap.

A box is (Dmin, Hmin, Wmin, Dmax, Hmax, Wmax): the first and the last index of the region along each
axis, both inside it, divided by the size of the axis. Source: M3D (Bai et al. 2024), section on
positioning, and its released code.
Letters: D H W depth, height and width of a mask, in voxels.
"""

import math
import re
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

Box = tuple[float, float, float, float, float, float]

BOX_START, BOX_END = "<bx_start>", "<bx_end>"
"""The special tokens around a box in a text; decoding drops them and leaves the numbers."""

DIGITS = 3
"""Decimals of a box."""

NUMBER = r"([-+]?(?:\d*\.\d+|\d+))"
WRITTEN = re.compile(rf"\[{', '.join([NUMBER] * 6)}\]")

SMALLEST_VOLUME = 1e-6
"""What the released overlap adds to the volume it divides by."""


def box_of_mask(mask: Bool[np.ndarray, "D H W"]) -> Box | None:
    """Return the box of a mask, rounded to three decimals; None for an empty mask."""
    seen_along = np.logical_or.reduce
    plane = seen_along(mask, axis=0)  # one pass over the voxels serves two axes
    if not plane.any():
        return None
    d0, d1 = _span(seen_along(mask.reshape(len(mask), -1), axis=1))
    h0, h1 = _span(seen_along(plane, axis=1))
    w0, w1 = _span(seen_along(plane, axis=0))
    return d0, h0, w0, d1, h1, w1


def box_to_text(box: Box) -> str:
    """Return a box as prompts and answers write it: "<bx_start>[0.312, ..., 0.426]<bx_end>"."""
    return f"{BOX_START}{list(box)}{BOX_END}"


def box_in_text(text: str) -> Box | None:
    """Return the first box that a text writes, with or without its tokens; None without one.

    Six numbers in square brackets, each after a comma and one space, with or without sign, whole or
    with decimals: "[0.1,0.2,...]" is no box, and neither are "5." and "1e-3" numbers.
    """
    found = WRITTEN.search(text)
    if found is None:
        return None
    d0, h0, w0, d1, h1, w1 = map(float, found.groups())
    return d0, h0, w0, d1, h1, w1


def enclosing_iou(one: Box, other: Box) -> float:
    """Return the published "IoU": the intersection over the volume of the box around both.

    The denominator grows by 1e-6, so that equal boxes stay below 1 and a flat box scores 0.
    """
    around = math.prod(max(b, d) - min(a, c) for a, b, c, d in _edges(one, other))
    return _intersection(one, other) / (around + SMALLEST_VOLUME)


def iou(one: Box, other: Box) -> float:
    """Return intersection over union; 0 when neither box has a volume."""
    shared = _intersection(one, other)
    union = _intersection(one, one) + _intersection(other, other) - shared
    return shared / union if union else 0.0


def _span(seen: Bool[np.ndarray, "n"]) -> tuple[float, float]:
    """Return first and last True of an axis as shares of its size, by Python's own rounding."""
    index = np.flatnonzero(seen).tolist()
    return round(index[0] / len(seen), DIGITS), round(index[-1] / len(seen), DIGITS)


def _intersection(one: Box, other: Box) -> float:
    return math.prod(max(0.0, min(b, d) - max(a, c)) for a, b, c, d in _edges(one, other))


def _edges(one: Box, other: Box) -> Iterator[tuple[float, float, float, float]]:
    """Yield (low, high) of one box and (low, high) of the other, axis by axis."""
    return zip(one[:3], one[3:], other[:3], other[3:], strict=True)
