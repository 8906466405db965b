"""Is an oracle perfect, uniform chance, and a guess by depth no more than a guess?"""

from itertools import product

import numpy as np
import pytest
from made_attended import EVIDENCE, attended, noisy_run, one, oracle_run, run_of, uniform_run

from tomovox.analysis.attended import stacks
from tomovox.analysis.localisation import LOCALISATION, evidence_rank, localisation_rows
from tomovox.analysis.priors import BASELINES


@pytest.mark.parametrize("statistic", LOCALISATION)
def test_an_oracle_scores_1(statistic):
    row = one(localisation_rows(oracle_run()), statistic, against="uniform")
    assert [row.value, row.lo, row.hi] == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("statistic", LOCALISATION)
def test_an_oracle_is_better_than_every_baseline(statistic):
    found = localisation_rows(oracle_run(cases=24))
    rows = [one(found, statistic, against=name) for name in BASELINES]
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


def test_a_prior_that_knows_only_the_plane_is_no_better_than_the_area():
    """The plane decides where the evidence lies, and the scorer looks there, eyes shut."""
    records = []
    for case in range(24):
        places, scores = ((1, 2), (5, 6))[case % 2], np.zeros(8)
        scores[list(places)] = 0.5
        records.append(attended(case, scores=scores, evidence=places, scope="slice"))
    row = one(localisation_rows(records), "evidence_mass", against="area")
    assert row.difference == pytest.approx(0) and row.p == 1


def of_a_finding(local, anywhere):
    """Return cases whose finding lies on slice 1, asked about it and about the whole volume."""
    records = []
    for case in range(12):
        known = {"evidence": (1,), "scope": "slice"}
        records.append(attended(case, "organ", local, **known))
        whole = {"evidence": tuple(range(4)), "scope": "volume"}
        records.append(attended(case, "plane", anywhere, **whole))
        records.append(attended(case, "phase", anywhere, **whole))
    return records


ON, OFF, FLAT = (0.1, 0.7, 0.1, 0.1), (0.7, 0.1, 0.1, 0.1), (0.25,) * 4


def test_a_detector_of_findings_is_no_better_than_itself_asked_another_question():
    row = one(localisation_rows(of_a_finding(ON, ON)), "evidence_mass", against="other_question")
    assert row.value == row.baseline == pytest.approx(0.7) and row.p == 1


def test_scores_that_follow_the_question_are_better_than_those_for_another():
    row = one(localisation_rows(of_a_finding(ON, FLAT)), "evidence_mass", against="other_question")
    assert row.difference == pytest.approx(0.45) and row.p < 0.01


def test_the_other_question_is_the_mean_over_those_of_the_volume():
    records = of_a_finding(FLAT, ON)
    records[2] = attended(0, "phase", OFF, evidence=(0, 1, 2, 3), scope="volume")
    row = one(localisation_rows(records[:3]), "evidence_mass", against="other_question")
    assert row.baseline == pytest.approx((0.7 + 0.1) / 2)


def test_only_volumes_that_were_asked_another_question_count_against_it():
    records = [*of_a_finding(ON, FLAT), attended(50, "organ", ON, evidence=(1,), scope="slice")]
    rows = localisation_rows(records)
    assert one(rows, "evidence_mass", against="uniform").n == 13
    assert one(rows, "evidence_mass", against="other_question").n == 12


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
