"""How are volumes of different numbers of slices compared? By depth, as a share of the volume.

Slice j of n is the part j/n to (j+1)/n of the depth, and its centre lies at j/(n-1): the first
slice is 0, the last is 1. Letters: m records, n slices, g bins of depth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from tomovox.analysis.attended import Stack

GRID = 32
"""Bins of the common grid of depth: as many as the published models score slices."""


def positions(slices: int) -> Float[np.ndarray, "n"]:
    """Return the depth of each slice, 0 to 1; a single slice lies at 0.5."""
    return np.linspace(0, 1, slices) if slices > 1 else np.full(slices, 0.5)


def overlap(slices: int, bins: int) -> Float[np.ndarray, "n g"]:
    """Return which share of each slice lies in each bin; rows sum to 1, equal numbers change none.

    A bin that holds parts of several slices mixes them, which never raises a divergence.
    """
    # Whole numbers, in units of 1 / (slices * bins), so that equal edges are equal.
    slice_edges, bin_edges = np.arange(slices + 1) * bins, np.arange(bins + 1) * slices
    ends = np.minimum(slice_edges[1:, None], bin_edges[None, 1:])
    starts = np.maximum(slice_edges[:-1, None], bin_edges[None, :-1])
    return (ends - starts).clip(min=0) / bins


def on_grid(found: Sequence[Stack], bins: int = GRID) -> Float[np.ndarray, "m g"]:
    """Return the scores of all stacked records on a common grid; every row sums to 1."""
    grid = np.empty((sum(len(stack.places) for stack in found), bins))
    for stack in found:
        grid[stack.places] = stack.scores @ overlap(stack.scores.shape[1], bins)
    return grid
