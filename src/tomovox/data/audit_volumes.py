"""Which volumes show the same scan, though the voxels may differ a little?

A volume is told by its detail: what a coarse grid of means holds beyond the mean around each cell.
Anatomy that all patients share is smooth and drops out, as do brightness and contrast. Turned or
mirrored copies are not recognised.
Letters: n volumes, m pairs, b bands, g = 8 * 16 * 16 cells; D H W size of a volume.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import scipy.fft
import torch
import torch.nn.functional as F
from jaxtyping import Float16, Float32, Int64, UInt64

from tomovox.data.audit_bands import banded_pairs

GRID = (8, 16, 16)
CELLS = 8 * 16 * 16

NEAR_VOLUME = 0.99
"""From this correlation of their detail on, two volumes are near-duplicates."""

BANDS, BITS = 16, 24
"""A copy of which 5 % of the bits differ shares a band with probability 0.996, 2 % surely."""

COARSEST = 64
"""How many of the lowest frequencies are no part of the hash: they tell planes, not patients."""

AT_ONCE = 4096


def digest_of(voxels: Float32[np.ndarray, "1 D H W"]) -> bytes:
    """Return a digest that two volumes share exactly when shape and voxels are the same."""
    digest = blake2b(repr(voxels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(voxels).data)
    return digest.digest()


def detail_of(voxels: Float32[np.ndarray, "1 D H W"]) -> Float16[np.ndarray, "g"]:
    """Return the detail of a volume of any size as a vector of length one; 0 if it has none."""
    grid = F.adaptive_avg_pool3d(torch.from_numpy(voxels), GRID)[None]
    around = F.avg_pool3d(F.pad(grid, (1,) * 6, mode="replicate"), 3, 1)
    detail = (grid - around).numpy().ravel()
    detail -= detail.mean()
    length = float(np.linalg.norm(detail))
    return (detail / length if length > 1e-4 else detail * 0).astype(np.float16)


def near_volumes(
    details: Float16[np.ndarray, "n g"], rank: Int64[np.ndarray, "n"]
) -> tuple[Int64[np.ndarray, "m 2"], Float32[np.ndarray, "m"], int]:
    """Return the pairs (i, j), rank[i] > rank[j], of volumes that are near-duplicates.

    The three parts are the pairs, the correlation of each, and how many volumes were not compared
    in full (see `audit_bands`).
    """
    pairs, cut = banded_pairs(band_keys(details), rank)
    alike = np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        first, second = (details[column].astype(np.float32) for column in pairs[some].T)
        alike[some] = (first * second).sum(1)
    near = alike >= NEAR_VOLUME
    return pairs[near], alike[near].clip(max=1), cut


def band_keys(details: Float16[np.ndarray, "n g"]) -> UInt64[np.ndarray, "n b"]:
    """Return the perceptual hash of each volume, one number for each band of 24 bits.

    A bit says whether one frequency of the detail is stronger than in the median of all volumes, so
    that each bit parts the set in halves, whatever the volumes have in common.
    """
    chosen = _frequencies()
    waves = np.empty((len(details), len(chosen)), np.float32)
    for start in range(0, len(details), AT_ONCE):
        cells = details[start : start + AT_ONCE].astype(np.float32).reshape(-1, *GRID)
        spectrum = scipy.fft.dctn(cells, axes=(1, 2, 3), norm="ortho")
        waves[start : start + AT_ONCE] = spectrum.reshape(len(cells), CELLS)[:, chosen]
    bits = waves > np.median(waves, axis=0) if len(waves) else waves > 0
    weight = np.uint64(1) << np.arange(BITS, dtype=np.uint64)
    return (bits.reshape(len(details), BANDS, BITS) * weight).sum(-1, dtype=np.uint64)


def _frequencies() -> Int64[np.ndarray, "c"]:
    """Return the places of the frequencies of the hash, low ones first chosen, in mixed order."""
    axes = np.meshgrid(*(np.arange(size) for size in GRID), indexing="ij")
    order = np.argsort(sum(axis.ravel() ** 2 for axis in axes), kind="stable")
    chosen = order[COARSEST : COARSEST + BANDS * BITS]
    return np.random.default_rng(0).permutation(chosen)
