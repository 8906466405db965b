"""Are the chance of the cases and the chance of the seed kept apart?"""

from statistics import StatisticsError

import pytest

from tomovox.statistics.seeds import spread


def test_the_variances_of_the_seeds_are_averaged():
    assert spread([0.5, 0.5], [1.0, 7.0]).sample_sd == 5.0


def test_the_variance_between_seeds_divides_by_one_less_than_their_number():
    assert spread([1.0, 2.0, 3.0], [9.0, 9.0, 9.0]).seed_sd == 1.0


def test_one_seed_tells_nothing_of_other_seeds():
    with pytest.raises(StatisticsError):
        spread([0.5], [0.1])


def test_the_order_of_seeds_does_not_matter():
    assert spread([0.1, 0.4, 0.3], [0.1, 0.2, 0.3]) == spread([0.3, 0.1, 0.4], [0.3, 0.1, 0.2])
