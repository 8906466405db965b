"""Is the divergence a divergence, and does a mean over pairs know that cases are in many?"""

from itertools import combinations

import numpy as np
import pytest

from tomovox.analysis.divergence import (
    SHIFTS,
    degrees,
    jensen_shannon,
    pair_mean,
    partners,
    record_means,
)
from tomovox.statistics.bootstrap import draws


def distributions(count, bins=6, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(bins), size=count)


def pairs_of(cases):
    return partners(["same"] * len(cases), np.array(cases), seed=0)


# ---- divergence ------------------------------------------------------------------------------


def test_a_distribution_does_not_diverge_from_itself():
    p = distributions(20)
    assert jensen_shannon(p, p).tolist() == [0] * 20


def test_distributions_that_share_nothing_diverge_by_one_bit():
    assert jensen_shannon(np.array([[0.5, 0.5, 0]]), np.array([[0, 0, 1.0]])) == [1]


def test_divergence_is_the_same_both_ways():
    p, q = distributions(20), distributions(20, seed=1)
    np.testing.assert_array_equal(jensen_shannon(p, q), jensen_shannon(q, p))


def test_divergence_is_that_of_scipy():
    from scipy.spatial.distance import jensenshannon

    p, q = distributions(20), distributions(20, seed=1)
    np.testing.assert_allclose(jensen_shannon(p, q), jensenshannon(p, q, 2, axis=1) ** 2)


# ---- partners --------------------------------------------------------------------------------


@pytest.mark.parametrize("records", [1, 2, 3, 7, 2 * SHIFTS, 2 * SHIFTS + 1])
def test_few_records_make_all_pairs_once(records):
    found = sorted(tuple(sorted(pair)) for pair in zip(*pairs_of(range(records)), strict=True))
    assert found == list(combinations(range(records), 2))


def test_many_records_have_equally_many_partners():
    left, right = pairs_of(range(100))
    assert degrees(left, right, 100).tolist() == [2 * SHIFTS] * 100


def test_partners_are_of_different_cases():
    left, right = pairs_of([0, 0, 0, 1])
    assert {frozenset(p) for p in zip(left, right, strict=True)} == {
        frozenset((a, 3)) for a in (0, 1, 2)
    }


def test_partners_have_one_key():
    left, right = partners(["a", "b", "a", "b"], np.arange(4), seed=0)
    assert {frozenset(p) for p in zip(left, right, strict=True)} == {
        frozenset((0, 2)),
        frozenset((1, 3)),
    }


# ---- means over pairs ------------------------------------------------------------------------


def test_a_mean_over_records_is_that_of_their_means_over_pairs():
    case_index = np.array([0, 0, 1, 2, 2, 3])
    left, right = partners(["a", "a", "a", "a", "b", "b"], case_index, seed=0)
    values = np.random.default_rng(0).random(len(left))
    means = record_means(values, left, right, 6)
    assert pair_mean(values, left, right, case_index, 4).point() == pytest.approx(means.mean())


def test_a_record_without_a_pair_has_no_mean():
    assert np.isnan(record_means(np.zeros(0), *pairs_of([0]), 1)).all()


def test_a_draw_of_every_case_once_is_the_mean_itself():
    left, right = pairs_of(range(9))
    metric = pair_mean(np.random.default_rng(0).random(len(left)), left, right, np.arange(9), 9)
    assert metric.replicates(np.ones((1, 9), dtype=int)) == pytest.approx(metric.point())


def test_a_draw_of_one_case_has_no_pair():
    left, right = pairs_of(range(3))
    metric = pair_mean(np.ones(len(left)), left, right, np.arange(3), 3)
    assert np.isnan(metric.replicates(np.array([[3, 0, 0]]))).all()


def test_the_interval_of_pairs_is_as_wide_as_new_cases_make_the_mean():
    """Pairs |a - b| of 40 normal numbers: their mean varies as it does over many such samples."""
    left, right = pairs_of(range(40))

    def metric_of(seed):
        x = np.random.default_rng(seed).normal(size=40)
        return pair_mean(np.abs(x[left] - x[right]), left, right, np.arange(40), 40)

    true = np.std([metric_of(seed).point() for seed in range(400)])
    found = np.mean([metric_of(s).replicates(draws(40, 300, 0)).std() for s in range(20)])
    assert found == pytest.approx(true, rel=0.2)
