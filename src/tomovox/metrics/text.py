"""How close is a text to its reference? ROUGE and exact match, per pair.

Every function takes predictions and references of equal length and gives one value in [0, 1] per
pair; both ends of a text are stripped, as M3D-Bench does.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

_SPACED = bytes(
    c if chr(c) in string.ascii_lowercase + string.digits else ord(" ") for c in range(256)
)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def over_pairs(
    score: Callable[[str, str], float], predictions: Sequence[str], references: Sequence[str]
) -> list[float]:
    """Return `score` of each stripped pair, computed once for identical pairs; raise ValueError on
    unequal lengths.
    """
    pairs = [(p.strip(), r.strip()) for p, r in zip(predictions, references, strict=True)]
    seen = {pair: score(*pair) for pair in dict.fromkeys(pairs)}
    return [seen[pair] for pair in pairs]


@lru_cache(maxsize=1 << 15)
def rouge_tokens(text: str) -> tuple[str, ...]:
    """Return the lower-case runs of a-z and 0-9, as ROUGE-1.5.5 and rouge-score read a text; no
    stemming.
    """
    return tuple(text.lower().encode("ascii", "replace").translate(_SPACED).decode().split())


def rouge_n(predictions: Sequence[str], references: Sequence[str], n: int) -> list[float]:
    """Return ROUGE-N F1 of each pair: overlap of n-grams (Lin 2004). A side without an n-gram gives
    0.0.
    """

    def score(prediction: str, reference: str) -> float:
        said, wanted = _grams(prediction, n), _grams(reference, n)
        return _f1(overlap(said, wanted), said.total(), wanted.total())

    return over_pairs(score, predictions, references)


def rouge_l(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Return ROUGE-L F1 of each pair: longest common subsequence (Lin 2004). An empty side gives
    0.0.
    """

    def score(prediction: str, reference: str) -> float:
        said, wanted = rouge_tokens(prediction), rouge_tokens(reference)
        return _f1(longest_common_subsequence(said, wanted), len(said), len(wanted))

    return over_pairs(score, predictions, references)


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    Bit-parallel: one row of the table is one integer (Hyyro, "Bit-parallel LCS-length computation
    revisited", 2004); the table of a 200-word report would take most of the time of a whole scoring
    run.
    """
    positions: dict[str, int] = {}
    for index, word in enumerate(first):
        positions[word] = positions.get(word, 0) | 1 << index
    full = (1 << len(first)) - 1
    row = full
    for word in second:
        hits = row & positions.get(word, 0)
        row = ((row + hits) | (row - hits)) & full
    return len(first) - row.bit_count()


def overlap(said: Counter[Any], wanted: Counter[Any]) -> int:
    """Return how many n-grams both have, each as often as where it is rarer."""
    shared = said.keys() & wanted.keys()
    return sum(map(min, map(said.__getitem__, shared), map(wanted.__getitem__, shared)))


def exact_match(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Return 1.0 where the texts agree but for case, punctuation, articles and spaces (SQuAD,
    Rajpurkar et al. 2016).

    A prediction of which nothing is left gives 0.0, also against an empty reference.
    """

    def score(prediction: str, reference: str) -> float:
        said = _plain(prediction)
        return float(bool(said) and said == _plain(reference))

    return over_pairs(score, predictions, references)


def _f1(matches: int, said: int, wanted: int) -> float:
    if not matches:
        return 0.0
    precision, recall = matches / said, matches / wanted
    return 2 * precision * recall / (precision + recall)


def _grams(text: str, n: int) -> Counter[Any]:
    """Return how often each n-gram stands in a text; a word is its own gram of order 1."""
    words = rouge_tokens(text)
    return Counter(words if n == 1 else zip(*(words[i:] for i in range(n)), strict=False))


def _plain(text: str) -> str:
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split())
