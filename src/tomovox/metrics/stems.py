"""What is the stem of a word? Porter's algorithm with the rules that NLTK adds to it.

NLTK reads a word letter by letter at each of some fifty rules. Here a rule is found by the last
letter, and the measure of what stands before it is counted in its shape: a letter is c where it is
a consonant and v where it is a vowel, which a y is behind a consonant.

Source: Porter, "An algorithm for suffix stripping", Program 14 (1980), with the steps' numbers;
nltk.stem.PorterStemmer in its mode NLTK_EXTENSIONS, whose stems these are.
"""

from __future__ import annotations

from collections import defaultdict

Rules = dict[str, list[tuple[str, str]]]
"""Last letter -> the endings with it and what replaces them; the first that fits alone is tried."""

IRREGULAR = {
    **{"skies": "sky", "sky": "sky", "dying": "die", "lying": "lie", "tying": "tie"},
    **{"news": "news", "howe": "howe", "innings": "inning", "inning": "inning"},
    **{"outings": "outing", "outing": "outing", "cannings": "canning", "canning": "canning"},
    **{"proceed": "proceed", "exceed": "exceed", "succeed": "succeed"},
}

_SHAPES = bytes(
    ord("v" if letter in b"aeiou" else "y" if letter == ord("y") else "c") for letter in range(256)
)


def _by_last_letter(rules: str) -> Rules:
    """Return rules that are written as "ending>replacement", with spaces between them."""
    found: Rules = defaultdict(list)
    for ending, _, replacement in (rule.partition(">") for rule in rules.split()):
        found[ending[-1]].append((ending, replacement))
    return dict(found)


_C, _V, _Y = b"cvy"

STEP_2 = _by_last_letter(
    "ational>ate tional>tion enci>ence anci>ance izer>ize bli>ble entli>ent eli>e "
    "ousli>ous ization>ize ation>ate ator>ate alism>al iveness>ive fulness>ful ousness>ous "
    "aliti>al iviti>ive biliti>ble fulli>ful"
)
STEP_3 = _by_last_letter("icate>ic ative> alize>al iciti>ic ical>ic ful> ness>")
STEP_4 = _by_last_letter(
    "al> ance> ence> er> ic> able> ible> ant> ement> ment> ent> ion> ou> ism> ate> iti> ous> ive> "
    "ize>"
)


def porter_stem(word: str) -> str:
    """Return the stem of a lower-case word."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) <= 2:
        return word
    word = _step_1b(_step_1a(word))
    if word.endswith("y") and len(word) > 2 and _shape(word[:-1])[-1] == _C:  # 1c
        word = word[:-1] + "i"
    word = _step_2(word)
    word = _replaced(word, STEP_3, 0)
    word = _replaced(word, STEP_4, 1)
    if word.endswith("e"):  # 5a
        shape = _shape(word[:-1])
        measure = shape.count(b"vc")
        if measure > 1 or (measure == 1 and not _ends_cvc(word[:-1], shape)):
            word = word[:-1]
    if word.endswith("ll") and _shape(word[:-1]).count(b"vc") > 1:  # 5b
        word = word[:-1]
    return word


def _step_1a(word: str) -> str:
    """Take off the ending of a plural."""
    if word.endswith("ies"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("sses"):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _step_1b(word: str) -> str:
    """Take off the ending of a past tense or a participle, and mend what is left."""
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if b"vc" in _shape(word[:-3]) else word
    if word.endswith("ed"):
        rest = word[:-2]
    elif word.endswith("ing"):
        rest = word[:-3]
    else:
        return word
    shape = _shape(rest)
    if b"v" not in shape:
        return word
    if rest.endswith(("at", "bl", "iz")):
        return rest + "e"
    if rest[-2:-1] == rest[-1] and shape[-1] == _C:
        return rest if rest[-1] in "lsz" else rest[:-1]
    return rest + "e" if shape.count(b"vc") == 1 and _ends_cvc(rest, shape) else rest


def _step_2(word: str) -> str:
    """Shorten a double ending."""
    if word.endswith("alli") and b"vc" in _shape(word[:-4]):
        return _step_2(word[:-2])
    if word.endswith("logi"):
        return word[:-1] if b"vc" in _shape(word[:-3]) else word
    return _replaced(word, STEP_2, 0)


def _replaced(word: str, rules: Rules, measure: int) -> str:
    """Replace the ending where what stands before it has more than this measure."""
    for ending, replacement in rules.get(word[-1:], ()):
        if word.endswith(ending):
            rest = word[: -len(ending)]
            if _shape(rest).count(b"vc") <= measure or (ending == "ion" and rest[-1] not in "st"):
                return word
            return rest + replacement
    return word


def _shape(word: str) -> bytes:
    """Return c and v for the consonants and vowels of a word."""
    # One byte a letter; all that Latin-1 lacks are consonants here, as its question mark is.
    shape = word.encode("latin-1", "replace").translate(_SHAPES)
    if b"y" not in shape:
        return shape
    if shape[0] == _Y:
        shape = b"c" + shape[1:]
    if b"yy" not in shape:
        return shape.replace(b"cy", b"cv").replace(b"vy", b"vc")
    read = bytearray()
    for letter in shape:
        read.append(letter if letter != _Y else _V if read[-1] == _C else _C)
    return bytes(read)


def _ends_cvc(word: str, shape: bytes) -> bool:
    """Return whether a word ends as "hop" does, or is as short as "at"."""
    return shape == b"vc" or (shape.endswith(b"cvc") and word[-1] not in "wxy")
