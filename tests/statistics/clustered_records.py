"""Records of made-up cases whose records resemble each other, for the laws of the statistics."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from tomovox.statistics.clusters import Additive, Rank, macro_of, mean_of

CASES = 12
METRICS = ("mean", "macro", "median")


def metric_of(kind: str, values: np.ndarray, case_index: np.ndarray) -> Additive | Rank:
    """Return one of METRICS over CASES cases; record i has question type i modulo 3."""
    if kind == "mean":
        return mean_of(values, case_index, CASES)
    if kind == "macro":
        return macro_of(values, case_index, np.arange(len(values)) % 3, CASES, kinds=3)
    return Rank(values, case_index, CASES)


def records(seed: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the values and cases of 40 records; a case may have none."""
    generator = np.random.default_rng(seed)
    return noise * generator.normal(size=40), generator.integers(CASES, size=40)


def sizes_of(generator: Generator, cases: int) -> np.ndarray:
    """Return the case of every record, where a case has 1 to 10 records."""
    return np.repeat(np.arange(cases), generator.integers(1, 11, size=cases))


def answers(generator: Generator, case_index: np.ndarray) -> np.ndarray:
    """Return right (1.0) or wrong (0.0): easy and hard cases, half of all records right."""
    ease = generator.beta(0.5, 0.5, size=case_index.max() + 1)
    return (generator.random(len(case_index)) < ease[case_index]).astype(float)


def rivals(generator: Generator, case_index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what two equally good models score: alike by case, each with its own luck there."""
    cases = case_index.max() + 1
    shared = generator.normal(size=cases)
    own = 0.5 * generator.normal(size=(2, cases))
    noise = 0.5 * generator.normal(size=(2, len(case_index)))
    a, b = (shared + own)[:, case_index] + noise
    return a, b
