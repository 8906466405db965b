"""Does a common grid of depth keep mass and place?"""

import numpy as np
import pytest
from made_attended import attended

from tomovox.analysis.attended import stacks
from tomovox.analysis.depth import on_grid, overlap, positions


@pytest.mark.parametrize("slices", [1, 7, 30, 32, 33, 100])
def test_no_mass_is_lost(slices):
    np.testing.assert_allclose(overlap(slices, 32).sum(axis=1), 1)


@pytest.mark.parametrize("slices", [1, 7, 30])
def test_equal_numbers_change_nothing(slices):
    np.testing.assert_array_equal(overlap(slices, slices), np.eye(slices))


@pytest.mark.parametrize("slices", [1, 7, 30, 100])
def test_uniform_stays_uniform(slices):
    uniform = np.full(slices, 1 / slices)
    np.testing.assert_allclose(uniform @ overlap(slices, 32), 1 / 32)


def test_two_slices_share_the_bin_between_them():
    np.testing.assert_allclose(overlap(2, 3), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])


def test_first_slice_is_0_and_last_is_1():
    assert positions(5).tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_a_single_slice_lies_in_the_middle():
    assert positions(1).tolist() == [0.5]


def test_one_grid_holds_volumes_of_different_sizes():
    records = [attended(0, scores=(1, 0)), attended(1, scores=(1, 0, 0, 0))]
    grid = on_grid(stacks(records), bins=4)
    np.testing.assert_allclose(grid, [[0.5, 0.5, 0, 0], [1, 0, 0, 0]])
