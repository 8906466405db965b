"""Is the smallest difference that can be seen the one of the textbook?"""

import pytest

from tomovox.statistics.power import detectable


def test_eighty_percent_power_at_five_percent_needs_2_8_standard_errors():
    assert detectable(1.0) == pytest.approx(1.959964 + 0.841621, abs=1e-6)


def test_half_power_needs_the_threshold_itself():
    assert detectable(2.0, power=0.5) == pytest.approx(2 * 1.959964, abs=1e-5)


def test_a_stricter_level_needs_a_larger_difference():
    assert detectable(1.0, level=0.005) > detectable(1.0)


def test_four_times_the_cases_halve_the_difference():
    assert detectable(0.5) == pytest.approx(detectable(1.0) / 2)
