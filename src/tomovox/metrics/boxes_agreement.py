"""Does an answer put its box where the object is, and does it refuse where there is none?

A record whose reference writes no box is a negative: the object is not in the image. Protocol m3d
gives it -1 whatever the answer; here it is left out of all overlaps and has a rate of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tomovox.boxes import Box, box_in_text, enclosing_iou, iou
from tomovox.metrics.metric import Rows

MISSING_M3D = -1.0
"""The overlap that M3D-Bench writes where answer or reference has no box."""


@dataclass(frozen=True)
class BoxAnswer:
    """The first box of an answer and that of its reference; None where the text writes none."""

    said: Box | None
    wanted: Box | None


def box_answers(rows: Rows) -> list[BoxAnswer]:
    """Return the boxes of each record."""
    return [BoxAnswer(box_in_text(row.text), box_in_text(row.reference)) for row in rows]


def overlap_m3d(answer: BoxAnswer) -> float:
    """Return the published "IoU": intersection over the box around both, -1 without two boxes.

    The mean over all records, the -1 included, is what a reader of the published csv computes.
    """
    if answer.said is None or answer.wanted is None:
        return MISSING_M3D
    return enclosing_iou(answer.said, answer.wanted)


def overlap(answer: BoxAnswer) -> float | None:
    """Return intersection over union; 0 without a box in the answer, None for a negative.

    A box of one slice has no volume, since both its indices lie inside: it scores 1 where the two
    boxes are equal, else 0.
    """
    if answer.wanted is None:
        return None
    if answer.said is None:
        return 0.0
    return 1.0 if answer.said == answer.wanted else iou(answer.said, answer.wanted)


def overlaps_by(threshold: float) -> Callable[[BoxAnswer], float | None]:
    """Return what tells 1.0 where the overlap reaches the threshold; None for a negative."""

    def reached(answer: BoxAnswer) -> float | None:
        value = overlap(answer)
        return None if value is None else float(value >= threshold)

    return reached


def parsed(answer: BoxAnswer) -> float | None:
    """Return 1.0 where the answer writes a box; None for a negative."""
    return None if answer.wanted is None else float(answer.said is not None)


def refused(answer: BoxAnswer) -> float | None:
    """Return 1.0 where a negative is answered without a box; None where there is an object."""
    return None if answer.wanted is not None else float(answer.said is None)
