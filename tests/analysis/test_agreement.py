"""Do seeds that look at the same slices agree, and strangers no more than other cases?"""

from dataclasses import replace

import numpy as np
import pytest
from made_attended import attended, noisy_run, one, uniform_run

from tomovox.analysis.agreement import AGREEMENT, agreement_rows, ranks, spearman
from tomovox.schema import TomovoxError


def near(records, noise=0.1, seed=9):
    """Return the same records with scores of their own noise: another seed that mostly agrees."""
    generator = np.random.default_rng(seed)
    found = []
    for record in records:
        scores = np.array(record.scores) * np.exp(noise * generator.normal(size=8))
        found.append(replace(record, scores=tuple(scores / scores.sum())))
    return found


def test_rank_correlation_is_that_of_scipy():
    from scipy.stats import spearmanr

    a, b = np.random.default_rng(0).integers(5, size=(2, 6, 9)).astype(float)
    wanted = [spearmanr(*rows).statistic for rows in zip(a, b, strict=True)]
    np.testing.assert_allclose(spearman(a, b), wanted)


def test_a_row_that_ranks_nothing_has_no_ranks():
    assert ranks(np.full((1, 4), 0.25)).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize(("statistic", "value"), [("seed_divergence", 0), ("seed_correlation", 1)])
def test_a_seed_agrees_with_itself(statistic, value):
    records = noisy_run()
    row = one(agreement_rows({0: records, 1: records}), statistic)
    assert row.value == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(("statistic", "sign"), [("seed_divergence", -1), ("seed_correlation", 1)])
def test_seeds_that_agree_are_more_alike_than_other_cases(statistic, sign):
    records = noisy_run()
    row = one(agreement_rows({0: records, 1: near(records)}), statistic)
    assert min(sign * row.difference_lo, sign * row.difference_hi) > 0 and row.p < 0.01


@pytest.mark.parametrize("statistic", AGREEMENT)
def test_seeds_of_their_own_mind_are_no_more_alike_than_other_cases(statistic):
    row = one(agreement_rows({0: noisy_run(0), 1: noisy_run(1)}), statistic)
    assert row.difference_lo < 0 < row.difference_hi and row.p > 0.05


@pytest.mark.parametrize("statistic", AGREEMENT)
def test_uniform_seeds_agree_no_more_than_other_cases(statistic):
    row = one(agreement_rows({0: uniform_run(), 1: uniform_run()}), statistic)
    assert (row.value, row.difference, row.p) == (row.baseline, 0, 1)


@pytest.mark.parametrize("statistic", AGREEMENT)
def test_three_seeds_are_the_mean_of_their_pairs(statistic):
    a, b, c = noisy_run(0), noisy_run(1), noisy_run(2)
    two = [one(agreement_rows({0: x, 1: y}), statistic).value for x, y in ((a, b), (a, c), (b, c))]
    assert one(agreement_rows({0: a, 1: b, 2: c}), statistic).value == pytest.approx(np.mean(two))


def test_one_seed_has_nothing_to_agree_with():
    assert agreement_rows({0: noisy_run()}) == []


def test_seeds_that_answered_different_records_are_refused():
    runs = {0: noisy_run(), 1: noisy_run()[1:]}
    with pytest.raises(TomovoxError, match=r"seeds 0 and 1 .*vqa_open/000/0/plane .* predict both"):
        agreement_rows(runs)


def test_a_record_without_another_case_has_no_baseline():
    rows = agreement_rows({0: [attended()], 1: [attended()]})
    assert {row.against for row in rows} == {""}


def test_a_plane_is_compared_with_other_cases_of_the_plane():
    """All records of one plane look alike; those of the other plane look elsewhere."""
    records = [attended(case, scores=np.eye(8)[case % 2]) for case in range(20)]
    rows = agreement_rows({0: records, 1: records})
    assert one(rows, "seed_divergence", against="other_case").difference < 0
    assert one(rows, "seed_divergence", plane="axial").difference == 0


def test_the_order_of_the_records_changes_nothing():
    records, others = noisy_run(0), noisy_run(1)
    there = agreement_rows({0: records, 1: others})
    assert repr(there) == repr(agreement_rows({1: others[::-1], 0: records[::-1]}))
