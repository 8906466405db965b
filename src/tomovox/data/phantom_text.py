"""What is said about a synthetic patient? The grammar of reports and of questions.

All words come from a closed vocabulary of about a hundred, so that a small word-level model can
learn it. A report tells kind, organ, side and level of the finding, never plane or phase; where
organs were moved it tells where to, and calls none of them normal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from tomovox.data.phantom_body import KINDS, ORGANS, PHASES, PLANES, Finding, Series
from tomovox.data.phantom_shift import place_sentences
from tomovox.schema import LETTERS

NOTHING = "no abnormality"
"""The option of a normal case."""

SIDES = ("left", "right", "midline", "both sides")
LEVELS = ("upper", "middle", "lower", "whole length")
ASKED_ORGANS = tuple(name for name in ORGANS if name not in ("stomach", "bowel", "spine"))

SIZE_WORDS = {
    "small": ("small", "tiny"),
    "medium": ("medium", "moderate"),
    "large": ("large", "big"),
}
KIND_WORDS = {
    "cyst": ("cyst", "simple cyst"),
    "mass": ("mass", "solid mass"),
    "calcification": ("calcification", "dense calcification"),
    "stone": ("stone", "bright stone"),
    "effusion": ("effusion", "fluid effusion"),
}
SIDE_WORDS = {
    "left": ("on the left", "on the left side", "on the patient's left"),
    "right": ("on the right", "on the right side", "on the patient's right"),
    "midline": ("in the midline", "near the midline", "at the midline"),
}
LEVEL_WORDS = ("at the {} level", "in the {} third", "in the {} part of the volume")

FINDING_SENTENCES = (
    "There is a {size} {kind} in the {organ} {side}, {level}.",
    "A {size} {kind} is seen in the {organ}, {side} and {level}.",
    "The {organ} shows a {size} {kind}. It lies {side} {level}.",
    "{Side} there is a {size} {kind} of the {organ} {level}.",
    "{Level} we see a {size} {kind} in the {organ}, {side}.",
    "In the {organ} there is a {kind}, {size} in size. It is found {side} and {level}.",
)
FREE_SENTENCES = (
    "No abnormality is seen.",
    "No finding in this scan.",
    "There is no cyst, mass, calcification, stone or effusion.",
)
NORMAL_SENTENCES = (
    *FREE_SENTENCES,
    "All organs appear normal.",
    "Normal scan without any finding.",
)
ORGAN_SENTENCES = (
    "The {} and {} are normal.",
    "The {} and the {} appear normal.",
    "No finding in the {} or {}.",
    "Normal {} and {}.",
    "The {} is normal, and so is the {}.",
    "The {} and {} are unremarkable.",
)
CLOSINGS = ("No other finding.", "No other abnormality is seen.", "Otherwise normal scan.")

PHRASINGS = {
    "plane": (
        "Which plane is the image in?",
        "What is the imaging plane?",
        "In which plane are the slices?",
    ),
    "phase": (
        "What is the contrast phase?",
        "Which contrast phase is shown?",
        "In which phase is the scan?",
    ),
    "kind": (
        "What abnormality is seen?",
        "What is the abnormality, if any?",
        "Which kind of finding is shown?",
    ),
    "organ": (
        "Which organ shows the finding?",
        "In which organ is the finding?",
        "Which organ is abnormal?",
    ),
    "side": (
        "On which side is the finding?",
        "Which side shows the finding?",
        "On which side is the abnormality?",
    ),
    "level": (
        "At which level is the finding?",
        "What is the level of the finding?",
        "At which level is the abnormality?",
    ),
}
TYPES = {"plane": 1, "phase": 2, "organ": 3, "kind": 4, "side": 5, "level": 5}
"""Question -> column `Question Type` of M3D-VQA."""


@dataclass(frozen=True, slots=True)
class Question:
    """One row of M3D-VQA. `local` is true when the finding's slices hold the answer."""

    type: int
    text: str
    choices: tuple[str, ...]
    answer: str
    letter: str
    local: bool


def report(finding: Finding | None, rng: Generator) -> str:
    """Return the report of a case: 15 to 40 words, sentences of drawn form, number and order."""
    named = finding.organ if finding else ""
    organs = rng.permutation([organ for organ in ORGANS if organ != named]).tolist()
    pairs = zip(organs[::2], organs[1::2], strict=False)
    normal = [_one(ORGAN_SENTENCES, rng).format(*pair) for pair in pairs]
    main = _finding_sentence(finding, rng) if finding else _one(NORMAL_SENTENCES, rng)
    wanted, leads = int(rng.integers(1, 3)), rng.random() < 0.7
    others = normal[:1]
    for sentence in normal[1:]:
        words = len(" ".join([main, *others]).split())
        if words < 15 or (len(others) < wanted and words + len(sentence.split()) <= 40):
            others.append(sentence)
    sentences = [main, *others] if leads else [*others, main]
    closing = _one(CLOSINGS, rng)
    if finding and rng.random() < 0.4 and len(" ".join([*sentences, closing]).split()) <= 40:
        sentences.append(closing)
    return " ".join(sentences)


def report_with_places(finding: Finding | None, ways: Mapping[str, str], rng: Generator) -> str:
    """Return the report of a case with moved organs: the finding, and which organs lie where.

    `ways` is the word for the move of each organ to be told. Organs are called neither normal nor
    abnormal. At most 50 words.
    """
    main = _finding_sentence(finding, rng) if finding else _one(FREE_SENTENCES, rng)
    places = place_sentences(ways, rng)
    return " ".join([main, *places] if rng.random() < 0.7 else [*places, main])


def _finding_sentence(finding: Finding, rng: Generator) -> str:
    side = _one(SIDE_WORDS[finding.side], rng)
    level = _one(LEVEL_WORDS, rng).format(finding.level)
    return _one(FINDING_SENTENCES, rng).format(
        size=_one(SIZE_WORDS[finding.size], rng),
        kind=_one(KIND_WORDS[finding.kind], rng),
        organ=finding.organ,
        side=side,
        level=level,
        Side=side.capitalize(),
        Level=level.capitalize(),
    )


def questions(finding: Finding | None, series: Series, rng: Generator) -> list[Question]:
    """Return the closed questions on one series, options in random order.

    Plane, phase and kind always; organ, side and level when there is a finding. Wrong options are
    drawn evenly, so what a model without eyes can know is the prior of the answers alone.
    """
    kind = finding.kind if finding else NOTHING
    asked = [
        _ask("plane", series.plane, (*PLANES, "oblique"), False, rng),
        _ask("phase", series.phase, PHASES, False, rng),
        _ask("kind", kind, (*KINDS, NOTHING), finding is not None, rng),
    ]
    if finding:
        asked.append(_ask("organ", finding.organ, ASKED_ORGANS, True, rng))
        asked.append(_ask("side", finding.side, SIDES, True, rng))
        asked.append(_ask("level", finding.level, LEVELS, True, rng))
    return asked


def yes_no_questions(finding: Finding | None, series: Series, rng: Generator) -> list[Question]:
    """Return two yes-or-no questions on one series: one on the plane, one on a kind of finding."""
    plane = series.plane
    if rng.random() < 0.5:
        plane = _one([name for name in PLANES if name != series.plane], rng)
    kind = finding.kind if finding else ""
    if not finding or rng.random() < 0.5:
        kind = _one([name for name in KINDS if name != kind], rng)
    present = finding is not None and kind == finding.kind
    frame = _one(("Is there a {} in the scan?", "Is a {} seen?"), rng)
    return [
        _yes_no(1, f"Is the image in the {plane} plane?", plane == series.plane),
        _yes_no(4, frame.format(kind).replace("a effusion", "an effusion"), present),
    ]


def _yes_no(number: int, text: str, truth: bool) -> Question:
    return Question(number, text, ("NA",) * 4, "yes" if truth else "no", "NA", False)


def _ask(name: str, answer: str, options: Sequence[str], local: bool, rng: Generator) -> Question:
    wrong = rng.permutation([option for option in options if option != answer])[:3]
    choices = tuple(str(c) for c in rng.permutation([answer, *wrong]))
    letter = LETTERS[choices.index(answer)]
    return Question(TYPES[name], _one(PHRASINGS[name], rng), choices, answer, letter, local)


def _one(options: Sequence[str], rng: Generator) -> str:
    return options[int(rng.integers(len(options)))]
