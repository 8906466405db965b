"""What are the words of a text for METEOR? Those of nltk.word_tokenize, found without its work.

NLTK tries some thirty patterns on each sentence. Where all chunks between spaces are plain, no
pattern reaches beyond a chunk, but for the period that ends a sentence; so each chunk is split
once, as one between two words or as the last of a sentence, and kept. Words with a mark behind them
are split here, other plain chunks by NLTK, and so is a whole sentence with a chunk that is not.

Sentences are those of Punkt: where two words meet at a period, its rules come down to two look-ups,
and it is asked about each other meeting once.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from itertools import chain, pairwise

from tomovox.metrics.resources import word_tokenizer

PLAIN = re.compile(r"(?![)>])(?!.*[.?!][();:?!])[A-Za-z0-9.,;:()%/+=&#<>?!_-]+")
"""A plain chunk: letters, digits and such marks; none of which Punkt would move to the sentence
before, and none behind which a sentence could end inside of the chunk."""

CONTRACTED = frozenset({"cannot", "gimme", "gonna", "gotta", "lemme", "wanna"})
"""Words of letters alone that are two: MacIntyre's list, as NLTK has it."""

_SENTENCE_ENDS = frozenset(".?!")
_PART = rf"(?!(?:{'|'.join(sorted(CONTRACTED))})\b)[a-z0-9_]+"
_WORD = rf"{_PART}(?:[.-]{_PART})*"
_INNER = re.compile(rf"({_WORD}\.?)(,?)", re.IGNORECASE | re.ASCII)
_LAST = re.compile(rf"({_WORD})([.,?!]?)", re.IGNORECASE | re.ASCII)
_MEETING = re.compile(r"([a-z]{2,})\. (?:([a-z]+)|[0-9]+\.[0-9]+)([,.]?)")


class WordTokens:
    """nltk.word_tokenize with a memory. Raises Unavailable without punkt_tab."""

    def __init__(self) -> None:
        word_tokenizer()
        from nltk.tokenize import NLTKWordTokenizer
        from nltk.tokenize.punkt import PunktTokenizer

        class Sentences(PunktTokenizer):
            """Punkt that decides the common case at once, and each case once."""

            def __init__(self) -> None:
                super().__init__("english")
                self.text_contains_sentbreak = lru_cache(1 << 16)(self._breaks)

            def _breaks(self, text: str) -> bool:
                if meeting := _MEETING.fullmatch(text.lower()):
                    first, second, mark = meeting.groups()
                    known = self._params.abbrev_types
                    if first not in known and not (mark == "." and second in known):
                        return (first, second or "##number##") not in self._params.collocations
                found: bool = super().text_contains_sentbreak(text)
                return found

        self._punkt = Sentences()
        self._split = NLTKWordTokenizer().tokenize
        self._inner = lru_cache(1 << 16)(self._split_inner)
        self._last = lru_cache(1 << 16)(self._split_last)

    def of(self, text: str) -> list[str]:
        """Return the words of a text as nltk.word_tokenize does."""
        chunks = text.split(" ")
        words = list(map(self._inner, chunks))
        if not all(words):
            sentences = self._punkt.tokenize(text)
            return list(chain.from_iterable(map(self._of_sentence, sentences)))
        ends = self._punkt.text_contains_sentbreak
        for place, (chunk, following) in enumerate(pairwise(chunks)):
            if chunk[-1] in _SENTENCE_ENDS and ends(f"{chunk} {following}"):
                words[place] = self._last(chunk)
        words[-1] = self._last(chunks[-1])
        return list(chain.from_iterable(words))

    def _of_sentence(self, sentence: str) -> list[str]:
        chunks = sentence.split(" ")
        words = list(map(self._inner, chunks))
        if not all(words):
            return self._split(sentence)
        words[-1] = self._last(chunks[-1])
        return list(chain.from_iterable(words))

    def _split_inner(self, chunk: str) -> tuple[str, ...]:
        """Return the words of a chunk before another; none where it is not plain."""
        if not PLAIN.fullmatch(chunk):
            return ()
        return _word_and_mark(_INNER, chunk) or tuple(self._split(f"x {chunk} x")[1:-1])

    def _split_last(self, chunk: str) -> tuple[str, ...]:
        """Return the words of a plain chunk at the end of a sentence."""
        return _word_and_mark(_LAST, chunk) or tuple(self._split(f"x {chunk}")[1:])


def _word_and_mark(pattern: re.Pattern[str], chunk: str) -> tuple[str, ...]:
    """Return a word and the mark behind it, if there is one; nothing where a chunk is more."""
    found = pattern.fullmatch(chunk)
    return tuple(filter(None, found.groups())) if found else ()


@cache
def word_tokens() -> WordTokens:
    """Return the words of METEOR, with one memory for all texts."""
    return WordTokens()
