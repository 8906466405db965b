"""Does a comparison see a difference, and only where there is one?"""

from itertools import product

import numpy as np
import pytest
from clustered_records import CASES, METRICS, metric_of, records, rivals, sizes_of

from tomovox.metrics.bleu import bleu_of_rows
from tomovox.statistics import clusters
from tomovox.statistics.bootstrap import draws
from tomovox.statistics.clusters import mean_of, pooled
from tomovox.statistics.multiplicity import holm
from tomovox.statistics.paired import difference, permutation_p, shared_swaps
from tomovox.statistics.power import detectable


def pair(kind: str, gap: float = 0.0):
    """Return a metric of two runs whose records differ by noise, and by `gap`."""
    values, case_index = records(0)
    other = values + np.random.default_rng(9).normal(size=len(values)) - gap
    return metric_of(kind, values, case_index), metric_of(kind, other, case_index)


@pytest.mark.parametrize("kind", METRICS)
def test_equal_runs_do_not_differ(kind):
    a, same = metric_of(kind, *records(0)), metric_of(kind, *records(0))
    assert difference(a, same, draws(CASES, 200, 0)) == (0, 0, 0, 0)


@pytest.mark.parametrize("kind", METRICS)
def test_equal_runs_have_p_1(kind):
    assert permutation_p(metric_of(kind, *records(0)), metric_of(kind, *records(0)), 200, 0) == 1


@pytest.mark.parametrize("kind", METRICS)
def test_a_difference_is_that_of_the_points(kind):
    a, b = pair(kind)
    assert difference(a, b, draws(CASES, 200, 0)).point == a.point() - b.point()


def test_runs_that_differ_by_the_same_everywhere_have_no_doubt_about_it():
    values, case_index = records(0)
    a, b = (mean_of(each, case_index, CASES) for each in (values + 1, values))
    assert difference(a, b, draws(CASES, 200, 0)) == pytest.approx((1, 1, 1, 0))


@pytest.mark.parametrize("kind", METRICS)
def test_the_order_of_the_runs_does_not_change_p(kind):
    a, b = pair(kind)
    assert permutation_p(a, b, 500, 0) == permutation_p(b, a, 500, 0)


@pytest.mark.parametrize("kind", METRICS)
def test_p_is_the_share_of_all_swaps_of_cases(kind):
    values, case_index = records(0)
    other = values + np.random.default_rng(9).normal(size=len(values)) - 0.2
    reached, observed = 0, 0.0
    for swap in product([False, True], repeat=CASES):
        swapped = np.array(swap)[case_index]
        first = metric_of(kind, np.where(swapped, other, values), case_index).point()
        second = metric_of(kind, np.where(swapped, values, other), case_index).point()
        observed = observed or abs(first - second)
        reached += abs(first - second) >= observed - 1e-9
    a, b = metric_of(kind, values, case_index), metric_of(kind, other, case_index)
    assert permutation_p(a, b, 20_000, 0) == pytest.approx(reached / 2**CASES, abs=0.015)


def test_p_is_never_zero():
    a, b = pair("mean", gap=100.0)
    assert permutation_p(a, b, 99, 0) >= 1 / 100


def test_a_larger_difference_has_a_smaller_p():
    near, far = (permutation_p(*pair("mean", gap), 2000, 0) for gap in (0.1, 1.0))
    assert far < near


def test_swaps_do_not_depend_on_the_memory_they_are_made_in(monkeypatch):
    whole = shared_swaps.__wrapped__(9, 500, 0)
    monkeypatch.setattr(clusters, "CELLS", 100)
    assert (shared_swaps.__wrapped__(9, 500, 0) == whole).all()


def test_p_does_not_depend_on_the_memory_it_is_made_in(monkeypatch):
    a, b = pair("mean", gap=0.3)
    whole = permutation_p(a, b, 500, 0)
    monkeypatch.setattr(clusters, "CELLS", 100)
    assert permutation_p(a, b, 500, 0) == whole


@pytest.mark.parametrize("kind", [*METRICS, "bleu"])
@pytest.mark.parametrize("seed", range(4))
def test_p_is_that_of_records_that_change_places_swap_by_swap(kind, seed):
    """The plain way, with answers of which many are alike, so that many swaps tie."""
    values, cases = records(seed)
    other = values + np.random.default_rng(seed).integers(-1, 2, size=len(values)) * 0.1
    if kind == "bleu":
        values, other = (np.abs(np.stack([v, v, v, v + 1], 1) * 9).round() for v in (values, other))

    def made(of):
        bleu = kind == "bleu"
        return pooled(of, cases, CASES, bleu_of_rows) if bleu else metric_of(kind, of, cases)

    a, b = made(values), made(other)
    least = abs(a.point() - b.point()) - 1e-9 * max(abs(a.point()), abs(b.point()))
    extreme = 0
    for swap in np.random.default_rng(seed).random((300, CASES)) < 0.5:
        moved = swap[cases].reshape(-1, *[1] * (values.ndim - 1))
        sides = np.where(moved, other, values), np.where(moved, values, other)
        first, second = (made(side).point() for side in sides)
        extreme += abs(first - second) >= least
    assert permutation_p(a, b, 300, seed) == (1 + extreme) / 301


@pytest.mark.parametrize("seed", range(4))
def test_p_does_not_depend_on_how_sums_are_rounded(seed):
    """Tenths are rounded and whole numbers are not; many swaps differ just as much as the runs."""
    scores = np.random.default_rng(seed).integers(4, size=(2, CASES)).astype(float)
    whole, tenths = (
        permutation_p(*(mean_of(run, np.arange(CASES), CASES) for run in both), 1000, 0)
        for both in (scores, scores * 0.1)
    )
    assert tenths == whole


def test_a_run_without_a_value_has_no_p():
    a, nothing = metric_of("mean", *records(0)), metric_of("mean", np.zeros(0), np.zeros(0, int))
    assert np.isnan(permutation_p(a, nothing, 50, 0))


def p_of_studies(comparisons: int, cases: int, gap: float) -> np.ndarray:
    """Return p of comparisons that are made each with new cases; A is better by `gap`."""
    generator = np.random.default_rng(0)
    found = []
    for seed in range(comparisons):
        case_index = sizes_of(generator, cases)
        a, b = rivals(generator, case_index)
        runs = (mean_of(values, case_index, cases) for values in (a + gap, b))
        found.append(permutation_p(*runs, permutations=399, seed=seed))
    return np.array(found)


def test_equal_models_differ_in_one_of_twenty_families_of_ten():
    """A rate of 7 % would pass in one of a hundred series."""
    p = p_of_studies(6000, cases=20, gap=0.0)
    false = np.mean([holm(family).min() <= 0.05 for family in p.reshape(-1, 10)])
    assert 0.035 <= false <= 0.065
    assert 0.045 <= np.mean(p <= 0.05) <= 0.055


def test_better_models_are_found_among_ten_comparisons():
    families = p_of_studies(300, cases=40, gap=0.6).reshape(-1, 10)
    assert np.mean([holm(p) <= 0.05 for p in families]) > 0.9


def test_a_detectable_difference_is_found_as_often_as_its_power_says():
    generator, cases = np.random.default_rng(1), 150
    errors = []
    for _ in range(20):
        case_index = sizes_of(generator, cases)
        runs = [mean_of(each, case_index, cases) for each in rivals(generator, case_index)]
        errors.append(difference(*runs, draws(cases, 300, 0)).standard_error)
    p = p_of_studies(500, cases, gap=detectable(float(np.mean(errors)), power=0.8))
    assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=0.05)
