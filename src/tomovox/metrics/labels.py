"""How far do the findings that an answer names agree with its reference's? P, R, F1 and CRG.

A finding counts as found (tp), made up (fp) or missed (fn). Counts of records are added before
anything is divided, so that many rows can be computed at once. Letters: l labels, r rows of counts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

TRIVIAL_CRG = 1 / 3
"""CRG of answers that name nothing, and of answers that name everything, whatever the data are."""


class Agreement(NamedTuple):
    """Precision, recall and F1, each an array of one shape; nan where there is nothing to find."""

    precision: Float[np.ndarray, "..."]
    recall: Float[np.ndarray, "..."]
    f1: Float[np.ndarray, "..."]


def label_counts(
    said: Collection[str], wanted: Collection[str], labels: Sequence[str]
) -> list[int]:
    """Return what one answer adds: tp of each label, then fp of each, then fn of each."""
    found = [int(label in said and label in wanted) for label in labels]
    made_up = [int(label in said and label not in wanted) for label in labels]
    missed = [int(label in wanted and label not in said) for label in labels]
    return found + made_up + missed


def summed(counts: Sequence[int]) -> list[int]:
    """Return tp, fp and fn over all labels of `label_counts`, and the number of labels."""
    labels = len(counts) // 3
    return [sum(counts[i * labels : (i + 1) * labels]) for i in range(3)] + [labels]


def agreement(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> Agreement:
    """Return precision, recall and F1 of counts of any one shape.

    All are nan where no reference has the finding: it cannot be found. Where references have it and
    no answer names it, precision is 0 as recall and F1 are, not undefined.
    """
    tp, fp, fn = (np.asarray(each, float) for each in (tp, fp, fn))
    there = tp + fn > 0
    precision = _ratio(tp, np.maximum(tp + fp, 1), there)
    return Agreement(precision, _ratio(tp, tp + fn, there), _ratio(2 * tp, 2 * tp + fp + fn, there))


def by_label(counts: ArrayLike) -> Agreement:
    """Return the agreement of each label, arrays (*r, l), of sums (*r, 3 l) of `label_counts`."""
    return agreement(*np.split(np.asarray(counts, float), 3, axis=-1))


def precision_macro(counts: ArrayLike) -> Float[np.ndarray, "*r"]:
    """Return the mean precision of the labels that some reference has; nan where none has one."""
    return _mean(by_label(counts).precision)


def recall_macro(counts: ArrayLike) -> Float[np.ndarray, "*r"]:
    """Return the mean recall of the labels that some reference has; nan where none has one."""
    return _mean(by_label(counts).recall)


def f1_macro(counts: ArrayLike) -> Float[np.ndarray, "*r"]:
    """Return the mean F1 of the labels that some reference has; nan where none has one.

    It is the mean of F1s, not the F1 of means.
    """
    return _mean(by_label(counts).f1)


def precision_micro(counts: ArrayLike) -> Float[np.ndarray, "*r"]:
    """Return the share of the named findings that are right, of rows of `summed`."""
    return _micro(counts).precision


def recall_micro(counts: ArrayLike) -> Float[np.ndarray, "*r"]:
    """Return the share of the findings of references that are named, of rows of `summed`."""
    return _micro(counts).recall


def f1_micro(counts: ArrayLike) -> Float[np.ndarray, "*r"]:
    """Return F1 over all labels together, of rows of `summed`."""
    return _micro(counts).f1


def crg(counts: ArrayLike) -> Float[np.ndarray, "*r"]:
    """Return the CRG score of rows of `summed`, whose last column is then labels times records X.

    With A findings in the references, r = (X - A) / 2A and U = (X - A) / 2, it is U / (2U - s),
    s = r tp - r fn - fp: a finding weighs as much more as it is rarer. 1 is perfect, 1/5 all wrong;
    nothing named and everything named are both 1/3. nan when A is 0 or X. Source: VLM3D challenge,
    report generation, evaluation code.
    """
    tp, fp, fn, x = np.moveaxis(np.asarray(counts, float), -1, 0)
    a = tp + fn
    defined = (a > 0) & (a < x)
    u = (x - a) / 2
    r = u / np.where(defined, a, 1)
    return _ratio(u, 2 * u - (r * tp - r * fn - fp), defined)


def _micro(counts: ArrayLike) -> Agreement:
    return agreement(*np.moveaxis(np.asarray(counts, float), -1, 0)[:3])


def _mean(values: Float[np.ndarray, "*r l"]) -> Float[np.ndarray, "*r"]:
    there = ~np.isnan(values)
    number = there.sum(axis=-1)
    return _ratio(np.where(there, values, 0.0).sum(axis=-1), number, number > 0)


def _ratio(above: ArrayLike, below: ArrayLike, defined: ArrayLike) -> np.ndarray:
    """Return above / below where `defined`, nan elsewhere; always an array, if of no dimension."""
    return np.where(defined, np.asarray(above) / np.where(defined, below, 1.0), np.nan)
