"""What do the sparse masks of M3D-Seg hold, and which files of them are refused?

A file mask_(C, x, y, z).npz is a matrix in compressed sparse rows, as scipy saves it: a row for
each class, a column for each voxel. Only plain arrays are read. Letters: C classes, x y z axes as
stored, r row starts (C + 1), n voxels that a class holds.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Shaped

from tomovox.data.faults import DataFault
from tomovox.data.stored import MOST_VOXELS
from tomovox.plain_arrays import read_npz

AGAIN = "download the case again"
NAME = re.compile(r"mask_\(([0-9]+), ?([0-9]+), ?([0-9]+), ?([0-9]+)\)\.npz")
MOST_CLASSES = 10_000
MOST_BYTES_EACH = 16
"""Bytes of a voxel in the file at most: an int64 column and a value of 8 bytes."""


@dataclass(frozen=True, slots=True)
class SparseMasks:
    """The masks of all classes: `columns[starts[k] : starts[k + 1]]` are the voxels of class k.

    A column counts only where `values` is not 0.
    """

    starts: Int[np.ndarray, "r"]
    columns: Int[np.ndarray, "n"]
    values: Shaped[np.ndarray, "n"]
    shape: tuple[int, int, int]

    def of_class(self, number: int) -> Bool[np.ndarray, "x y z"]:
        """Return the mask of one class, 0 to C - 1."""
        own = slice(int(self.starts[number]), int(self.starts[number + 1]))
        mask = np.zeros(math.prod(self.shape), bool)
        mask[self.columns[own]] = self.values[own] != 0
        return mask.reshape(self.shape)


def classes_and_shape(name: str, place: str) -> tuple[int, tuple[int, int, int]]:
    """Return C and (x, y, z) of a file's name; raise TomovoxError when it does not say them."""
    found = NAME.fullmatch(name)
    if found is None:
        raise DataFault(place, f"{name!r} is not mask_(C, X, Y, Z).npz", "name it so")
    classes, *sides = (int(size) for size in found.groups())
    voxels = math.prod(sides)
    if not (0 < voxels <= MOST_VOXELS and 0 < classes <= MOST_CLASSES):
        raise DataFault(place, f"{name!r} says a size that no mask has", "name it by its shape")
    return classes, (sides[0], sides[1], sides[2])


def read_sparse_masks(path: Path) -> SparseMasks:
    """Return the masks of a file mask_(C, X, Y, Z).npz, whose name says their shape.

    Raises TomovoxError for a file that is missing, broken or pickled, or that holds another matrix.
    """
    place = str(path)
    classes, shape = classes_and_shape(path.name, place)
    held = _read_arrays(path, classes * math.prod(shape) * MOST_BYTES_EACH)
    starts, columns, values = held["indptr"], held["indices"], held["data"]
    voxels = math.prod(shape)
    if held["format"].tolist() not in (b"csr", "csr"):
        raise DataFault(place, "not a matrix in compressed sparse rows", AGAIN)
    if held["shape"].tolist() != [classes, voxels]:
        what = f"a matrix of shape {held['shape'].tolist()}, its name says {[classes, voxels]}"
        raise DataFault(place, what, AGAIN)
    whole = (
        starts.dtype.kind in "iu"
        and columns.dtype.kind in "iu"
        and values.dtype.kind in "biuf"
        and starts.shape == (classes + 1,)
        and columns.shape == values.shape == (int(starts[-1]),)
        and starts[0] == 0
        and bool((starts[1:] >= starts[:-1]).all())
        and bool(columns.size == 0 or (columns.min() >= 0 and columns.max() < voxels))
    )
    if not whole:
        raise DataFault(place, "its rows and columns do not fit its shape", AGAIN)
    return SparseMasks(starts, columns, values, shape)


def _read_arrays(path: Path, most: int) -> dict[str, np.ndarray]:
    """Return the arrays of a matrix; DataFault when one has many more than `most` bytes."""
    place = str(path)
    try:
        names = ("format", "shape", "indptr", "indices", "data")
        return read_npz(path, names, most + 2**20)  # row starts of few voxels
    except FileNotFoundError:
        raise DataFault(place, "no such masks", "check the listing or download it again") from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataFault(place, f"not a readable file of masks ({reason})", AGAIN) from None
