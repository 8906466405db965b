"""Is a metric of drawn cases what one gets by drawing the cases one by one?"""

from statistics import fmean, median

import numpy as np
import pytest
from clustered_records import CASES, METRICS, metric_of, records

from tomovox.statistics import clusters
from tomovox.statistics.bootstrap import draws
from tomovox.statistics.clusters import Rank, index_of, macro_of, pooled

ONE_BY_ONE = {
    "mean": lambda values, kinds: fmean(values),
    "macro": lambda values, kinds: fmean(
        fmean(v for v, k in zip(values, kinds, strict=True) if k == kind) for kind in set(kinds)
    ),
    "median": lambda values, kinds: median(values),
}


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("seed", range(5))
def test_a_replicate_is_the_metric_of_the_records_of_the_drawn_cases(kind, seed):
    values, case_index = records(seed)
    weights = draws(CASES, 20, seed)
    expected = []
    for row in weights:
        drawn = np.concatenate([np.where(case_index == c)[0] for c in np.repeat(range(CASES), row)])
        expected.append(ONE_BY_ONE[kind](values[drawn].tolist(), [i % 3 for i in drawn]))
    found = metric_of(kind, values, case_index).replicates(weights)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", METRICS)
def test_every_case_once_gives_the_point(kind):
    metric = metric_of(kind, *records(0))
    once = metric.replicates(np.ones((1, CASES), dtype=int))
    assert once[0] == pytest.approx(metric.point(), rel=1e-12)


@pytest.mark.parametrize("kind", ["mean", "median"])
def test_the_order_of_records_changes_no_bit(kind):
    values, case_index = records(0)
    weights, order = draws(CASES, 50, 0), np.random.default_rng(1).permutation(len(values))
    one = metric_of(kind, values, case_index)
    other = metric_of(kind, values[order], case_index[order])
    np.testing.assert_array_equal(one.replicates(weights), other.replicates(weights))


@pytest.mark.parametrize("kind", METRICS)
def test_small_blocks_change_nothing(kind, monkeypatch):
    metric, weights = metric_of(kind, *records(0)), draws(CASES, 7, 0)
    whole = metric.replicates(weights)
    monkeypatch.setattr(clusters, "CELLS", 2 * CASES)
    np.testing.assert_allclose(metric.replicates(weights), whole, rtol=1e-12)


@pytest.mark.parametrize("kind", METRICS)
def test_a_draw_without_records_has_no_value(kind):
    values, case_index = records(0)
    metric = metric_of(kind, values, np.minimum(case_index, CASES - 2))
    only_the_bare_case = np.zeros((3, CASES), dtype=int)
    only_the_bare_case[:2, 0] = 1
    only_the_bare_case[2, -1] = CASES
    np.testing.assert_array_equal(
        np.isnan(metric.replicates(only_the_bare_case)), [False, False, True]
    )


@pytest.mark.parametrize("kind", METRICS)
def test_no_records_at_all_have_no_value(kind):
    metric = metric_of(kind, np.zeros(0), np.zeros(0, dtype=int))
    assert np.isnan([metric.point(), *metric.replicates(draws(CASES, 3, 0))]).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_weighted_median_is_the_median_of_the_written_out_list(seed):
    generator = np.random.default_rng(seed)
    n = int(generator.integers(1, 9))
    values = generator.integers(4, size=n).astype(float)
    weights = generator.integers(4, size=(30, n))
    weights[:, 0] += weights.sum(axis=1) == 0
    found = Rank(values, np.arange(n), n).replicates(weights)
    assert found.tolist() == [median(np.repeat(values, row).tolist()) for row in weights]


def test_a_question_type_weighs_the_same_however_many_records_it_has():
    values, kinds = np.array([1.0, 1.0, 1.0, 0.0]), np.array([0, 0, 0, 1])
    assert macro_of(values, np.arange(4), kinds, 4, kinds=2).point() == 0.5


def test_a_question_type_that_was_not_drawn_is_left_out():
    values, kinds = np.array([1.0, 0.0]), np.array([0, 1])
    metric = macro_of(values, np.arange(2), kinds, 2, kinds=2)
    assert metric.replicates(np.array([[2, 0]])).tolist() == [1.0]


def test_counts_are_added_up_before_the_metric_is_made_of_them():
    counts = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 4.0]])
    metric = pooled(counts, np.array([0, 0, 1]), 2, lambda sums: sums[:, 0] / sums[:, 1])
    assert [metric.point(), *metric.replicates(np.array([[0, 2]]))] == [0.4, 0.0]


@pytest.mark.parametrize("kind", METRICS)
def test_swapped_cases_are_those_of_records_that_changed_places(kind):
    values, case_index = records(0)
    other = values + np.random.default_rng(1).normal(size=len(values))
    swaps = np.random.default_rng(2).random((20, CASES)) < 0.5
    a, b = metric_of(kind, values, case_index), metric_of(kind, other, case_index)
    for swap, *found in zip(swaps, *a.swapped(b, swaps), strict=True):
        moved = swap[case_index]
        sides = np.where(moved, other, values), np.where(moved, values, other)
        wanted = [metric_of(kind, side, case_index).point() for side in sides]
        assert found == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_cases_have_the_places_of_their_sorted_names():
    index, names = index_of(["b", "a", "b", "c"])
    assert (index.tolist(), names) == ([1, 0, 1, 2], ["a", "b", "c"])
