"""How much of a text is said in other words? METEOR of pairs, all at once.

Source: Lavie and Agarwal, "METEOR", WMT 2007, with the parameters and the alignment of NLTK's
single_meteor_score, whose values these are to the last bit: words are matched as they stand, then
by Porter stem, then as synonyms, each from the last to the first and to the last free place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from functools import cache, lru_cache
from itertools import pairwise

from tomovox.metrics.synonyms import synonyms
from tomovox.metrics.text import over_pairs
from tomovox.metrics.word_tokens import word_tokens

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5

Words = list[tuple[int, str]]
"""Places in a text, and the words there."""


def meteor(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Return METEOR of each pair: NLTK's, alpha .9, beta 3, gamma .5, Porter stems, WordNet.

    Tokens are those of nltk.word_tokenize, as `evaluate` takes them. An empty side gives 0.0.
    Identical texts of m words give 1 - .5 / m^3, not 1. Raises Unavailable without WordNet 3.0 or
    punkt_tab.
    """
    # Fetched before the first pair: whether they are there must not depend on the texts.
    others, stem, tokens = synonyms().of, _stem(), _lower_tokens()

    def score(prediction: str, reference: str) -> float:
        said, wanted = tokens(prediction), tokens(reference)
        places = aligned(said, wanted, stem, others)
        return score_of(places, len(said), len(wanted))

    return over_pairs(score, predictions, references)


def aligned(
    said: Sequence[str],
    wanted: Sequence[str],
    stem: Callable[[str], str],
    others: Callable[[str], Collection[str]],
) -> list[tuple[int, int]]:
    """Return the places of matched words in both texts, by their place in the first."""
    found: list[tuple[int, int]] = []
    left, right = _match(list(enumerate(said)), list(enumerate(wanted)), found)
    if left and right:
        left, right = ([(place, stem(word)) for place, word in side] for side in (left, right))
        left, right = _match(left, right, found)
    if left and right:
        # Like NLTK, it is a stem whose synonyms are sought and that may be one.
        _match_synonyms(left, right, others, found)
    return sorted(found)


def score_of(places: Sequence[tuple[int, int]], said: int, wanted: int) -> float:
    """Return METEOR of an alignment of texts of so many words; 0.0 without a match."""
    matches = len(places)
    if not matches:
        return 0.0
    precision, recall = matches / said, matches / wanted
    mean = (precision * recall) / (ALPHA * precision + (1 - ALPHA) * recall)
    chunks = 1 + sum(after != (before[0] + 1, before[1] + 1) for before, after in pairwise(places))
    return (1 - GAMMA * (chunks / matches) ** BETA) * mean


def _match(said: Words, wanted: Words, found: list[tuple[int, int]]) -> tuple[Words, Words]:
    """Add the places of equal words to `found`; return the words of both sides that are left."""
    free = _places(wanted)
    left: Words = []
    for pair in reversed(said):
        places = free.get(pair[1])
        if places:
            found.append((pair[0], places.pop()))
        else:
            left.append(pair)
    return left[::-1], sorted((place, word) for word, places in free.items() for place in places)


def _match_synonyms(
    said: Words,
    wanted: Words,
    others: Callable[[str], Collection[str]],
    found: list[tuple[int, int]],
) -> None:
    """Add the places of words to `found` where one is a synonym of the other, or is the same."""
    free = _places(wanted)
    for place, word in reversed(said):
        last = [free[name] for name in {word, *others(word)} & free.keys() if free[name]]
        if last:
            found.append((place, max(last, key=lambda places: places[-1]).pop()))


def _places(words: Words) -> dict[str, list[int]]:
    """Return the places of each word, rising."""
    found: dict[str, list[int]] = defaultdict(list)
    for place, word in words:
        found[word].append(place)
    return found


@cache
def _lower_tokens() -> Callable[[str], tuple[str, ...]]:
    words = word_tokens()
    return lru_cache(1 << 15)(lambda text: tuple(map(str.lower, words.of(text))))


@cache
def _stem() -> Callable[[str], str]:
    from nltk.stem.porter import PorterStemmer

    return lru_cache(1 << 16)(PorterStemmer().stem)
