"""How does a metric make one number of what records contribute?"""

from statistics import median

import pytest

from tomovox.metrics.metric import Metric
from tomovox.schema import Prediction, Task


def metric(**options) -> Metric:
    return Metric("m", "m3d", (Task.REC,), "avg:x", "tomovox", lambda rows: list(rows), **options)


def test_numbers_are_averaged():
    assert metric().over([1.0, 2.0, 6.0]) == 3.0


def test_what_does_not_count_is_left_out_of_the_mean():
    assert metric().over([1.0, None, 2.0]) == 1.5


def test_a_pool_is_given_the_numbers():
    assert metric(pool=median).over([1.0, None, 2.0, 9.0]) == 2.0


def test_a_pool_is_given_the_sums_of_counts():
    assert metric(pool=lambda sums: sums[0] / sums[1]).over([[1, 2], None, [2, 4]]) == 0.5


@pytest.mark.parametrize("contributions", [[], [None, None]])
def test_nothing_that_counts_gives_no_value(contributions):
    assert metric().over(contributions) is None


def test_a_contribution_is_the_part_of_a_measurement():
    row = Prediction("r", Task.REC, "c", "q", "reference", "said")
    assert metric(part=lambda each: len(each.text)).contributions([row]) == [4]


def test_a_signature_names_a_package_that_is_not_installed():
    absent = Metric("m", "m3d", (Task.REC,), lambda: "avg:x", "no-such-package", list)
    assert absent.signature() == "m|avg:x|lib:no-such-package-absent|protocol:m3d|v:1"
