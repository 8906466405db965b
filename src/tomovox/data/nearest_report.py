"""What does the report of the most similar training volume say? The floor of copying by likeness.

Letters: n training volumes, m volumes asked about, g = 8 * 16 * 16 cells of the grid; D H W size of
a volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int64

from tomovox.data.audit_volumes import CELLS, GRID
from tomovox.data.volumes import read_volume
from tomovox.schema import Record

TIE = 1e-6
"""Correlations closer than this are equal: the last digits of a product differ by machine."""

AT_ONCE = 256
"""Volumes asked about that are compared at a time, so that memory grows with n alone."""


def nearest_reports(
    root: Path,
    training: Iterable[Record],
    asked: Mapping[str, str],
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> dict[str, str]:
    """Return for each volume asked about the report of the training volume that is most like it.

    `asked` gives the path of each volume and the id of the record that names it; nothing else of
    the records that are answered is known here. Alike are two volumes by the correlation of their
    grids (`grid_of`); of several that are equally alike it is the one with the lowest record id. Of
    a training study of several series the first is compared. Every volume is read once, `workers`
    at a time; `progress` is called with (volumes read, in all). Raises TomovoxError for a volume
    that cannot be read. There must be at least one training record.
    """
    first: dict[str, Record] = {}
    for record in sorted(training, key=lambda record: record.id):
        first.setdefault(record.volumes[0], record)
    names = {name: record.id for name, record in first.items()} | dict(asked)
    rows = {name: row for row, name in enumerate(names)}  # training volumes stand first
    grids = np.empty((len(names), CELLS), np.float32)
    with ThreadPoolExecutor(workers) as pool:
        for row, grid in enumerate(pool.map(partial(_read, root), names.items())):
            grids[row] = grid
            if progress:
                progress(row + 1, len(names))
    chosen = most_alike(grids[[rows[name] for name in asked]], grids[: len(first)])
    reports = [record.reference for record in first.values()]
    return {name: reports[row] for name, row in zip(asked, chosen.tolist(), strict=True)}


def grid_of(voxels: Float32[np.ndarray, "1 D H W"]) -> Float32[np.ndarray, "g"]:
    """Return the mean intensities of a volume's cells, shifted to mean 0 and scaled to length 1.

    The product of two is their correlation. Zeros where all cells are alike.
    """
    grid = F.adaptive_avg_pool3d(torch.from_numpy(voxels), GRID).numpy().ravel()
    grid = grid - grid.mean()
    length = float(np.linalg.norm(grid))
    return grid / length if length > 1e-6 else grid * 0


def most_alike(
    asked: Float32[np.ndarray, "m g"], known: Float32[np.ndarray, "n g"]
) -> Int64[np.ndarray, "m"]:
    """Return for each row of `asked` the first of the rows of `known` with the highest product."""
    chosen = np.empty(len(asked), np.int64)
    for start in range(0, len(asked), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        alike = asked[some] @ known.T
        chosen[some] = (alike >= alike.max(axis=1, keepdims=True) - TIE).argmax(axis=1)
    return chosen


def _read(root: Path, item: tuple[str, str]) -> Float32[np.ndarray, "g"]:
    return grid_of(read_volume(root, *item))
