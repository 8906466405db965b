"""Do the numbers of a distribution have their known values, and is flat exactly flat?"""

import numpy as np
import pytest
from made_attended import attended, noisy_run, one, uniform_run

from tomovox.analysis.distribution import (
    DISTRIBUTION,
    centre,
    distribution_rows,
    effective_slices,
    entropy,
    spread,
    top_mass,
)

SHARP, FLAT = np.array([[0.0, 0.0, 1.0, 0.0, 0.0]]), np.full((1, 5), 0.2)


def test_all_mass_on_one_slice_has_no_entropy():
    assert entropy(SHARP) == [0]


def test_uniform_has_the_entropy_log_n():
    assert entropy(FLAT) == pytest.approx(np.log(5))


@pytest.mark.parametrize("slices", [1, 2, 4])
def test_uniform_over_some_slices_has_as_many_effective_ones(slices):
    scores = np.zeros((1, 6))
    scores[:, :slices] = 1 / slices
    assert effective_slices(scores) == pytest.approx(slices)


@pytest.mark.parametrize(("place", "depth"), [(0, 0), (1, 0.25), (4, 1)])
def test_the_centre_of_one_slice_is_its_depth(place, depth):
    assert centre(np.eye(5)[[place]]) == depth


def test_one_slice_has_no_spread():
    assert spread(SHARP) == [0]


def test_two_halves_at_the_ends_spread_by_half_the_depth():
    assert spread(np.array([[0.5, 0, 0, 0.5]])) == [0.5]


@pytest.mark.parametrize(("k", "mass"), [(1, 0.5), (2, 0.8), (3, 1), (9, 1)])
def test_top_mass_is_the_sum_of_the_highest(k, mass):
    assert top_mass(np.array([[0.2, 0.5, 0.3]]), k) == pytest.approx(mass)


@pytest.mark.parametrize("statistic", DISTRIBUTION)
@pytest.mark.parametrize("slices", [7, 8, 30])
def test_a_uniform_scorer_equals_the_baseline_exactly(statistic, slices):
    row = one(distribution_rows(uniform_run(slices=slices)), statistic)
    assert (row.value, row.difference) == (row.baseline, 0)


@pytest.mark.parametrize("statistic", DISTRIBUTION)
def test_the_order_of_the_records_changes_nothing(statistic):
    records = noisy_run()
    there, back = (distribution_rows(run) for run in (records, records[::-1]))
    # As text, since nan is not nan.
    assert str(one(there, statistic)) == str(one(back, statistic))


def test_a_sharp_scorer_is_below_uniform_in_entropy():
    assert one(distribution_rows(noisy_run(own_noise=3)), "entropy").difference_hi < 0


@pytest.mark.parametrize("statistic", DISTRIBUTION)
def test_only_what_may_lie_on_either_side_of_uniform_is_tested(statistic):
    row = one(distribution_rows(noisy_run()), statistic)
    assert np.isfinite(row.p) == (statistic in ("centre", "spread"))


def test_volumes_of_different_sizes_are_compared_each_with_its_own_uniform():
    records = [attended(case, scores=np.full(4 + case, 1 / (4 + case))) for case in range(3)]
    row = one(distribution_rows(records), "effective_slices")
    assert row.value == pytest.approx(5) and row.difference == 0
