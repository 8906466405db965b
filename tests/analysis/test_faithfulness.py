"""Do the rows tell scores that matter from scores that do not?"""

import numpy as np
import pytest
from made_attended import noisy_run, one, uniform_run

from tomovox.analysis.attended import Attended
from tomovox.analysis.faithfulness import CHANCE, EFFECTS, faithfulness_rows
from tomovox.analysis.hiding import CENTRE, RANDOM, trials

CASES, SLICES = 12, 8
ORDERED = pytest.mark.parametrize("statistic", EFFECTS)
AGAINST = pytest.mark.parametrize("against", [RANDOM, CENTRE])


def hidden_from(scores_of):
    """Return the trials of a linear model whose slices have known effects; `scores_of` sees them.

    Every case has a volume of three questions, and each question effects of its own.
    """
    generator, made = np.random.default_rng(0), []
    records = uniform_run(CASES, SLICES)
    for place in range(0, len(records), 3):
        effects = generator.normal(0.2, 1.0, (3, SLICES))
        questions = [
            known(record, scores_of(effect))
            for record, effect in zip(records[place : place + 3], effects, strict=True)
        ]
        made += trials(lambda keep, wanted, e=effects: keep @ e.T - 20.0, questions)
    return made


def known(record: Attended, values) -> Attended:
    scores = np.exp(values) / np.exp(values).sum()
    names = ("id", "case", "volume", "task", "question_type", "question", "plane", "phase")
    return Attended(*(getattr(record, name) for name in names), scores=tuple(scores))


@pytest.fixture(scope="module")
def oracle():
    return hidden_from(lambda effects: effects)


@pytest.fixture(scope="module")
def rows(oracle):
    return faithfulness_rows(oracle, "input")


@pytest.fixture(scope="module")
def uniform():
    return faithfulness_rows(hidden_from(np.zeros_like), "input")


@pytest.fixture(scope="module")
def adversary():
    return faithfulness_rows(hidden_from(np.negative), "input")


@ORDERED
@AGAINST
def test_an_oracle_is_better_than_random_and_centre(rows, statistic, against):
    found = one(rows, statistic, against=against)
    assert found.difference_lo > 0 and found.p < 0.01


def test_an_oracle_ranks_slices_as_their_effects(rows):
    found = one(rows, "effect_correlation", against=CHANCE)
    assert found.value == pytest.approx(1) and found.baseline == 0 and found.p < 0.01


@ORDERED
def test_uniform_scores_are_exactly_random(uniform, statistic):
    for row in (r for r in uniform if r.statistic == statistic and r.against == RANDOM):
        assert (row.difference, row.difference_lo, row.difference_hi, row.p) == (0, 0, 0, 1)


def test_uniform_scores_correlate_with_nothing(uniform):
    row = one(uniform, "effect_correlation", against=CHANCE)
    assert (row.value, row.p) == (0, 1)


@ORDERED
def test_an_adversary_is_worse_than_random(adversary, statistic):
    found = one(adversary, statistic, against=RANDOM)
    assert found.difference_hi < 0 and found.p < 0.01


def test_an_adversary_ranks_slices_against_their_effects(adversary):
    assert one(adversary, "effect_correlation", against=CHANCE).value == pytest.approx(-1)


def test_a_model_that_needs_no_slice_has_no_effects():
    made = trials(
        lambda keep, wanted: np.full(wanted.shape, -3.0), noisy_run(cases=1, slices=SLICES)
    )
    found = faithfulness_rows(made, "percept")
    assert {(row.value, row.difference) for row in found} == {(0, 0)}


def test_the_order_of_trials_changes_nothing(oracle, rows):
    shuffled = [oracle[place] for place in np.random.default_rng(1).permutation(len(oracle))]
    assert str(faithfulness_rows(shuffled, "input")) == str(rows)  # text, since nan is not nan


def test_rows_say_where_slices_were_hidden(rows):
    assert {row.hidden for row in rows} == {"input"}


def test_without_trials_there_are_no_rows():
    assert faithfulness_rows([], "input") == []
