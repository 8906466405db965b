"""Are scores refused that are no distribution, and do arrays keep the order of the records?"""

import numpy as np
import pytest
from made_attended import attended, noisy_run

from tomovox.analysis.attended import in_order, measured, stacks
from tomovox.schema import TomovoxError


@pytest.mark.parametrize("scores", [(), (0.5, 0.4), (1.5, -0.5), (float("nan"), 1.0)])
def test_scores_that_are_no_distribution_name_their_record(scores):
    with pytest.raises(TomovoxError, match=r"record vqa_open/000/0/organ: .* predict again"):
        attended(scores=scores)


def test_scores_rounded_to_six_digits_are_a_distribution():
    assert attended(scores=(round(1 / 256, 6),) * 256)


@pytest.mark.parametrize("place", [-1, 4])
def test_evidence_outside_the_scored_slices_names_its_record(place):
    with pytest.raises(TomovoxError, match=r"record vqa_open/000/0/organ: evidence on slice"):
        attended(evidence=(place,))


@pytest.mark.parametrize(
    ("scope", "evidence", "located"),
    [
        ("slice", (1, 2), True),
        ("slice", (), False),
        ("slice", (0, 1, 2, 3), False),
        ("volume", (1, 2), False),
        ("", (1, 2), False),
    ],
)
def test_only_evidence_on_some_of_the_slices_can_be_found(scope, evidence, located):
    assert attended(scope=scope, evidence=evidence).located is located


def test_an_id_that_stands_twice_is_an_error():
    with pytest.raises(TomovoxError, match="vqa_open/000/0/organ stands among the records twice"):
        in_order([attended(), attended()])


def test_records_stand_by_id():
    records = noisy_run()
    assert in_order(reversed(records)) == sorted(records, key=lambda record: record.id)


def test_a_measure_keeps_the_order_of_records_of_many_sizes():
    sizes = [5, 3, 5, 8, 3]
    records = [attended(case, scores=np.full(n, 1 / n)) for case, n in enumerate(sizes)]
    found = measured(stacks(records), lambda stack: 1 / stack.scores.max(axis=1))
    np.testing.assert_allclose(found, sizes)


def test_stacked_scores_sum_to_one_after_rounding():
    (stack,) = stacks([attended(scores=(0.333333,) * 3)])
    np.testing.assert_allclose(stack.scores, 1 / 3, rtol=1e-15)


def test_stacked_evidence_is_true_on_its_slices():
    (stack,) = stacks([attended(evidence=(1, 3), scope="slice")])
    assert stack.evidence.tolist() == [[False, True, False, True]]
