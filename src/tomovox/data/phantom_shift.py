"""Where do the organs of an unusually built patient lie, so that nobody can guess it?

Every organ is moved by a draw of its own; parts of one organ (both kidneys) move together.
Letters: p parts of an organ, k draws; axes z y x as in the patient's cube.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from numpy.random import Generator

from tomovox.data.phantom_body import ORGANS, PARTS, SHELLS, Part, Point, point

DRAWS = 256
"""Moves that are drawn for an organ; the first that keeps it inside the body is taken."""

LONG = 0.4
"""A part of a larger radius (aorta, spine) runs through the cube and does not move along it."""

LEAST = 0.05
"""Shortest way, as a fraction of the side, that a report tells; the usual jitter is 0.015."""

NAMED = 4
"""Most organs whose way a report tells: those moved farthest."""

WAYS = (("upward", "downward"), ("forward", "backward"), ("rightward", "leftward"))
"""Axis -> the word for a move to smaller and to larger coordinates, as the patient sees it."""

USUAL = "All organs lie in their usual place."
PAIR_SENTENCES = (
    "The {} is shifted {} and the {} {}.",
    "The {} lies further {} than usual, the {} further {}.",
    "The {} has moved {}, and the {} {}.",
)
SINGLE_SENTENCES = (
    "The {} is shifted {}.",
    "The {} lies further {} than usual.",
    "The {} has moved {}.",
)


def shift_organs(parts: tuple[Part, ...], sd: float, rng: Generator) -> tuple[Part, ...]:
    """Return the parts with each organ moved by a normal of `sd` (fraction of the side) per axis.

    Moves that would take the organ out of the cube or further out of the body's cavity than it lay
    are drawn again: the normal is cut off there. An organ without room stays. Large organs come
    first, since later parts cover earlier ones and no organ may vanish.
    """
    walls = [part for part in parts if part.tissue in SHELLS]
    cavity = walls[-1]
    moved = []
    for organ in ORGANS:
        own = [part for part in parts if part.tissue == organ]
        moves = rng.normal(0.0, sd, (DRAWS, 3))
        if own[0].radius[0] > LONG:
            moves[:, 0] = 0.0
        fits = _inside(own, moves, cavity)
        move = moves[fits.argmax()] if fits.any() else np.zeros(3)
        moved += [replace(part, centre=point(part.centre + move)) for part in own]
    moved.sort(key=lambda part: np.prod(np.minimum(part.radius, 0.5)), reverse=True)
    return (*walls, *moved)


def _inside(
    own: Sequence[Part], moves: Float[np.ndarray, "k 3"], cavity: Part
) -> Bool[np.ndarray, "k"]:
    """Return which moves keep all parts of an organ in the cube and in the cavity."""
    fits = np.ones(len(moves), bool)
    for part in own:
        axes = slice(1, 3) if part.radius[0] > LONG else slice(0, 3)
        radius = np.array(part.radius)[axes]
        room = np.array(cavity.radius)[axes] - radius
        before = np.array(part.centre)[axes]
        after = before + moves[:, axes]
        # Some organs lie partly in the wall from the start: no further out is enough for them.
        reach = max(1.0, np.square((before - np.array(cavity.centre)[axes]) / room).sum())
        fits &= np.square((after - np.array(cavity.centre)[axes]) / room).sum(axis=1) <= reach
        edge = np.maximum(0.5 - radius, np.abs(before - 0.5))
        fits &= (np.abs(after - 0.5) <= edge).all(axis=1)
    return fits


def moved_by(parts: Sequence[Part]) -> dict[str, Point]:
    """Return how far the mean centre of each organ's parts lies from that of all patients."""
    return {
        organ: point(
            np.mean([part.centre for part in parts if part.tissue == organ], axis=0)
            - np.mean([centre for tissue, centre, _ in PARTS if tissue == organ], axis=0)
        )
        for organ in ORGANS
    }


def ways_of(parts: Sequence[Part]) -> dict[str, str]:
    """Return the organs that moved farthest along one axis, farthest first -> where to.

    At most `NAMED` organs are told, and none that moved less than `LEAST`.
    """
    farthest: dict[str, tuple[float, str]] = {}
    for organ, move in moved_by(parts).items():
        axis = int(np.argmax(np.abs(move)))
        farthest[organ] = (abs(move[axis]), WAYS[axis][move[axis] > 0])
    order = sorted(farthest, key=lambda organ: -farthest[organ][0])
    return {o: farthest[o][1] for o in order[:NAMED] if farthest[o][0] >= LEAST}


def place_sentences(ways: Mapping[str, str], rng: Generator) -> list[str]:
    """Return what a report says of moved organs: two in a sentence, in the order of `ways`."""
    told = list(ways.items())
    sentences = []
    for first in range(0, len(told), 2):
        pair = told[first : first + 2]
        frames = PAIR_SENTENCES if len(pair) == 2 else SINGLE_SENTENCES
        frame = frames[int(rng.integers(len(frames)))]
        sentences.append(frame.format(*(word for words in pair for word in words)))
    return sentences or [USUAL]
