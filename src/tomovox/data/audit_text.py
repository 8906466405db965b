"""Which texts are the same but for a few words?

Two texts are as alike as their sets of word pairs: what they share over what either has (Jaccard).
Candidates come from MinHash (Broder 1997), whose bands are looked up as buckets.
Letters: n texts, m pairs, h hash functions, b bands, w words, p word pairs of a text.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from tomovox.data.audit_bands import banded_pairs

NEAR_TEXT = 0.8
"""From this Jaccard index of their word pairs on, two reports are near-identical."""

BANDS, ROWS = 24, 5
"""A pair at NEAR_TEXT shares a band with probability 1 - (1 - 0.8^5)^24 = 0.9999."""

SURE = 0.2
"""The estimate from 120 hashes is off by 0.037 (sd): far below NEAR_TEXT a pair is not read."""

PAIRS_AT_ONCE = 20_000


def words_of(text: str) -> list[str]:
    """Return the words of a text without case, punctuation, spacing and width of characters."""
    found = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    return [sys.intern(word) for word in found]  # millions of words, some thousand of them distinct


def near_texts(
    texts: Sequence[Sequence[str]], rank: Int64[np.ndarray, "n"]
) -> tuple[Int64[np.ndarray, "m 2"], Float64[np.ndarray, "m"], int]:
    """Return the pairs (i, j), rank[i] > rank[j], of near-identical texts, given as words.

    The three parts are the pairs, the Jaccard index of each, and how many texts were not compared
    in full (see `audit_bands`). A text of fewer than two words is near to none.
    """
    pieces = word_pairs(texts)
    long = np.array([i for i, piece in enumerate(pieces) if len(piece)], np.int64)
    least = sketch([pieces[i] for i in long])
    mix = np.random.default_rng(1).integers(2**64, size=ROWS, dtype=np.uint64) | np.uint64(1)
    keys = (least.reshape(len(least), BANDS, ROWS) * mix).sum(-1, dtype=np.uint64)
    pairs, cut = banded_pairs(keys, rank[long])
    likely = []
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[start : start + PAIRS_AT_ONCE]
        shared = (least[some[:, 0]] == least[some[:, 1]]).mean(1)
        likely.append(some[shared >= NEAR_TEXT - SURE])
    pairs = long[np.concatenate([np.zeros((0, 2), np.int64), *likely])]
    alike = np.array([jaccard(pieces[i], pieces[j]) for i, j in pairs], float)
    return pairs[alike >= NEAR_TEXT], alike[alike >= NEAR_TEXT], cut


def word_pairs(texts: Sequence[Sequence[str]]) -> list[UInt64[np.ndarray, "_p"]]:
    """Return the hashes of the distinct pairs of neighbouring words of each text, sorted."""
    known: dict[str, int] = {}
    factor = np.uint64(0x9E3779B97F4A7C15)  # odd: (a, b) and (b, a) differ
    found = []
    for words in texts:
        for word in words:
            if word not in known:
                known[word] = int.from_bytes(blake2b(word.encode(), digest_size=8).digest())
        w = np.array([known[word] for word in words], np.uint64)
        found.append(np.unique(_mixed(w[:-1] * factor + w[1:])))
    return found


def sketch(pieces: Sequence[UInt64[np.ndarray, "_p"]]) -> UInt64[np.ndarray, "n h"]:
    """Return the least value of each hash function over each set; none of the sets is empty.

    The share of equal values of two sketches estimates the Jaccard index of the sets.
    """
    salt = np.random.default_rng(0).integers(2**64, size=(BANDS * ROWS, 1), dtype=np.uint64)
    found = [_mixed(piece ^ salt).min(1) for piece in pieces]
    return np.array(found, np.uint64).reshape(len(pieces), BANDS * ROWS)


def jaccard(first: UInt64[np.ndarray, "_p"], second: UInt64[np.ndarray, "_q"]) -> float:
    """Return the share of the members of two sets, each sorted, that both have."""
    both = len(np.intersect1d(first, second, assume_unique=True))
    return both / (len(first) + len(second) - both)


def _mixed(x: UInt64[np.ndarray, "*any"]) -> UInt64[np.ndarray, "*any"]:
    """Return a random-looking number for each (the finaliser of SplitMix64, Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
