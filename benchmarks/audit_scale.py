"""Does a leakage audit grow with the data, or with their square? Time per 1,000 at two sizes.

usage: python benchmarks/audit_scale.py [--small 10000] [--large 40000]

Everything is made in memory, seed 0: 4 % of the items are test, the rest train, and every fifth
test item is a near copy of a training item, which must be found. Volumes: reading costs the same
for each, so that it is timed on five of 32 x 256 x 256 (digest and detail, no disk); look-up is
timed on details, which are drawn around eight common ones. Reports: 100 words of a vocabulary of
5,000 whose frequencies fall as 1 / rank, one word changed in a copy. A ratio of 1 is linear, one of
large / small is quadratic.
"""

import argparse
import time

import numpy as np

from tomovox.data.audit_text import near_texts, words_of
from tomovox.data.audit_volumes import CELLS, detail_of, digest_of, near_volumes

WORDS, VOCABULARY = 100, 5_000
PATTERNS = 8


def splits(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rank of each item, 0 or 2, the test items that are copies, and of which."""
    test = n // 25
    copies = np.arange(n - test, n, 5)
    rank = np.where(np.arange(n) < n - test, 0, 2)
    return rank, copies, np.arange(len(copies)) * 7


def seconds_of_reading() -> float:
    """Return the seconds that digest and detail of 1,000 volumes take."""
    voxels = np.random.default_rng(0).random((1, 32, 256, 256), dtype=np.float32)
    detail_of(voxels)  # the first call loads code
    start = time.perf_counter()
    for _ in range(5):
        digest_of(voxels)
        detail_of(voxels)
    return (time.perf_counter() - start) * 200


def seconds_of_volumes(n: int) -> tuple[float, float]:
    """Return the seconds per 1,000 volumes of their look-up, and the share of copies found."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(PATTERNS, CELLS)).astype(np.float32)
    details = np.empty((n, CELLS), np.float16)
    for k in range(n):
        details[k] = _unit(common[k % PATTERNS] + rng.normal(0, 0.7, CELLS))
    rank, copies, origins = splits(n)
    for copy, origin in zip(copies, origins, strict=True):
        details[copy] = _unit(details[origin] + rng.normal(0, 0.1 * CELLS**-0.5, CELLS))
    start = time.perf_counter()
    pairs, _, _ = near_volumes(details, rank)
    return (time.perf_counter() - start) / n * 1000, _found(pairs, copies, origins)


def seconds_of_reports(n: int) -> tuple[float, float]:
    """Return the seconds per 1,000 reports of reading and look-up, and the share of copies."""
    rng = np.random.default_rng(0)
    weight = 1 / np.arange(1, VOCABULARY + 1)
    drawn = rng.choice(VOCABULARY, (n, WORDS), p=weight / weight.sum())
    rank, copies, origins = splits(n)
    drawn[copies] = drawn[origins]
    drawn[copies, rng.integers(WORDS, size=len(copies))] = VOCABULARY
    texts = [" ".join(f"w{word}" for word in row) for row in drawn]
    start = time.perf_counter()
    pairs, _, _ = near_texts([words_of(text) for text in texts], rank)
    return (time.perf_counter() - start) / n * 1000, _found(pairs, copies, origins)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _found(pairs: np.ndarray, copies: np.ndarray, origins: np.ndarray) -> float:
    seen = set(map(tuple, pairs.tolist()))
    return float(np.mean([pair in seen for pair in zip(copies, origins, strict=True)]))


def main() -> None:
    """Print a Markdown table of seconds per 1,000 items."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=40_000)
    given = parser.parse_args()
    print(f"volumes, digest and detail: {seconds_of_reading():.1f} s per 1,000, one thread")
    print(f"| s per 1,000 | {given.small:,} | {given.large:,} | ratio | copies found |")
    print("|---|---:|---:|---:|---:|")
    for name, measure in (("volumes", seconds_of_volumes), ("reports", seconds_of_reports)):
        small, found_small = measure(given.small)
        large, found_large = measure(given.large)
        found = f"{found_small:.1%}, {found_large:.1%}"
        print(f"| {name}, look-up | {small:.3f} | {large:.3f} | {large / small:.2f} | {found} |")


if __name__ == "__main__":
    main()
