"""Is likeness to scrambled models told as it is, and do other words move what they should?"""

import numpy as np
import pytest
from made_attended import attended, noisy_run, one, uniform_run

from tomovox.analysis.elsewhere import ScrambledMean, scrambled_rows, word_rows
from tomovox.analysis.rows import draws_of

SCRAMBLES, SLICES = 20, 8


def of_rows(records, rows_of):
    """Return the scrambled scores of each record: SCRAMBLES rows that `rows_of(record)` gives."""
    return {record.id: np.array(rows_of(record)) for record in records}


def likeness(records, scrambled, **place):
    return one(scrambled_rows(records, scrambled), "scrambled_correlation", **place)


def same(record):
    return [record.scores] * SCRAMBLES


# ---- scrambled weights -------------------------------------------------------------------------


def test_scores_that_scrambling_leaves_are_wholly_alike():
    records = noisy_run()
    found = likeness(records, of_rows(records, same))
    assert [found.value, found.lo, found.hi] == pytest.approx([1, 1, 1])


def test_scores_that_scrambling_turns_around_have_the_correlation_minus_1():
    records = noisy_run()
    turned = of_rows(records, lambda record: 1 - np.array(same(record)))
    assert likeness(records, turned).value == pytest.approx(-1)


def test_scrambles_that_every_record_shares_do_not_look_certain():
    """One profile for all records, a new one for each scramble: many records are no comfort."""
    generator = np.random.default_rng(0)
    profile = np.random.default_rng(9).normal(size=SLICES)
    shared = generator.normal(size=(SCRAMBLES, SLICES))
    weights = np.exp(profile) / np.exp(profile).sum()
    records = [attended(case, scores=weights) for case in range(200)]
    found = likeness(records, of_rows(records, lambda record: shared))
    correlations = [
        np.corrcoef(np.argsort(np.argsort(row)), ranks(profile))[0, 1] for row in shared
    ]
    assert found.value == pytest.approx(np.mean(correlations))
    assert found.hi - found.lo > 2 * np.std(correlations) / np.sqrt(SCRAMBLES)


def ranks(row):
    return np.argsort(np.argsort(row))


def test_the_interval_knows_of_the_cases_too():
    generator = np.random.default_rng(0)
    sums = np.tile(generator.normal(size=(12, 1)), (1, SCRAMBLES))
    drawn = ScrambledMean(sums, np.ones(12, dtype=int)).replicates(draws_of(12))
    assert drawn.std() == pytest.approx(sums[:, 0].std() / np.sqrt(12), rel=0.1)


def test_a_likeness_is_not_tested():
    records = noisy_run()
    found = likeness(records, of_rows(records, same))
    assert found.against == "" and np.isnan([found.p, found.baseline]).all()


def test_scores_that_rank_no_slice_have_no_likeness():
    records = uniform_run()
    assert scrambled_rows(records, of_rows(records, same)) == []


def test_only_records_that_were_scrambled_count():
    records = noisy_run()
    assert likeness(records, of_rows(records[:6], same)).n == 6
    assert scrambled_rows(records, {}) == []


# ---- other words -------------------------------------------------------------------------------


def scores_of(records):
    return {record.id: record.scores for record in records}


def test_the_same_scores_for_other_words_have_not_moved():
    records = noisy_run()
    rows = word_rows(records, scores_of(records), scores_of(records))
    assert one(rows, "swapped_question").value == one(rows, "shuffled_words").value == 0


def test_scores_that_leave_every_slice_moved_as_far_as_can_be():
    records = [attended(case, scores=(0.5, 0.5, 0, 0)) for case in range(3)]
    moved = {record.id: (0.0, 0.0, 0.5, 0.5) for record in records}
    rows = word_rows(records, moved, {})
    assert one(rows, "swapped_question").value == pytest.approx(1)


def test_records_without_another_question_do_not_count():
    records = noisy_run()
    rows = word_rows(records, scores_of(records[:5]), scores_of(records))
    assert one(rows, "swapped_question").n == 5
    assert one(rows, "shuffled_words").n == len(records)
