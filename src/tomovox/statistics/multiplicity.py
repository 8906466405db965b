"""What is left of a p when many comparisons were made? Adjusted p, one for each, in their order.

A p that is nan was not tested: it stays nan and does not count.
Letters: m comparisons.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def holm(p: Float[np.ndarray, "m"]) -> Float[np.ndarray, "m"]:
    """Return p adjusted so that a threshold bounds the chance of any false difference.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    adjusted, order = np.full_like(p, np.nan), _ascending(p)
    tests_left = np.arange(len(order), 0, -1)
    adjusted[order] = np.maximum.accumulate(p[order] * tests_left).clip(max=1.0)
    return adjusted


def benjamini_hochberg(p: Float[np.ndarray, "m"]) -> Float[np.ndarray, "m"]:
    """Return p adjusted so that a threshold bounds the expected share of false differences.

    Source: Benjamini and Hochberg, Journal of the Royal Statistical Society B 57 (1995).
    """
    adjusted, order = np.full_like(p, np.nan), _ascending(p)[::-1]
    tests_per_rank = len(order) / np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum.accumulate(p[order] * tests_per_rank).clip(max=1.0)
    return adjusted


def _ascending(p: Float[np.ndarray, "m"]) -> Int[np.ndarray, "t"]:
    """Return the places of the p that are not nan, the smallest first."""
    order = np.argsort(p, kind="stable")
    return order[~np.isnan(p[order])]
