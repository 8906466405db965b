"""Is a share of a way that of its three values, and none where there is no way?"""

import numpy as np
import pytest
from clustered_records import CASES, METRICS, metric_of, records

from tomovox.statistics.bootstrap import draws
from tomovox.statistics.way import way_between

WEIGHTS = draws(CASES, 300, 0)


def at(kind: str, height: float):
    """Return a metric whose records all lie `height` above those of the floor."""
    values, case_index = records(0)
    return metric_of(kind, values + height, case_index)


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0, 1.5])
def test_a_value_part_of_the_way_up_is_there_in_every_draw(kind, share):
    found = way_between(at(kind, 0), at(kind, 2), at(kind, 2 * share), WEIGHTS, 0.01)
    assert found == pytest.approx((share, share, share))


@pytest.mark.parametrize("height", [0.0, 0.005, -1.0])
def test_without_a_way_there_is_no_share(height):
    assert way_between(at("mean", 0), at("mean", height), at("mean", 1), WEIGHTS, 0.01) is None


def test_a_ceiling_without_a_value_is_no_way():
    nothing = metric_of("mean", np.zeros(0), np.zeros(0, int))
    assert way_between(at("mean", 0), nothing, at("mean", 1), WEIGHTS, 0.01) is None
