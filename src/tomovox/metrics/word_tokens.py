"""What are the words of a text for METEOR? Those of nltk.word_tokenize, found without its work.

NLTK tries some thirty patterns on each sentence. In plain text, of letters, digits and the marks of
PLAIN, no pattern reaches beyond a chunk between two spaces, but for the period that ends a
sentence; so NLTK is asked once for each chunk, between two words or behind one, and its answer is
kept. A chunk of letters and digits is a word. Whatever is not plain NLTK splits itself.

Sentences are those of Punkt: where a word of letters, a period and another word meet, its rules
come down to two look-ups.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from tomovox.metrics.resources import word_tokenizer

PLAIN = re.compile(r"[A-Za-z0-9 .,;:()%/+=&#<>?!-]*")
CONTRACTED = frozenset({"cannot", "gimme", "gonna", "gotta", "lemme", "wanna"})
"""Words of letters alone that are two: MacIntyre's list, as NLTK has it."""

_CLOSING = frozenset(")>")
_BETWEEN_WORDS = re.compile(r"[a-z]{2,}\. [a-z]{2,}", re.IGNORECASE | re.ASCII)


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
                if _BETWEEN_WORDS.fullmatch(text):
                    first, second = text.lower().split(". ")
                    if first not in self._params.abbrev_types:
                        return (first, second) not in self._params.collocations
                found: bool = super().text_contains_sentbreak(text)
                return found

        self._sentences = Sentences().tokenize
        self._split = NLTKWordTokenizer().tokenize
        self._inner = lru_cache(1 << 16)(self._split_inner)
        self._last = lru_cache(1 << 16)(self._split_last)

    def of(self, text: str) -> list[str]:
        """Return the words of a text as nltk.word_tokenize does."""
        words: list[str] = []
        for sentence in self._sentences(text):
            chunks = sentence.split(" ")
            if not PLAIN.fullmatch(sentence) or _CLOSING.issuperset(chunks[-1]):
                words += self._split(sentence)
                continue
            last = chunks.pop()
            for chunk in chunks:
                if chunk.isalnum() and chunk.lower() not in CONTRACTED:
                    words.append(chunk)
                else:
                    words += self._inner(chunk)
            words += self._last(last)
        return words

    def _split_inner(self, chunk: str) -> list[str]:
        word = chunk[:-1]
        if chunk.endswith(",") and word.isalnum() and word.lower() not in CONTRACTED:
            return [word, ","]
        return self._split(f"x {chunk} x")[1:-1]

    def _split_last(self, chunk: str) -> list[str]:
        word = chunk[:-1]
        if chunk.endswith(".") and word.isalnum() and word.lower() not in CONTRACTED:
            return [word, "."]
        return self._split(f"x {chunk}")[1:]


@cache
def word_tokens() -> WordTokens:
    """Return the words of METEOR, with one memory for all texts."""
    return WordTokens()
