"""Which choice did an answer pick? Two rules: a parser, and the substring of M3D-Bench.

A closed question has the choices A to D. An answer may name the letter, in many ways, or the text
of a choice; an answer that names two, or none, has no choice and counts as wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tomovox.schema import LETTERS, TomovoxError

_ALONE = re.compile(r"[\W_]*([a-z])[\W_]*", re.IGNORECASE)
_OPEN = r"""[\s("'\[*_:]*"""
# After a letter that stands for a choice: the end, a mark, or a word that only follows a choice.
# "The answer is A large mass" must not name A.
_END = r"(?=\s*(?:$|[.,;:)\]*_\"'\n-]|(?:because|since|as|which|given|due|and|or)\b))(?![\w'-]*\w)"
_CUE = re.compile(
    r"\b(?:answer|choice|option|letter)s?\b(?:\s+(?:is|are|was|would be|should be|must be))?"
    + rf"{_OPEN}(?:(?i:option|choice|letter)\s+)?{_OPEN}([A-Da-d]){_END}"
    + r"|\b(?:choose|chose|select|pick|go with|it is|it's|this is|that is)\s"
    + rf"{_OPEN}(?:(?i:option|choice|letter)\s+)?{_OPEN}([A-D]){_END}",
    re.IGNORECASE | re.MULTILINE,
)
_LEADING = re.compile(
    r"^[\s\"'#>*_-]*(?:[(\[]\s*([A-Da-d])\s*[)\]]|([A-D])\.(?!\w\.)|([A-Da-d])\s*[.):*_](?!\w)"
    r"|([A-D])\s*(?:[,;<]|-(?!\w)|$))",
    re.MULTILINE,
)
_MARKED = re.compile(r"[(\[]([A-D])[)\]]|\*\*\(?([A-D])[.):]?\)?\*\*")
_INLINE = re.compile(r"(?<![\w'-])([A-D])\s*[.):]\s*(?=\w)")
_SEVERAL = re.compile(
    r"(?<![\w'-])([A-D])\s*(?:,|/|&|\bor\b|\band\b)+\s*(?:or\s+|and\s+)?([A-D])\b"
)
_WORDS = re.compile(r"\d+\.\d+|\w+")
_ARTICLES = {"a", "an", "the"}
_NEGATIONS = {"not", "without", "excludes", "than", "isn", "aren", "wasn", "neither", "nor"}


def parse_choice(text: str, choices: Sequence[str] = ()) -> str | None:
    """Return the letter of the one choice that `text` names, or None.

    A letter is read where it stands for a choice: alone, at the start of a line ("B.", "(B)",
    "b)"), marked ("**B**", "(B)"), or after a cue ("Answer: B", "the answer is B", "option B"). A
    cue counts more than the rest, a letter more than the text of a choice. Without a letter, the
    text must equal one choice or mention exactly one that it does not deny. "Vitamin A." and "A
    large mass" name no letter. Two different letters or choices, and equal choice texts, are
    ambiguous: None.
    """
    letters = LETTERS[: len(choices)] if choices else LETTERS
    alone = _ALONE.fullmatch(text)
    if alone and alone[1].upper() in letters:
        return alone[1].upper()
    equal = _equal_choices(text, choices)
    if equal:
        return letters[equal[0]] if len(equal) == 1 else None
    if any(first != second for first, second in _SEVERAL.findall(text)):
        return None
    for found in (_cued(text), _stated(text, choices)):
        named = {letter for letter in found if letter in letters}
        if named:
            return named.pop() if len(named) == 1 else None
    mentioned = _mentioned(text, choices)
    return letters[mentioned[0]] if len(mentioned) == 1 else None


def reference_letter(reference: str) -> str:
    """Return B of the published "B. liver"; raise TomovoxError when it starts with no letter A to
    D.
    """
    found = re.match(r"\s*([A-D])(?![A-Za-z0-9])", reference)
    if not found:
        raise TomovoxError(
            f"reference {reference!r} does not start with A, B, C or D; write it as 'B. liver'"
        )
    return found[1]


def choice_accuracy(
    predictions: Sequence[str], references: Sequence[str], choices: Sequence[Sequence[str]]
) -> list[float]:
    """Return 1.0 where the parsed choice is the reference's; no choice counts as wrong."""
    rows = zip(predictions, references, choices, strict=True)
    return [float(parse_choice(p, c) == reference_letter(r)) for p, r, c in rows]


def choice_parsed(predictions: Sequence[str], choices: Sequence[Sequence[str]]) -> list[float]:
    """Return 1.0 where the answer names exactly one choice."""
    rows = zip(predictions, choices, strict=True)
    return [float(parse_choice(p, c) is not None) for p, c in rows]


def choice_accuracy_m3d(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Return 1.0 where the reference's letter and a dot stand anywhere in the answer.

    The rule of M3D-Bench's closed VQA, case-sensitive: "B. Vitamin A." is right for A as well as
    for B, "A" and "(A)" are wrong for A.
    """
    rows = zip(predictions, references, strict=True)
    return [float(f"{reference_letter(r)}." in p) for p, r in rows]


def _cued(text: str) -> Iterator[str]:
    for found in _CUE.finditer(text):
        # The pattern ignores case for its words; "it is a" must still not name A.
        letter = found[1] or found[2]
        if found[1] or letter.isupper():
            yield letter.upper()


def _stated(text: str, choices: Sequence[str]) -> Iterator[str]:
    for pattern in (_LEADING, _MARKED):
        for found in pattern.finditer(text):
            yield next(group for group in found.groups() if group).upper()
    # "A. liver B. spleen" states two choices, though only one starts a line.
    for found in _INLINE.finditer(text):
        position, rest = LETTERS.index(found[1]), text[found.end() :]
        wanted = _words(choices[position]) if position < len(choices) else []
        if wanted and _words(rest)[: len(wanted)] == wanted:
            yield found[1]
    # "B liver": the letter needs no mark when the text of its own choice follows.
    first, _, rest = text.strip().partition(" ")
    position = LETTERS.find(first) if len(first) == 1 else -1
    if 0 <= position < len(choices) and _words(rest) == _words(choices[position]):
        yield first


def _equal_choices(text: str, choices: Sequence[str]) -> list[int]:
    """Positions of the choices that are the text, if need be but for marks and articles."""
    written = text.strip().casefold()
    exact = [i for i, choice in enumerate(choices) if choice.strip().casefold() == written]
    if exact or not (said := "".join(_words(text))):
        return exact if written else []
    return [i for i, choice in enumerate(choices) if "".join(_words(choice)) == said]


def _mentioned(text: str, choices: Sequence[str]) -> list[int]:
    """Positions of the choices that the text mentions as whole words and does not deny."""
    said = _WORDS.findall(text.casefold())
    spans = []
    for position, choice in enumerate(choices):
        words = _words(choice)
        for start in range(len(said) - len(words) + 1 if words else 0):
            if said[start : start + len(words)] == words:
                spans.append((start, start + len(words), position))
    # "left kidney" mentions the choice "left kidney", not also the choice "kidney".
    longest = [
        (start, stop, position)
        for start, stop, position in spans
        if not any(a <= start and stop <= b and b - a > stop - start for a, b, _ in spans)
    ]
    return sorted({position for start, _, position in longest if not _denied(said[:start])})


def _denied(before: Sequence[str]) -> bool:
    """Whether the words before a mention deny it: "not the", "rather than", "isn't in the"."""
    near = [word for word in before[-4:] if word not in _ARTICLES | {"in", "of", "t"}]
    return bool(near) and near[-1] in _NEGATIONS


def _words(text: str) -> list[str]:
    words = _WORDS.findall(text.casefold())
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES else words
