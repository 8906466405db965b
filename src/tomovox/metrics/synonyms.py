"""Which words can stand for a word? Its synonyms in WordNet 3.0, read from the dictionary's files.

NLTK makes an object of each synset and of each lemma with its gloss, examples and pointers, and an
index of all of them first; METEOR asks for names alone. Forms of a word and what they are looked up
as follow WordNet's manual (morphy(7WN), wndb(5WN)), and are those of NLTK's reader.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache, lru_cache
from typing import Any, NamedTuple

from tomovox.metrics.resources import wordnet_root

ENDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        *(("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z")),
        *(("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y")),
    ),
    "verb": (
        *(("s", ""), ("ies", "y"), ("es", "e"), ("es", "")),
        *(("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}
"""Part of speech -> the endings of its regular forms, and what stands there in the base form."""

_INDEX_LINE = re.compile(r"^(\S+) (.*)$", re.MULTILINE)


class _Part(NamedTuple):
    """One part of speech: index lines by lemma, synsets by offset, base forms of irregular ones.

    Endings stand below their last letter.
    """

    lines: dict[str, str]
    data: bytes
    irregular: dict[str, list[str]]
    endings: dict[str, list[tuple[str, str]]]


class Synonyms:
    """WordNet as METEOR needs it; a word is looked up once."""

    def __init__(self, root: Any) -> None:
        """Read the dictionary at an NLTK path pointer, as `wordnet_root` returns it."""
        self._parts = tuple(_read(root, part) for part in ENDINGS)
        self.of = lru_cache(maxsize=1 << 16)(self._of)
        """Return the names in all synsets of a lower-case word, without names of several words."""

    def _of(self, word: str) -> frozenset[str]:
        names: set[str] = set()
        for part in self._parts:
            for form in _forms(word, part):
                line = part.lines.get(form)
                if line is not None:
                    names |= _names(line, part.data)
        return frozenset(names)


@cache
def synonyms() -> Synonyms:
    """Return the synonyms of WordNet 3.0; raise Unavailable where there is none."""
    return Synonyms(wordnet_root())


def _read(root: Any, part: str) -> _Part:
    index, data, irregular = (
        _bytes(root, name) for name in (f"index.{part}", f"data.{part}", f"{part}.exc")
    )
    terms = (line.split() for line in irregular.decode().splitlines())
    endings: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for old, new in ENDINGS[part]:
        endings[old[-1]].append((old, new))
    return _Part(
        dict(_INDEX_LINE.findall(index.decode())),
        data,
        {first: others for first, *others in terms},
        dict(endings),
    )


def _bytes(root: Any, name: str) -> bytes:
    with root.join(name).open() as stream:
        content: bytes = stream.read()
    return content


def _forms(word: str, part: _Part) -> set[str]:
    """Return what a word may be a form of; an irregular form has no regular base."""
    if word in part.irregular:
        return {word, *part.irregular[word]}
    endings = part.endings.get(word[-1:], ())
    return {word, *(word[: -len(old)] + new for old, new in endings if word.endswith(old))}


def _names(line: str, data: bytes) -> set[str]:
    """Return the names in the synsets of an index line: pos, count, ..., and so many offsets."""
    fields = line.split()
    names = set()
    for offset in map(int, fields[-int(fields[1]) :]):
        # An offset of 8 digits, a file of 2, a type of 1 letter, the number of words as 2 digits in
        # hexadecimal; then each word and its number.
        count = int(data[offset + 14 : offset + 16], 16)
        synset = data[offset + 17 : data.index(b"|", offset)].decode()
        for name in synset.split(" ", 2 * count)[: 2 * count : 2]:
            if "_" not in name:
                names.add(name.partition("(")[0])  # as "afraid(p)"
    return names
