"""How much of a text is said in other words? METEOR of pairs, all at once.

Source: Lavie and Agarwal, "METEOR", WMT 2007, with the parameters and the alignment of NLTK's
single_meteor_score, whose values these are to the last bit: words are matched as they stand, then
by Porter stem, then as synonyms, each from the last to the first and to the last free place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache, lru_cache
from itertools import pairwise

from tomovox.metrics.stems import porter_stem
from tomovox.metrics.synonyms import synonyms
from tomovox.metrics.text import over_pairs
from tomovox.metrics.word_tokens import word_tokens

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5

Words = dict[int, str]
"""Rising places in a text, and the words there."""

NOWHERE = -2
"""No place, nor the one before a place."""


def meteor(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Return METEOR of each pair: NLTK's, alpha .9, beta 3, gamma .5, Porter stems, WordNet.

    Tokens are those of nltk.word_tokenize, as `evaluate` takes them. An empty side gives 0.0.
    Identical texts of m words give 1 - .5 / m^3, not 1. Raises Unavailable without WordNet 3.0 or
    punkt_tab.
    """
    # Fetched before the first pair: whether they are there must not depend on the texts.
    others, tokens = synonyms().of, _lower_tokens()

    def score(prediction: str, reference: str) -> float:
        said, wanted = tokens(prediction), tokens(reference)
        return score_of(aligned(said, wanted, others), len(wanted))

    return over_pairs(score, predictions, references)


def aligned(
    said: Sequence[str], wanted: Sequence[str], others: Callable[[str], Collection[str]]
) -> list[int]:
    """Return for each word said the place of the wanted word that it matches, or NOWHERE."""
    found = [NOWHERE] * len(said)
    left, right = dict(enumerate(said)), dict(enumerate(wanted))
    _match(left, right, found)
    if left and right:
        left, right = ({place: _stem(w) for place, w in side.items()} for side in (left, right))
        _match(left, right, found)
    if left and right:
        # Like NLTK, it is a stem whose synonyms are sought and that may be one.
        _match_synonyms(left, right, others, found)
    return found


def score_of(found: Sequence[int], wanted: int) -> float:
    """Return METEOR of words that are found at these places among so many; 0.0 without a match."""
    matches = len(found) - found.count(NOWHERE)
    if not matches:
        return 0.0
    precision, recall = matches / len(found), matches / wanted
    mean = (precision * recall) / (ALPHA * precision + (1 - ALPHA) * recall)
    pairs = pairwise([NOWHERE, *found])
    chunks = sum(place != NOWHERE and place != before + 1 for before, place in pairs)
    return (1 - GAMMA * (chunks / matches) ** BETA) * mean


def _match(said: Words, wanted: Words, found: list[int]) -> None:
    """Take equal words away from both sides and note where they are found."""
    last, before = _places(wanted)
    for place in reversed(list(said)):
        word = said[place]
        other = last.get(word, NOWHERE)
        if other != NOWHERE:
            found[place] = other
            last[word] = before[other]
            del said[place], wanted[other]


def _match_synonyms(
    said: Words, wanted: Words, others: Callable[[str], Collection[str]], found: list[int]
) -> None:
    """Note where words of which one is a synonym of the other are found; no word has both sides."""
    last, before = _places(wanted)
    names = set(last)
    for place, word in reversed(said.items()):
        if shared := names.intersection(others(word)):
            name = max(shared, key=last.__getitem__)
            found[place] = last[name]
            last[name] = before[last[name]]
            if last[name] == NOWHERE:
                names.remove(name)


def _places(words: Words) -> tuple[dict[str, int], dict[int, int]]:
    """Return the last place of each word, and the one before each place of the same word."""
    last: dict[str, int] = {}
    before: dict[int, int] = {}
    for place, word in words.items():
        before[place] = last.get(word, NOWHERE)
        last[word] = place
    return last, before


_stem = lru_cache(1 << 16)(porter_stem)


@cache
def _lower_tokens() -> Callable[[str], tuple[str, ...]]:
    words = word_tokens()
    return lru_cache(1 << 15)(lambda text: tuple(map(str.lower, words.of(text))))
