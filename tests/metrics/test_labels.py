"""Do P, R, F1 and CRG say what they claim, and what do they say where nothing can be said?"""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from tomovox.metrics import labels
from tomovox.metrics.labels import TRIVIAL_CRG, by_label, crg, label_counts, summed

NAMES = ("a", "b", "c", "d")
MACRO = {
    "precision": (labels.precision_macro, precision_score),
    "recall": (labels.recall_macro, recall_score),
    "f1": (labels.f1_macro, f1_score),
}
MICRO = {
    "precision": (labels.precision_micro, precision_score),
    "recall": (labels.recall_micro, recall_score),
    "f1": (labels.f1_micro, f1_score),
}


def rows_of(said: np.ndarray, wanted: np.ndarray) -> list[list[int]]:
    """Return the counts of records, given as rows of truth values by label."""
    named = [
        [{name for name, yes in zip(NAMES, row, strict=True) if yes} for row in rows]
        for rows in (said, wanted)
    ]
    return [label_counts(*pair, NAMES) for pair in zip(*named, strict=True)]


def counts_of(said: np.ndarray, wanted: np.ndarray) -> list[int]:
    """Return what the counts of all records add up to."""
    return [sum(column) for column in zip(*rows_of(said, wanted), strict=True)]


def sums_of(said: np.ndarray, wanted: np.ndarray) -> list[int]:
    """Return what the counts over all labels of all records add up to."""
    rows = map(summed, rows_of(said, wanted))
    return [sum(column) for column in zip(*rows, strict=True)]


def drawn(seed: int, records: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return labels said and wanted; every label is wanted once at least."""
    generator = np.random.default_rng(seed)
    said, wanted = generator.random((2, records, len(NAMES))) < 0.4
    wanted[0] = True
    return said, wanted


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", MACRO)
def test_macro_is_that_of_scikit_learn(name, seed):
    ours, theirs = MACRO[name]
    said, wanted = drawn(seed)
    expected = theirs(wanted, said, average="macro", zero_division=0)
    assert float(ours(counts_of(said, wanted))) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", MICRO)
def test_micro_is_that_of_scikit_learn(name, seed):
    ours, theirs = MICRO[name]
    said, wanted = drawn(seed)
    expected = theirs(wanted, said, average="micro", zero_division=0)
    assert float(ours(sums_of(said, wanted))) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_each_label_is_that_of_scikit_learn(name):
    said, wanted = drawn(7)
    expected = MACRO[name][1](wanted, said, average=None, zero_division=0)
    assert getattr(by_label(np.array(counts_of(said, wanted))), name) == pytest.approx(expected)


def test_a_perfect_labelling_has_a_crg_of_one():
    _, wanted = drawn(0)
    assert float(crg(sums_of(wanted, wanted))) == 1.0


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_nothing_named_and_everything_named_have_the_trivial_crg(seed, everything):
    _, wanted = drawn(seed)
    said = np.full_like(wanted, everything)
    assert float(crg(sums_of(said, wanted))) == pytest.approx(TRIVIAL_CRG)


def test_a_labelling_that_is_all_wrong_has_a_crg_of_a_fifth():
    _, wanted = drawn(3)
    assert float(crg(sums_of(~wanted, wanted))) == pytest.approx(0.2)


def test_crg_by_hand():
    # X 20, A 4: r = 2, U = 8; tp 3, fn 1, fp 2: s = 6 - 2 - 2 = 2; 8 / (16 - 2)
    assert float(crg([3, 2, 1, 20])) == pytest.approx(8 / 14)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=40))
def test_crg_rises_with_a_finding_found_and_falls_with_one_made_up(pairs):
    tp = sum(s and w for s, w in pairs)
    fp = sum(s and not w for s, w in pairs)
    fn = sum(w and not s for s, w in pairs)
    here = float(crg([tp, fp, fn, len(pairs)]))
    if fn and not math.isnan(here):
        assert float(crg([tp + 1, fp, fn - 1, len(pairs)])) > here
    if fp and not math.isnan(here):
        assert float(crg([tp, fp - 1, fn, len(pairs)])) > here


@pytest.mark.parametrize("counts", [[0, 3, 0, 8], [8, 0, 0, 8]])
def test_crg_is_not_defined_where_nothing_or_everything_is_there(counts):
    assert math.isnan(float(crg(counts)))


def test_a_label_that_no_reference_has_is_not_zero_but_nothing():
    found = by_label(np.array([1, 0, 0, 2, 0, 0]))  # the second is made up twice, and never there
    assert found.f1[0] == 1.0
    assert all(np.isnan(each[1]) for each in found)


def test_a_label_that_no_reference_has_is_left_out_of_the_mean():
    assert float(labels.f1_macro([1, 0, 0, 2, 0, 0])) == 1.0


def test_a_label_that_is_there_and_never_named_has_a_precision_of_zero():
    assert float(labels.precision_macro([1, 0, 0, 0, 0, 2])) == 0.5


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_without_any_finding_there_is_no_value(name):
    assert math.isnan(float(MACRO[name][0]([0, 0, 1, 1, 0, 0])))
    assert math.isnan(float(MICRO[name][0]([0, 2, 0, 2])))


@pytest.mark.parametrize("pool", [*(each for each, _ in MACRO.values())])
def test_rows_at_once_are_rows_one_by_one(pool):
    rows = np.random.default_rng(0).integers(0, 4, (30, 3 * len(NAMES)))
    assert pool(rows) == pytest.approx([float(pool(row)) for row in rows], nan_ok=True)


@pytest.mark.parametrize("pool", [*(each for each, _ in MICRO.values()), crg])
def test_rows_of_sums_at_once_are_rows_one_by_one(pool):
    rows = np.array(list(product(range(3), range(3), range(3), [7, 9])))
    assert pool(rows) == pytest.approx([float(pool(row)) for row in rows], nan_ok=True)
