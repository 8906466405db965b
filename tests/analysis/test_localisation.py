"""Is an oracle perfect, uniform chance, and a guess by depth no more than a guess?"""

from itertools import product

import numpy as np
import pytest
from made_attended import EVIDENCE, attended, noisy_run, one, oracle_run, run_of, uniform_run

from tomovox.analysis.attended import stacks
from tomovox.analysis.baselines import BASELINES
from tomovox.analysis.localisation import LOCALISATION, evidence_rank, localisation_rows


@pytest.mark.parametrize("statistic", LOCALISATION)
def test_an_oracle_scores_1(statistic):
    row = one(localisation_rows(oracle_run()), statistic, against="uniform")
    assert [row.value, row.lo, row.hi] == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("statistic", LOCALISATION)
def test_an_oracle_is_better_than_every_baseline(statistic):
    rows = [one(localisation_rows(oracle_run()), statistic, against=name) for name in BASELINES]
    assert all(row.difference_lo > 0 and row.p < 0.01 for row in rows)


@pytest.mark.parametrize("statistic", LOCALISATION)
@pytest.mark.parametrize("slices", [7, 8, 30])
def test_a_uniform_scorer_equals_the_baseline_exactly(statistic, slices):
    row = one(localisation_rows(uniform_run(slices=slices)), statistic, against="uniform")
    assert (row.value, row.difference, row.p) == (row.baseline, 0, 1)


@pytest.mark.parametrize("statistic", ["evidence_mass", "pointing_hit"])
def test_uniform_scores_find_the_share_of_slices_with_evidence(statistic):
    row = one(localisation_rows(uniform_run()), statistic, against="uniform")
    assert row.value == pytest.approx(len(EVIDENCE) / 8)


def test_uniform_scores_rank_by_chance():
    assert one(localisation_rows(uniform_run()), "evidence_rank", against="uniform").value == 0.5


def test_slices_that_tie_for_the_highest_score_share_the_hit():
    record = attended(scores=(0.4, 0.4, 0.2), evidence=(1,), scope="slice")
    row = one(localisation_rows([record]), "pointing_hit", against="uniform")
    assert row.value == 0.5


def test_the_rank_is_the_share_of_pairs_in_order():
    records = noisy_run()
    (stack,) = stacks(records)
    for scores, evidence, found in zip(
        stack.scores, stack.evidence, evidence_rank(stack), strict=True
    ):
        pairs = product(scores[evidence], scores[~evidence])
        assert found == pytest.approx(np.mean([a > b for a, b in pairs]))


def test_scores_that_avoid_the_evidence_have_rank_0():
    records = run_of(lambda case, kind: (0.5, 0.5, 0, 0, 0, 0, 0, 0), evidence=(4,))
    row = one(localisation_rows(records), "evidence_mass", against="uniform")
    assert row.value == 0 and row.difference_hi < 0


def test_a_prior_that_knows_only_the_depth_is_no_better_than_the_area():
    """Every case has its evidence on the same slices, and the scorer looks there, eyes shut."""
    scores = np.zeros(8)
    scores[[3, 4]] = 0.5
    known = {"evidence": (3, 4), "scope": "slice"}
    records = [attended(case, scores=scores, **known) for case in range(12)]
    row = one(localisation_rows(records), "evidence_mass", against="area")
    assert row.difference == pytest.approx(0) and row.p == 1


def test_records_without_local_evidence_are_left_out():
    records = [
        *oracle_run(),
        attended(90, scores=(1, 0)),
        attended(91, scores=(1, 0), evidence=(0,), scope="volume"),
        attended(92, scores=(1, 0), evidence=(0, 1), scope="slice"),
    ]
    assert localisation_rows(records) == localisation_rows(oracle_run())


def test_nothing_to_find_has_no_rows():
    assert localisation_rows([attended()]) == []


def test_one_case_has_no_area():
    assert {row.against for row in localisation_rows(oracle_run(cases=1))} == {
        *BASELINES.keys() - {"area"}
    }


def test_the_order_of_the_records_changes_nothing():
    records = noisy_run()
    assert localisation_rows(records) == localisation_rows(records[::-1])


def test_planes_of_enough_cases_have_rows():
    rows = localisation_rows(oracle_run(cases=20))
    assert one(rows, "evidence_mass", against="area", plane="axial").cases == 10
