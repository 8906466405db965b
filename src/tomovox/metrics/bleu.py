"""How many n-grams of the prediction stand in the reference? BLEU of sentences and of a corpus.

Letters: k highest order of n-grams (1 to 4); r rows of 2 k + 2 counts.
Source: Papineni et al., ACL 2002; tokens as mteval-v13a.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Float

from tomovox.metrics.text import overlap

ORDERS = 4
"""BLEU-4 is the longest that is reported."""


@lru_cache(maxsize=1 << 15)
def tokens_13a(text: str) -> tuple[str, ...]:
    """Return the tokens of mteval-v13a; case and punctuation are kept."""
    if any(joined in text for joined in _REACHING):
        return tuple(_tokenizer_13a()(text.strip()).split())
    return tuple(chain.from_iterable(map(_chunk_13a, text.split())))


def bleu_counts(
    predictions: Sequence[str], references: Sequence[str], k: int = ORDERS
) -> list[list[int]]:
    """Return per pair what pooled BLEU-k adds up.

    A row is [matches of order 1..k, n-grams of the prediction of order 1..k, prediction length,
    reference length].
    """
    seen: dict[tuple[str, str], list[int]] = {}
    for pair in zip(predictions, references, strict=True):
        if pair not in seen:
            seen[pair] = _count(*pair, k)
    return [seen[pair].copy() for pair in zip(predictions, references, strict=True)]


def bleu_of_counts(counts: Sequence[float]) -> float:
    """Return BLEU-k in [0, 1] of one row, or of a sum of rows, of `bleu_counts`.

    Geometric mean of the k precisions times the brevity penalty, without smoothing: an order
    without a match gives 0.0. An empty prediction or an empty reference gives 0.0, where the
    published script divides by zero and stops.
    """
    k = (len(counts) - 2) // 2
    matches, possible = counts[:k], counts[k : 2 * k]
    length, wanted = counts[-2:]
    if not length or not wanted or not all(matches):
        return 0.0
    mean = math.exp(sum(math.log(m / p) for m, p in zip(matches, possible, strict=True)) / k)
    # A ratio just above 1 is not penalised; exp(0) covers equality.
    return mean * (1.0 if length > wanted else math.exp(1 - wanted / length))


def bleu_of_rows(counts: Float[np.ndarray, "r k"]) -> Float[np.ndarray, "r"]:
    """Return `bleu_of_counts` of every row at once: a bootstrap asks for thousands."""
    k = (counts.shape[1] - 2) // 2
    matches, possible = counts[:, :k], counts[:, k : 2 * k]
    length, wanted = counts[:, -2], counts[:, -1]
    scored = (length > 0) & (wanted > 0) & (matches > 0).all(axis=1)
    bleu = np.zeros(len(counts))
    logs = np.log(matches[scored] / possible[scored]).mean(axis=1)
    short = np.minimum(0.0, 1 - wanted[scored] / length[scored])
    bleu[scored] = np.exp(logs + short)
    return bleu


def sentence_bleu(predictions: Sequence[str], references: Sequence[str], k: int) -> list[float]:
    """Return BLEU-k of every pair on its own: `evaluate`'s bleu, one pair a call (M3D-Bench)."""
    return [bleu_of_counts(row) for row in bleu_counts(predictions, references, k)]


def corpus_bleu(predictions: Sequence[str], references: Sequence[str], k: int) -> float:
    """Return BLEU-k of the corpus: counts are added over all pairs first. No pairs give nan."""
    rows = bleu_counts(predictions, references, k)
    return bleu_of_counts([sum(column) for column in zip(*rows, strict=True)]) if rows else math.nan


_REACHING = ("&", "<skipped>", "-\n")
"""What mteval-v13a replaces before it splits; all else is decided between two spaces."""


_WORD_AND_MARK = re.compile(r"([A-Za-z0-9]+|[0-9]+\.[0-9]+)([.,]?)")


@lru_cache(maxsize=1 << 16)
def _chunk_13a(chunk: str) -> tuple[str, ...]:
    if chunk.isalnum():  # most are, and no mark stands in them
        return (chunk,)
    if found := _WORD_AND_MARK.fullmatch(chunk):
        return found.groups() if found[2] else (chunk,)
    return tuple(_tokenizer_13a()(chunk).split())


def _count(prediction: str, reference: str, k: int) -> list[int]:
    said, wanted = tokens_13a(prediction), tokens_13a(reference)
    matches = [_matches(said, wanted, order) for order in range(1, k + 1)]
    possible = [max(len(said) - order + 1, 0) for order in range(1, k + 1)]
    return [*matches, *possible, len(said), len(wanted)]


@lru_cache(maxsize=1 << 15)
def _matches(said: tuple[str, ...], wanted: tuple[str, ...], order: int) -> int:
    """Return how many n-grams of an order both have. Kept: BLEU-1 to BLEU-4 ask for the same."""
    return overlap(_grams(said, order), _grams(wanted, order))


def _grams(tokens: tuple[str, ...], order: int) -> Counter[Any]:
    if order == 1:
        return Counter(tokens)
    return Counter(zip(*(tokens[i:] for i in range(order)), strict=False))


@cache
def _tokenizer_13a():  # type: ignore[no-untyped-def]
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    return Tokenizer13a()
