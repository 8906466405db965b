"""How well does a drawn mask cover the true one? Dice, surface Dice, and what is drawn for nothing.

A record whose true mask is empty is a negative: the object is not in the image.
Letters: D H W depth, height and width of a mask, in voxels; p probability, t true mask.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from tomovox.files import write_atomically
from tomovox.metrics.metric import Rows
from tomovox.plain_arrays import read_npz
from tomovox.schema import Prediction, TomovoxError

TOLERANCES = (1.0, 2.0)
"""Distances of surface Dice, in voxels: M3D-Seg keeps no spacing."""

MOST_BYTES = 2**27
"""Bytes of the packed bits of one mask in a file."""

Mask = Bool[np.ndarray, "D H W"]


@dataclass(frozen=True)
class Overlap:
    """What a drawn and a true mask share. `surface_dice` has one value per tolerance."""

    dice: float
    surface_dice: tuple[float, ...]
    drew: bool
    negative: bool


# ---- values of one pair -----------------------------------------------------------------------


def soft_dice_m3d(sum_p: float, sum_t: float, sum_pt: float) -> float:
    """Return 2 sum(p t) / (sum(p) + sum(t) + 1): M3D-Bench's "Dice", of probabilities.

    The 1 stands in the denominator only: a perfect mask stays below 1, and an empty true mask
    scores 0 whatever is drawn.
    """
    return 2 * sum_pt / (sum_p + sum_t + 1)


def dice(drawn: Mask, true: Mask) -> float:
    """Return 2 |both| / (|drawn| + |true|); two empty masks agree: 1."""
    voxels = int(drawn.sum()) + int(true.sum())
    return 2 * int((drawn & true).sum()) / voxels if voxels else 1.0


def surface(mask: Mask) -> Mask:
    """Return the voxels of a mask that have one of their six neighbours outside of it.

    What lies beyond the image is outside.
    """
    from scipy.ndimage import binary_erosion

    return mask & ~binary_erosion(mask)


def surface_dice(
    drawn: Mask,
    true: Mask,
    tolerances: tuple[float, ...] = TOLERANCES,
) -> tuple[float, ...]:
    """Return normalised surface Dice at each tolerance, in voxels.

    It is the share of the voxels of both surfaces whose centre lies within the tolerance of a
    centre of the other surface. Two empty masks agree: 1; one empty mask gives 0. Source: Nikolov
    et al. 2018 (arXiv:1809.04430), with voxels in place of surface elements.
    """
    from scipy.ndimage import distance_transform_edt

    if not drawn.any() or not true.any():
        return (float(drawn.any() == true.any()),) * len(tolerances)
    box = _around(drawn | true)  # outside of it lies no surface
    one, other = surface(drawn[box]), surface(true[box])
    away = np.concatenate(
        [distance_transform_edt(~other)[one], distance_transform_edt(~one)[other]]
    )
    return tuple(float(np.mean(away <= tolerance)) for tolerance in tolerances)


def overlap_of(drawn: Mask, true: Mask) -> Overlap:
    """Return all that is measured on one pair of masks."""
    return Overlap(dice(drawn, true), surface_dice(drawn, true), bool(drawn.any()), not true.any())


# ---- values of records ------------------------------------------------------------------------


def soft_dices(rows: Rows) -> list[float | None]:
    """Return the published Dice of each record's `soft`.

    An answer without [SEG] has probability 0 everywhere, so 0, as in the published code. Where no
    record has sums or a mask, the model draws none, and every value is None. Raises TomovoxError
    for sums that are missing or none.
    """
    if not any(map(_draws, rows)):
        return [None] * len(rows)
    return [soft_dice_m3d(*_sums(row)) for row in rows]


def overlaps(rows: Rows) -> list[Overlap | None]:
    """Return what the masks of each record share; `mask` is a path that can be opened.

    Where no record has sums or a mask, the model draws none, and every value is None. Raises
    TomovoxError when a record has no file or a broken one.
    """
    if not any(map(_draws, rows)):
        return [None] * len(rows)
    for row in rows:
        if not row.mask:
            raise TomovoxError(f"{row.id}: no mask, though others have one; predict again")
    return [overlap_of(*read_mask_file(Path(row.mask), row.id)) for row in rows]


def dice_of(measured: Overlap | None) -> float | None:
    """Return Dice; None for a negative, and for a model without masks."""
    return None if measured is None or measured.negative else measured.dice


def surface_dice_1(measured: Overlap | None) -> float | None:
    """Return surface Dice at 1 voxel; None for a negative, and for a model without masks."""
    return None if measured is None or measured.negative else measured.surface_dice[0]


def surface_dice_2(measured: Overlap | None) -> float | None:
    """Return surface Dice at 2 voxels; None for a negative, and for a model without masks."""
    return None if measured is None or measured.negative else measured.surface_dice[1]


def false_positive(measured: Overlap | None) -> float | None:
    """Return 1.0 where something is drawn for a negative; None where there is an object."""
    return None if measured is None or not measured.negative else float(measured.drew)


# ---- files ------------------------------------------------------------------------------------


def write_mask_file(path: Path, drawn: Mask, true: Mask) -> None:
    """Write a drawn mask (probability above one half) and the true one, as packed bits.

    Both masks always stand there: an answer that draws nothing has an empty drawn mask. Equal masks
    give equal bytes. Raises ValueError for two shapes.
    """
    if drawn.shape != true.shape:
        raise ValueError(f"drawn mask {drawn.shape} and true mask {true.shape} differ in shape")
    stream = io.BytesIO()
    np.savez_compressed(
        stream, drawn=np.packbits(drawn), true=np.packbits(true), shape=np.array(drawn.shape)
    )
    write_atomically(path, stream.getvalue())


def read_mask_file(path: Path, place: str) -> tuple[Mask, Mask]:
    """Return the drawn and the true mask of a file; TomovoxError names `place` if it is none."""
    try:
        found = read_npz(path, ("shape", "drawn", "true"), MOST_BYTES)
        sides, drawn, true = found.values()
        if sides.dtype.kind not in "iu" or sides.shape != (3,) or min(sides) < 1:
            raise ValueError("its shape is not that of a mask")
        shape = int(sides[0]), int(sides[1]), int(sides[2])
        voxels = math.prod(shape)
        if not drawn.shape == true.shape == (-(-voxels // 8),):
            raise ValueError("its bits do not fill its shape")
        masks = (np.unpackbits(bits, count=voxels).astype(bool) for bits in (drawn, true))
        return next(masks).reshape(shape), next(masks).reshape(shape)
    except OSError as error:
        reason = error.strerror or "not a zip file"
    except (ValueError, TypeError) as error:  # TypeError: bits of another type
        reason = " ".join(str(error).split())
    raise TomovoxError(f"{place}: {path} is no file of masks ({reason}); predict again")


def _draws(row: Prediction) -> bool:
    return bool(row.mask or row.soft)


def _sums(row: Prediction) -> tuple[float, float, float]:
    if not row.soft:
        raise TomovoxError(f"{row.id}: no soft sums, though others have them; predict again")
    numbers = [n for n in row.soft if isinstance(n, int | float) and 0 <= n < math.inf]
    if not len(numbers) == len(row.soft) == 3:
        raise TomovoxError(f"{row.id}: soft is {row.soft}, not three sums from 0 on; predict again")
    return numbers[0], numbers[1], numbers[2]


def _around(mask: Mask) -> tuple[slice, ...]:
    """Return the slices of the smallest box that holds a mask that is not empty."""
    spans = []
    for axis in range(mask.ndim):
        others = tuple(i for i in range(mask.ndim) if i != axis)
        seen = np.flatnonzero(mask.any(axis=others))
        spans.append(slice(int(seen[0]), int(seen[-1]) + 1))
    return tuple(spans)
