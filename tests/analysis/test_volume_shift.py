"""Is it told apart what the question moves and what the volume moves?"""

import numpy as np
import pytest
from made_attended import KINDS, attended, noisy_run, one, run_of, uniform_run

from tomovox.analysis.divergence import jensen_shannon
from tomovox.analysis.volume_shift import same_volume, shift_rows

BOTH = ("other_question", "other_volume")


def of_each(index_of):
    """Return records that look at one slice: that of `index_of(case, type)`."""
    return run_of(lambda case, kind: np.eye(8)[index_of(case, kind)])


def values(records):
    rows = shift_rows(records)
    return [one(rows, statistic).value for statistic in BOTH]


def test_scores_of_the_question_alone_move_with_the_question_alone():
    assert values(of_each(lambda case, kind: KINDS.index(kind))) == [1, 0]


def test_scores_of_the_volume_alone_move_with_the_volume_alone():
    found = values(of_each(lambda case, kind: case % 8))
    assert found[0] == 0 and found[1] > 0.9


def test_a_uniform_scorer_does_not_move():
    assert values(uniform_run(slices=7)) == [0, 0]


def test_other_question_is_the_mean_over_pairs_of_a_volume():
    records = noisy_run()
    scores = np.array([record.scores for record in records]).reshape(12, 3, 8)
    pairs = [jensen_shannon(scores[:, a], scores[:, b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert values(records)[0] == pytest.approx(np.mean(pairs), rel=1e-6)


def test_the_same_question_about_a_volume_is_no_other_question():
    records = [attended(0, "organ", question="?"), attended(0, "plane", question="?")]
    assert [row.statistic for row in shift_rows(records)] == []


def test_volumes_of_one_case_are_no_other_volume():
    records = [attended(0, volume=volume, question="?") for volume in (0, 1)]
    assert [row.statistic for row in shift_rows(records)] == []


def test_choices_do_not_make_another_question_of_one():
    records = [
        attended(case, question=f"which organ? Choices: A. {organ}")
        for case, organ in enumerate(("liver", "lung"))
    ]
    assert one(shift_rows(records), "other_volume").n == 2


def test_volumes_of_a_plane_are_compared_with_each_other_only():
    records = [attended(case, scores=np.eye(8)[case % 2], question="?") for case in range(20)]
    rows = shift_rows(records)
    assert one(rows, "other_volume").value > 0.4
    assert one(rows, "other_volume", plane="axial").value == 0


def test_questions_about_volumes_of_a_phase_have_rows():
    assert one(shift_rows(noisy_run(cases=20)), "other_question", phase="arterial").cases == 10


def test_only_records_with_another_one_count():
    records = [*uniform_run(), attended(50, "organ", question="asked once", scores=(0.125,) * 8)]
    assert [one(shift_rows(records), statistic).n for statistic in BOTH] == [36, 36]


def test_each_pair_of_a_volume_comes_once():
    left, right = same_volume(noisy_run(cases=2))
    found = sorted(tuple(sorted(pair)) for pair in zip(left, right, strict=True))
    assert found == [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)]


def test_volumes_of_different_sizes_are_compared_by_depth():
    records = [attended(0, scores=(0.5, 0.5)), attended(1, scores=(0.25,) * 4)]
    assert one(shift_rows(records), "other_volume").value == pytest.approx(0, abs=1e-12)


def test_the_order_of_the_records_changes_nothing():
    records = noisy_run()
    assert repr(shift_rows(records)) == repr(shift_rows(records[::-1]))
