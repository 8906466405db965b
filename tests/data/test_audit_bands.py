"""Are the pairs of shared buckets found, all of them, and is it told where they are not?"""

import numpy as np

from tomovox.data.audit_bands import MOST, banded_pairs


def some_keys(n: int, values: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(values, size=(n, 4), dtype=np.uint64)


def ranks(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(3, size=n)


def test_the_pairs_are_those_that_share_a_band_and_differ_in_rank():
    keys, rank = some_keys(400, 100), ranks(400)
    share = (keys[:, None] == keys[None]).any(-1) & (rank[:, None] > rank[None])
    pairs, _ = banded_pairs(keys, rank)
    assert pairs.tolist() == np.argwhere(share).tolist()


def test_few_items_are_compared_with_each_other_whatever_their_keys():
    rank = np.array([0, 2, 1])
    pairs, cut = banded_pairs(some_keys(3, 10**9), rank)
    assert (pairs.tolist(), cut) == ([[1, 0], [1, 2], [2, 0]], 0)


def test_items_of_a_bucket_that_is_too_large_are_counted():
    n = 4 * MOST
    rank = np.arange(n) >= n - 10
    pairs, cut = banded_pairs(np.ones((n, 2), np.uint64), rank.astype(int))
    assert cut == 10 and len(pairs) <= 10 * 2 * MOST


def test_in_a_large_bucket_those_that_agree_in_the_next_band_too_are_compared():
    n = 4 * MOST
    keys = np.ones((n, 2), np.uint64)
    keys[:, 1] = np.random.default_rng(0).permutation(n)
    keys[n - 1, 1] = keys[5, 1]
    rank = np.zeros(n, int)
    rank[n - 1] = 2
    pairs, _ = banded_pairs(keys, rank)
    assert [n - 1, 5] in pairs.tolist()


def test_no_items_make_no_pairs():
    pairs, cut = banded_pairs(np.zeros((0, 3), np.uint64), np.zeros(0, int))
    assert (len(pairs), cut) == (0, 0)
