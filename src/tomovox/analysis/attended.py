"""Where did a model look when it answered? The vocabulary of this room, and its arrays.

A baseline is such an array too, so that model and baseline pass through one function.
Letters: m records, r records of one number of slices, n slices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from tomovox.schema import TomovoxError

SLICE = "slice"
"""Scope of evidence that lies on some slices and not on others."""

ROUNDED = 1e-3
"""How far from 1 scores may sum: predictions keep six digits of each."""


@dataclass(frozen=True, slots=True)
class Attended:
    """Where a model looked when it answered one record, and what is known of the record.

    `case` is the patient study, the unit of statistics. `scores` has one weight a slice (n), first
    slice first, before dropout; they sum to 1. `evidence` are the slices that hold the answer, ()
    where unknown; `scope` is "slice" where it is local, "volume" where it is anywhere, "" unknown.
    `plane` and `phase` are "" where unknown. TomovoxError for scores or evidence that cannot be.
    """

    id: str
    case: str
    volume: str
    task: str
    question_type: str
    question: str
    plane: str
    phase: str
    scores: tuple[float, ...]
    evidence: tuple[int, ...] = ()
    scope: str = ""

    def __post_init__(self) -> None:
        count, total = len(self.scores), fsum(self.scores)
        # Written so that a score that is nan fails too.
        if not (abs(total - 1) <= ROUNDED and all(score >= 0 for score in self.scores)):
            raise TomovoxError(
                f"record {self.id}: its {count} slice scores sum to {total:.6g}, not to 1 with "
                f"none below 0; predict again with a model that scores slices"
            )
        strange = [place for place in self.evidence if not 0 <= place < count]
        if strange:
            raise TomovoxError(
                f"record {self.id}: evidence on slice {strange[0]}, but the model scored {count} "
                f"slices, 0 to {count - 1}; give the evidence of the volume that it was shown"
            )

    @property
    def located(self) -> bool:
        """Whether there is something to find: the evidence lies on some slices, not on all."""
        return self.scope == SLICE and 0 < len(set(self.evidence)) < len(self.scores)


class Stack(NamedTuple):
    """The records of one number of slices: their places, scores and where the evidence is."""

    places: Int[np.ndarray, "r"]
    scores: Float[np.ndarray, "r n"]
    evidence: Bool[np.ndarray, "r n"]


def in_order(records: Iterable[Attended]) -> list[Attended]:
    """Return records by id, so that no number depends on their order; an id twice is an error."""
    ordered = sorted(records, key=lambda record: record.id)
    for before, record in pairwise(ordered):
        if before.id == record.id:
            raise TomovoxError(f"id {record.id} stands among the records twice; give one run")
    return ordered


def stacks(records: Sequence[Attended]) -> list[Stack]:
    """Return the records by number of slices; each row of scores is divided by its sum."""
    places: dict[int, list[int]] = {}
    for place, record in enumerate(records):
        places.setdefault(len(record.scores), []).append(place)
    found = []
    for count, mine in sorted(places.items()):
        scores = np.array([records[place].scores for place in mine], dtype=float)
        evidence = np.zeros((len(mine), count), dtype=bool)
        for row, place in enumerate(mine):
            evidence[row, list(records[place].evidence)] = True
        found.append(Stack(np.array(mine, dtype=np.intp), shares(scores), evidence))
    return found


def shares(rows: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r n"]:
    """Return each row divided by its sum; a row that is all one value becomes exactly 1/n."""
    # The highest first: a sum of equal values is rounded, a sum of ones is not.
    scaled = rows / rows.max(axis=1, keepdims=True)
    return scaled / scaled.sum(axis=1, keepdims=True)


def measured(
    found: Sequence[Stack], measure: Callable[[Stack], Float[np.ndarray, "r"]]
) -> Float[np.ndarray, "m"]:
    """Return one number a record, in the order of the records that were stacked."""
    values = np.empty(sum(len(stack.places) for stack in found))
    for stack in found:
        values[stack.places] = measure(stack)
    return values
