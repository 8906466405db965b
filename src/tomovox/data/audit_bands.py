"""Which pairs across splits may be alike, found without comparing each item with each other?

Items that agree in all of one band of their hash share a bucket, and only those are compared.
Letters: n items, b bands, m pairs.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64, UInt64

MOST = 256
"""How many neighbours on either side an item is compared with in one bucket."""


def banded_pairs(
    keys: UInt64[np.ndarray, "n b"], rank: Int64[np.ndarray, "n"]
) -> tuple[Int64[np.ndarray, "m 2"], int]:
    """Return the pairs (i, j) with rank[i] > rank[j] that share a bucket, and how many i were cut.

    An item of a bucket is compared with the MOST before and after it; where the bucket is larger it
    is cut, so that work grows with n and never with its square. Up to MOST items share one bucket.
    """
    n = len(keys)
    if not n:
        return np.zeros((0, 2), np.int64), 0
    if n <= MOST:
        keys = np.zeros((n, 1), np.uint64)
    held_out = rank > rank.min()
    cut = np.zeros(n, bool)
    codes = []
    for band in range(keys.shape[1]):
        # Within a bucket, those that agree in the next band too stand side by side.
        order = np.lexsort((keys[:, (band + 1) % keys.shape[1]], keys[:, band]))
        bucket = keys[order, band]
        place = np.flatnonzero(held_out[order])
        first = np.searchsorted(bucket, bucket[place], "left")
        last = np.searchsorted(bucket, bucket[place], "right")
        low, high = np.maximum(first, place - MOST), np.minimum(last, place + MOST + 1)
        cut[order[place]] |= (low > first) | (high < last)
        width = high - low
        i = np.repeat(order[place], width)
        within = np.arange(len(i)) - np.repeat(np.cumsum(width) - width, width)
        j = order[np.repeat(low, width) + within]
        lower = rank[i] > rank[j]
        codes.append(i[lower].astype(np.int64) * n + j[lower])
    found = np.unique(np.concatenate(codes))
    return np.stack(np.divmod(found, n), axis=1), int(cut.sum())
