"""What is said about a synthetic chest? Reports, and questions in the words of CT-RATE's files.

A report tells every abnormality and denies some that are absent; quotes and parentheses occur, as
they do in the release.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.random import Generator

from tomovox.data.ct_rate import ABNORMALITIES
from tomovox.data.phantom_chest import SIDED, Chest

NOT_GIVEN = "Not given."
TECHNIQUE = "Images of the chest were taken in the axial plane without contrast agent."
NORMAL = "No abnormality was seen in the chest."

SEEN: dict[str, tuple[str, ...]] = {
    "Medical material": (
        "A catheter port is seen on the {side}.",
        "A pacemaker (with its lead) is seen on the {side} chest wall.",
    ),
    "Arterial wall calcification": (
        "Calcified plaques are seen in the wall of the aorta.",
        "There is calcification of the aortic wall.",
    ),
    "Cardiomegaly": ("The heart is enlarged.", "Heart size has increased (cardiomegaly)."),
    "Pericardial effusion": (
        "There is fluid in the pericardial space.",
        "Pericardial effusion is seen around the heart.",
    ),
    "Coronary artery wall calcification": (
        "Calcified plaques are seen in the coronary arteries.",
        "The coronary arteries are calcified.",
    ),
    "Hiatal hernia": ("A hiatal hernia is seen.", 'There is a "sliding" hiatal hernia.'),
    "Lymphadenopathy": (
        "Enlarged lymph nodes are seen in the mediastinum.",
        "There is mediastinal lymphadenopathy.",
    ),
    "Emphysema": ("Emphysematous areas are seen in both lungs.", "There is emphysema."),
    "Atelectasis": (
        "Linear atelectasis is seen at the base of the {side} lung.",
        "There is atelectasis in the {side} lower lobe.",
    ),
    "Lung nodule": ("A nodule is seen in the {side} lung.", "There is a {side} lung nodule."),
    "Lung opacity": (
        'A "ground glass" opacity is seen in the {side} lung.',
        "There is ground glass opacity in the {side} lung.",
    ),
    "Pulmonary fibrotic sequela": (
        "Fibrotic sequelae are seen at the apex of the {side} lung.",
        "There are sequela fibrotic changes in the {side} upper lobe.",
    ),
    "Pleural effusion": (
        "Pleural effusion is seen on the {side}.",
        "There is fluid in the {side} pleural space (effusion).",
    ),
    "Mosaic attenuation pattern": (
        "A mosaic attenuation pattern is seen in both lungs.",
        "There is mosaic attenuation.",
    ),
    "Peribronchial thickening": (
        "Peribronchial thickening is seen on the {side}.",
        "Bronchial walls are thickened on the {side}.",
    ),
    "Consolidation": (
        "Consolidation is seen in the {side} lung.",
        "There is an area of consolidation in the {side} lower lobe.",
    ),
    "Bronchiectasis": (
        "Bronchiectasis is seen in the {side} lung.",
        "The bronchi of the {side} lung are dilated (bronchiectasis).",
    ),
    "Interlobular septal thickening": (
        "Interlobular septal thickening is seen in the {side} lung.",
        "Interlobular septa are thickened on the {side}.",
    ),
}
"""Abnormality -> how a report tells it."""

DENIED: dict[str, tuple[str, ...]] = {
    "Arterial wall calcification": ("No calcification is seen in the aortic wall.",),
    "Cardiomegaly": ("Heart size is normal.", "The heart is not enlarged."),
    "Pericardial effusion": ("No pericardial effusion.", "Pericardial effusion was not detected."),
    "Coronary artery wall calcification": ("The coronary arteries show no calcification.",),
    "Hiatal hernia": ("No hiatal hernia.",),
    "Lymphadenopathy": (
        "No enlarged lymph nodes in the mediastinum.",
        "Lymphadenopathy was not detected.",
    ),
    "Emphysema": ("No emphysema.",),
    "Atelectasis": ("No atelectasis.",),
    "Lung nodule": ("No nodule is seen in the lungs.", "No nodule was detected."),
    "Lung opacity": ("No ground glass opacity.",),
    "Pleural effusion": ("No pleural effusion.", "Pleural effusion was not detected."),
    "Consolidation": ("No consolidation.", "There is no consolidation in the lungs."),
    "Bronchiectasis": ("No bronchiectasis.",),
    "Interlobular septal thickening": ("Interlobular septa are normal.",),
}
"""Abnormality -> how a report says that it is not there."""

REGIONS = {
    "heart": ("Cardiomegaly", "Pericardial effusion", "Coronary artery wall calcification"),
    "mediastinum": ("Arterial wall calcification", "Hiatal hernia", "Lymphadenopathy"),
    "pleura": ("Pleural effusion",),
}
"""What a question of a long answer is about -> the abnormalities that its answer tells."""

Turn = dict[str, str]


def report_of(chest: Chest, rng: Generator) -> tuple[str, str]:
    """Return the findings and the impressions of a scan, which may be "Not given."."""
    sides = {sign.label: sign.side for sign in chest.signs}
    absent = [label for label in DENIED if label not in sides]
    denied = {absent[k] for k in rng.permutation(len(absent))[: int(rng.integers(2, 5))]}
    sentences = [
        _pick(SEEN[label], rng).format(side=sides[label])
        if label in sides
        else _pick(DENIED[label], rng)
        for label in ABNORMALITIES
        if label in sides or label in denied
    ]
    found = [f"{label}." for label in sides]
    impressions = " ".join(found) if found and rng.random() < 0.9 else NOT_GIVEN
    return " ".join(sentences if sides else [NORMAL, *sentences]), impressions


def conversations(chest: Chest, volume: str, number: int, findings: str, rng: Generator) -> Any:
    """Return what the release asks about a volume: items of four kinds, counted from `number`."""
    turns = {
        "multiple_choice": _choices(chest, rng),
        "short_answer": _shorts(chest, rng),
        "long_answer": _longs(chest, rng),
        "report_generation": [("Can you generate the report of this chest CT?", findings)],
    }
    return [
        {
            "id": f"{kind}_{number}",
            "image": volume,
            "conversations": [t for k, turn in enumerate(asked) for t in _turn(kind, k, turn)],
        }
        for kind, asked in turns.items()
    ]


def _turn(kind: str, place: int, turn: tuple[str, str]) -> tuple[Turn, Turn]:
    image = "" if place else "<image>\n"
    asked = {"from": "human", "value": f"{image}{turn[0]}<{kind}>", "type": kind}
    return asked, {"from": "gpt", "value": turn[1]}


def _choices(chest: Chest, rng: Generator) -> list[tuple[str, str]]:
    """Return up to three questions of choices: which is present, on which side, is one there?"""
    present = [sign.label for sign in chest.signs]
    absent = [label for label in ABNORMALITIES if label not in present]
    asked = []
    if present:
        right = _pick(present, rng)
        wrong = [absent[k] for k in rng.permutation(len(absent))[:3]]
        asked.append(_lettered("Which of these findings is present?", right, wrong, rng))
    if sided := [sign for sign in chest.signs if sign.label in SIDED]:
        sign = sided[int(rng.integers(len(sided)))]
        wrong = [side for side in ("right", "left", "midline", "both sides") if side != sign.side]
        asked.append(_lettered(f"On which side is the {_said(sign.label)}?", sign.side, wrong, rng))
    label, truth = _yes_or_no(present, absent, rng)
    answer, other = ("yes", "no") if truth else ("no", "yes")
    asked.append(_lettered(f"Is {_said(label)} present?", answer, [other], rng))
    return asked


def _shorts(chest: Chest, rng: Generator) -> list[tuple[str, str]]:
    present = [sign.label for sign in chest.signs]
    absent = [label for label in ABNORMALITIES if label not in present]
    asked: dict[str, bool] = {}
    while len(asked) < 2:
        label, truth = _yes_or_no(present, absent, rng)
        asked[label] = truth
    return [(f"Is there {_said(k)}?", "Yes." if truth else "No.") for k, truth in asked.items()]


def _longs(chest: Chest, rng: Generator) -> list[tuple[str, str]]:
    sides = {sign.label: sign.side for sign in chest.signs}
    region = _pick(list(REGIONS), rng)
    told = [
        _pick(SEEN[label], rng).format(side=sides[label])
        if label in sides
        else _pick(DENIED[label], rng)
        for label in REGIONS[region]
    ]
    return [(f"What can be seen in the {region}?", " ".join(told))]


def _yes_or_no(present: Sequence[str], absent: Sequence[str], rng: Generator) -> tuple[str, bool]:
    truth = bool(present) and rng.random() < 0.5
    return _pick(present if truth else absent, rng), truth


def _lettered(question: str, right: str, wrong: Sequence[str], rng: Generator) -> tuple[str, str]:
    """Return a question with its choices as (a), (b) ..., and the answer with its letter."""
    options = [_said(right), *map(_said, wrong)]
    order = [options[k] for k in rng.permutation(len(options))]
    listed = " ".join(f"({'abcd'[k]}) {option}" for k, option in enumerate(order))
    return f"{question} {listed}", f"({'abcd'[order.index(options[0])]}) {options[0]}"


def _said(label: str) -> str:
    return label.lower()


def _pick(options: Sequence[str], rng: Generator) -> str:
    return options[int(rng.integers(len(options)))]
