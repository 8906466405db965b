"""Are many comparisons corrected as the papers say?"""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from tomovox.statistics.multiplicity import benjamini_hochberg, holm

BOTH = pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
P = np.array([0.01, 0.04, 0.03, 0.005, 0.5])


def test_holm_multiplies_by_the_tests_that_are_left():
    # sorted 0.005 x5, 0.01 x4, 0.03 x3, 0.04 x2 = 0.08 but not below 0.09, 0.5 x1
    np.testing.assert_allclose(holm(P), [0.04, 0.09, 0.09, 0.025, 0.5])


def test_benjamini_hochberg_multiplies_by_all_tests_over_the_rank():
    # sorted 0.005 x5/1, 0.01 x5/2, 0.03 x5/3, 0.04 x5/4, 0.5 x5/5, none above a later one
    np.testing.assert_allclose(benjamini_hochberg(P), [0.025, 0.05, 0.05, 0.025, 0.5])


@pytest.mark.parametrize("seed", range(5))
def test_benjamini_hochberg_agrees_with_scipy(seed):
    p = np.random.default_rng(seed).random(30) ** 3
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))


@BOTH
@pytest.mark.parametrize("seed", range(5))
def test_adjusted_p_are_not_smaller_and_keep_their_order(adjust, seed):
    p = np.sort(np.random.default_rng(seed).random(20))
    adjusted = adjust(p)
    assert (adjusted >= p).all() and (np.diff(adjusted) >= 0).all() and adjusted.max() <= 1


@BOTH
def test_a_single_comparison_keeps_its_p(adjust):
    assert adjust(np.array([0.03])).tolist() == [0.03]


@BOTH
def test_what_was_not_tested_stays_nan_and_does_not_count(adjust):
    with_gaps = np.array([np.nan, *P[:2], np.nan, *P[2:]])
    np.testing.assert_array_equal(
        adjust(with_gaps), [np.nan, *adjust(P)[:2], np.nan, *adjust(P)[2:]]
    )


@BOTH
def test_no_comparison_needs_no_correction(adjust):
    assert adjust(np.zeros(0)).shape == (0,)


def test_holm_is_never_below_benjamini_hochberg():
    p = np.random.default_rng(0).random(50) ** 2
    assert (holm(p) >= benjamini_hochberg(p)).all()
