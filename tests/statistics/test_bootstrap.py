"""Does an interval hold what it should, as often as it says?"""

import numpy as np
import pytest
from clustered_records import CASES, METRICS, answers, metric_of, records, rivals, sizes_of

from tomovox.metrics.bleu import bleu_of_rows
from tomovox.statistics import clusters
from tomovox.statistics.bootstrap import draws, interval, shared_draws, standard_error
from tomovox.statistics.clusters import Rank, macro_of, mean_of, pooled
from tomovox.statistics.paired import difference


def test_every_draw_has_as_many_cases_as_there_are():
    assert (draws(7, 100, 0).sum(axis=1) == 7).all()


def test_every_case_is_drawn_once_on_average():
    np.testing.assert_allclose(draws(5, 20_000, 0).mean(axis=0), 1, atol=0.03)


def test_the_number_of_times_a_case_is_drawn_has_the_variance_of_the_multinomial():
    np.testing.assert_allclose(draws(5, 20_000, 0).var(axis=0), 1 - 1 / 5, atol=0.05)


def test_draws_are_told_by_their_seed():
    assert (draws(9, 20, 3) == draws(9, 20, 3)).all()


def test_another_seed_draws_other_cases():
    assert (draws(9, 20, 3) != draws(9, 20, 4)).any()


def test_draws_do_not_depend_on_the_memory_they_are_made_in(monkeypatch):
    whole = draws(9, 20, 3)
    monkeypatch.setattr(clusters, "CELLS", 30)
    np.testing.assert_array_equal(draws(9, 20, 3), whole)


def test_more_cases_than_a_short_integer_counts_can_be_drawn():
    assert draws(40_000, 1, 0).sum() == 40_000


def test_an_interval_leaves_out_its_tails():
    assert interval(np.arange(101.0), level=0.9) == pytest.approx((5.0, 95.0))


def test_an_interval_does_not_count_nan():
    assert interval(np.array([np.nan, 1.0, 2.0, np.nan]), level=1.0) == (1.0, 2.0)


def test_nothing_to_count_has_no_interval():
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_a_standard_error_does_not_count_nan():
    assert standard_error(np.array([1.0, np.nan, 3.0])) == pytest.approx(2**0.5)


def test_one_replicate_has_no_standard_error():
    assert np.isnan(standard_error(np.array([1.0, np.nan])))


@pytest.mark.parametrize("kind", METRICS)
def test_more_noise_makes_a_wider_interval(kind):
    weights = draws(CASES, 500, 0)
    few, much = (
        interval(metric_of(kind, *records(1, noise)).replicates(weights)) for noise in (1.0, 2.0)
    )
    assert much[1] - much[0] == pytest.approx(2 * (few[1] - few[0]))


@pytest.mark.parametrize("kind", METRICS)
def test_the_interval_of_symmetric_values_holds_the_point(kind):
    values, case_index = records(2)
    both = np.concatenate([values, -values, [0.0, 0.0]])
    metric = metric_of(kind, both, np.concatenate([case_index, case_index, [0, 1]]))
    low, high = interval(metric.replicates(draws(CASES, 500, 0)))
    assert low <= metric.point() <= high


def test_the_standard_error_is_that_of_clustered_records():
    """The sandwich formula of Miller, arXiv 2411.00640: residuals are added up by case."""
    generator = np.random.default_rng(0)
    case_index = sizes_of(generator, 400)
    values = answers(generator, case_index)
    residuals = np.bincount(case_index, values - values.mean())
    expected = np.sqrt((residuals**2).sum()) / len(values)
    found = standard_error(mean_of(values, case_index, 400).replicates(draws(400, 4000, 0)))
    assert found == pytest.approx(expected, rel=0.05)


def coverage(studies: int, by_case: bool) -> float:
    """Return how many 95 % intervals hold the true mean; 100 cases of 1 to 10 questions each."""
    generator, held = np.random.default_rng(0), 0
    records_of = [sizes_of(generator, 100) for _ in range(studies)]
    shared = draws(100, 1000, 1)
    for study, case_index in enumerate(records_of):
        values = answers(generator, case_index)
        units = case_index if by_case else np.arange(len(values))
        weights = shared if by_case else draws(len(values), 400, study)
        low, high = interval(mean_of(values, units, weights.shape[1]).replicates(weights))
        held += low <= 0.5 <= high
    return held / studies


def test_intervals_by_case_hold_the_truth_as_often_as_they_say():
    assert 0.93 <= coverage(2000, by_case=True) <= 0.97


def of_many(kind: str, values: np.ndarray, case_index: np.ndarray):
    """Return a metric over 100 cases; for BLEU a record has nine n-grams, and hits by its value."""
    if kind == "mean":
        return mean_of(values, case_index, 100)
    if kind == "macro":
        return macro_of(values, case_index, np.arange(len(values)) % 3, 100, kinds=3)
    if kind == "median":
        return Rank(values, case_index, 100)
    rows = np.zeros((len(values), 10))
    rows[:, :4], rows[:, 4:8], rows[:, 8:] = 8 * values[:, None] + 1, 9, 9
    return pooled(rows, case_index, 100, bleu_of_rows)


@pytest.mark.parametrize("kind", ["macro", "median", "bleu"])
def test_intervals_of_other_metrics_hold_the_truth_as_often_as_they_say(kind):
    """Right or wrong half of the time; a median needs values that are not two."""
    generator, shared, held = np.random.default_rng(0), draws(100, 400, 1), 0
    truth = {"macro": 0.5, "median": 0.0, "bleu": 5 / 9}[kind]
    for _ in range(500):
        case_index = sizes_of(generator, 100)
        values = answers(generator, case_index)
        if kind == "median":
            values = rivals(generator, case_index)[0]
        low, high = interval(of_many(kind, values, case_index).replicates(shared))
        held += low <= truth <= high
    assert 0.92 <= held / 500 <= 0.98


def test_intervals_of_a_difference_hold_the_truth_as_often_as_they_say():
    generator, shared, held = np.random.default_rng(0), draws(100, 400, 1), 0
    for _ in range(1000):
        case_index = sizes_of(generator, 100)
        a, b = (mean_of(each, case_index, 100) for each in rivals(generator, case_index))
        found = difference(a, b, shared)
        held += found.lo <= 0 <= found.hi
    assert 0.93 <= held / 1000 <= 0.97


def test_shared_draws_are_the_draws_and_cannot_be_written_to():
    found = shared_draws(7, 50, 3)
    np.testing.assert_array_equal(found, draws(7, 50, 3))
    assert found is shared_draws(7, 50, 3) and not found.flags.writeable


def test_intervals_by_record_would_promise_too_much():
    assert coverage(200, by_case=False) < 0.80
