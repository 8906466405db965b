"""Do the guesses that see nothing know nothing of the record, and stay distributions?"""

import numpy as np
import pytest
from made_attended import attended, noisy_run, oracle_run

from tomovox.analysis.attended import stacks
from tomovox.analysis.priors import BASELINES, area, gaussian, random, uniform


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
def test_scores_of_a_baseline_sum_to_one(baseline):
    records = noisy_run()
    for stack in baseline(records, stacks(records)):
        np.testing.assert_allclose(stack.scores.sum(axis=1), 1)


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
def test_a_baseline_does_not_depend_on_the_scores_of_the_model(baseline):
    a, b = (baseline(run, stacks(run))[0].scores for run in (noisy_run(0), noisy_run(1)))
    np.testing.assert_array_equal(a, b)


def test_uniform_is_one_over_n():
    records = [attended(scores=(1, 0, 0, 0))]
    assert uniform(records, stacks(records))[0].scores.tolist() == [[0.25] * 4]


def test_gaussian_has_a_standard_deviation_of_a_sixth_of_the_slices():
    records = [attended(scores=np.full(600, 1 / 600))]
    ((row,),) = (stack.scores for stack in gaussian(records, stacks(records)))
    offsets = np.arange(600) - 299.5
    assert np.sqrt(row @ offsets**2) == pytest.approx(100, rel=0.02)


def test_gaussian_is_highest_in_the_middle():
    records = [attended(scores=np.full(5, 0.2))]
    assert gaussian(records, stacks(records))[0].scores.argmax() == 2


def test_random_is_one_draw_for_all_questions_of_a_volume():
    records = [attended(0, kind) for kind in ("organ", "plane")]
    a, b = random(records, stacks(records))[0].scores
    assert a.tolist() == b.tolist()


def test_random_differs_between_volumes():
    records = [attended(0), attended(1)]
    a, b = random(records, stacks(records))[0].scores
    assert a.tolist() != b.tolist()


def test_random_of_a_volume_does_not_depend_on_other_records():
    alone, among = [attended(1)], [attended(0), attended(1)]
    a, b = (random(records, stacks(records))[0].scores[-1] for records in (alone, among))
    assert a.tolist() == b.tolist()


def test_area_is_the_evidence_of_the_other_cases():
    records = [
        attended(0, evidence=(0,), scope="slice"),
        attended(1, evidence=(1,), scope="slice"),
        attended(2, evidence=(2, 3), scope="slice"),
    ]
    found = area(records, stacks(records))[0].scores
    np.testing.assert_allclose(found[0], [0, 0.5, 0.25, 0.25], atol=1e-12)


def test_area_leaves_out_all_records_of_the_case():
    records = [
        attended(0, "organ", evidence=(0,), scope="slice"),
        attended(0, "plane", evidence=(1,), scope="slice"),
        attended(1, "organ", evidence=(3,), scope="slice"),
    ]
    found = area(records, stacks(records))[0].scores
    np.testing.assert_allclose(found[:2], [[0, 0, 0, 1]] * 2, atol=1e-12)


def test_area_goes_by_depth_between_volumes_of_different_sizes():
    records = [
        attended(0, scores=(0.5, 0.5), evidence=(1,), scope="slice"),
        attended(1, scores=(0.25,) * 4, evidence=(0,), scope="slice"),
    ]
    two, four = (stack.scores[0] for stack in area(records, stacks(records)))
    np.testing.assert_allclose(two, [1, 0], atol=1e-12)
    np.testing.assert_allclose(four, [0, 0, 0.5, 0.5], atol=1e-12)


def of_two_planes(cases, kinds=("organ",)):
    """Return records whose evidence the plane decides: first slice or last one."""
    return [
        attended(case, kind, evidence=(3 * (case % 2),), scope="slice")
        for case in range(cases)
        for kind in kinds
    ]


def test_area_is_that_of_the_plane_where_enough_other_cases_have_it():
    records = of_two_planes(12)
    found = area(records, stacks(records))[0].scores
    np.testing.assert_allclose(found[0], [1, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(found[1], [0, 0, 0, 1], atol=1e-12)


def test_area_of_a_plane_of_few_cases_is_that_of_the_task():
    records = of_two_planes(10)
    found = area(records, stacks(records))[0].scores
    np.testing.assert_allclose(found[0], [4 / 9, 0, 0, 5 / 9], atol=1e-12)


def test_area_is_that_of_the_type_where_enough_other_cases_have_it():
    records = [
        attended(case, kind, evidence=(place,), scope="slice", plane="axial")
        for case in range(6)
        for kind, place in (("organ", 0), ("location", 2))
    ]
    found = area(records, stacks(records))[0].scores
    np.testing.assert_allclose(found[:2], [[1, 0, 0, 0], [0, 0, 1, 0]], atol=1e-12)


def test_area_of_a_single_case_is_unknown():
    records = oracle_run(cases=1)
    assert np.isnan(area(records, stacks(records))[0].scores).all()
