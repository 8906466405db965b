"""What can truly be said and asked about a real scan of which only masks are known?

Every sentence and answer follows from the plane, the window, or a mask; none from a radiologist.
"""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator

from tomovox.data.phantom_body import PLANES
from tomovox.data.phantom_text import Question
from tomovox.data.sample_archives import ARCHIVES
from tomovox.data.sample_sources import CT_WINDOWS, MR, TUMOUR, Study, spoken
from tomovox.schema import LETTERS

NA = "NA"
"""How the published files write a choice that does not exist."""

MARK = "Derived from segmentation masks of"
"""How every report begins."""

PHASES = (*CT_WINDOWS, MR, "CT, bone window")
ABNORMALITIES = (TUMOUR, "none marked", "kidney cyst", "pleural effusion")
SIDES = ("left", "right", "midline", "both sides")
LEVELS = ("upper", "middle", "lower", "whole length")

PHRASINGS = {
    "plane": ("Which plane is the image in?", "What is the imaging plane?"),
    "phase": ("Which modality and window is this?", "What are modality and window of the image?"),
    "present": ("Which structure is marked in this scan?", "Which of these is marked?"),
    "absent": ("Which structure is not marked in this scan?", "Which of these is not marked?"),
    "abnormality": ("Which abnormality is marked?", "What is marked as abnormal?"),
    "side": ("On which side is the centre of the {}?", "To which side does the {} lie?"),
    "level": ("In which third is the centre of the {}?", "At which level is the {} centred?"),
}


def report(study: Study) -> str:
    """Return the text of a study; it says first that it is derived from masks, and whose."""
    source = ARCHIVES[study.source.archive].name
    parts = [f"{MARK} {source}.", f"{study.source.window}."]
    seen = [spoken(label) for label in study.masks if label != TUMOUR]
    if seen:
        parts.append(f"Marked: {', '.join(seen)}.")
    if study.absent:
        parts.append(f"Not marked: {', '.join(map(spoken, study.absent))}.")
    for label, place in study.places.items():
        words = [place.side and _side(place.side), place.level and f"in the {place.level} third"]
        where = ", ".join(word for word in words if word)
        if label == TUMOUR:
            parts.append(f"The mask marks a tumour{' ' if where else ''}{where}.")
        elif where and label in ("liver", "spleen", "heart"):
            parts.append(f"The {spoken(label)} lies {where}.")
    if study.abnormality == "none marked":
        parts.append("The masks mark no abnormality.")
    return " ".join(parts)


def questions(
    study: Study, plane: str, visible: Sequence[str], rng: Generator
) -> list[tuple[Question, str]]:
    """Return the closed questions on one series, each with the label whose slices answer it or "".

    `visible` are the labels whose masks are large enough in the series to be asked about.
    """
    asked = [
        (_ask(1, "plane", plane, (*PLANES, "oblique"), rng), ""),
        (_ask(2, "phase", study.source.window, PHASES, rng), ""),
    ]
    organs = [label for label in visible if label != TUMOUR]
    if organs and study.absent:
        label, lacking = _one(organs, rng), _one(study.absent, rng)
        absent = [spoken(name) for name in study.absent]
        present = [spoken(name) for name in organs]
        asked += [
            (_ask(3, "present", spoken(label), absent, rng, local=True), label),
            (_ask(3, "absent", spoken(lacking), present, rng), ""),
        ]
    if study.abnormality:
        label = study.abnormality if study.abnormality in study.masks else ""
        asked.append(
            (_ask(4, "abnormality", study.abnormality, ABNORMALITIES, rng, bool(label)), label)
        )
    for name, options in (("side", SIDES), ("level", LEVELS)):
        places = {x: getattr(study.places[x], name) for x in visible}
        known = [
            x
            for x, answer in places.items()
            if answer and not (name == "side" and spoken(x).split()[0] in SIDES)
        ]
        if known:
            label = _one(known, rng)
            asked.append((_ask(5, name, places[label], options, rng, True, spoken(label)), label))
    return asked


def yes_no_questions(
    study: Study, plane: str, visible: Sequence[str], rng: Generator
) -> list[Question]:
    """Return up to two yes-or-no questions on one series: on the plane and on a structure."""
    guess = plane if rng.random() < 0.5 else _one([p for p in PLANES if p != plane], rng)
    asked = [_yes_no(1, f"Is the image in the {guess} plane?", guess == plane)]
    organs = [label for label in visible if label != TUMOUR]
    if organs and study.absent:
        inside = rng.random() < 0.5
        name = spoken(_one(organs if inside else study.absent, rng))
        asked.append(_yes_no(3, f"Is the {name} marked in this scan?", inside))
    return asked


def _side(side: str) -> str:
    return "in the midline" if side == "midline" else f"on the {side}"


def _yes_no(number: int, text: str, truth: bool) -> Question:
    return Question(number, text, (NA,) * 4, "yes" if truth else "no", NA, False)


def _ask(
    number: int,
    name: str,
    answer: str,
    options: Sequence[str],
    rng: Generator,
    local: bool = False,
    subject: str = "",
) -> Question:
    """Return a question with options in random order; too few of them are filled up with NA."""
    wrong = [o for o in dict.fromkeys(options) if o != answer]
    drawn = [str(o) for o in rng.permutation(wrong)[:3]]
    listed = [str(o) for o in rng.permutation([answer, *drawn])]
    choices = (*listed, *[NA] * (4 - len(listed)))
    text = _one(PHRASINGS[name], rng).format(subject)
    return Question(number, text, choices, answer, LETTERS[choices.index(answer)], local)


def _one(options: Sequence[str], rng: Generator) -> str:
    return options[int(rng.integers(len(options)))]
