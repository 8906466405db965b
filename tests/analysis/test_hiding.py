"""Is hiding slices by scores worth what the scores know, and never more?"""

from itertools import permutations

import numpy as np
import pytest
from made_attended import attended

from tomovox.analysis.faithfulness import EFFECTS
from tomovox.analysis.hiding import (
    CENTRE,
    ORDERS,
    RANDOM,
    RANDOM_ORDERS,
    SCORES,
    Trial,
    centre_order,
    counts_of,
    random_orders,
    score_orders,
    trials,
)

DEPTHS = [1, 2, 3, 7, 32]
MOST_SETS = 99
"""Sets that a question about 32 slices asks for when its scores have no ties."""


class Planted:
    """A model whose answers lose the effects of hidden slices; it notes what it is asked for."""

    def __init__(self, effects):
        self.effects, self.keep, self.wanted = np.array(effects), None, None

    def __call__(self, keep, wanted):
        self.keep, self.wanted = keep, wanted
        return np.where(wanted, keep @ self.effects.T - 20.0, np.nan)


def effects_of(slices, seed=0):
    return np.random.default_rng(seed).normal(0.3, 1.0, slices)


def shares_of(values):
    return np.exp(values) / np.exp(values).sum()


def asked(scores_of_each, volume="001/0"):
    kinds = ("organ", "plane", "location", "phase", "abnormality")
    return [attended(1, kinds[i], scores, volume=volume) for i, scores in enumerate(scores_of_each)]


def trial_of(scores, effects):
    return trials(Planted([effects]), asked([scores]))[0]


def same(one, other):
    return one.to_line() == other.to_line()


# ---- what the figures are ----------------------------------------------------------------------


@pytest.mark.parametrize("slices", DEPTHS)
@pytest.mark.parametrize("order", ORDERS)
def test_curves_run_between_all_slices_and_none(slices, order):
    effects = effects_of(slices)
    trial = trial_of(shares_of(effects), effects)
    ends = np.array([effects.sum() - 20.0, -20.0])
    np.testing.assert_allclose(trial.deletion[order][[0, -1]], ends)
    np.testing.assert_allclose(trial.insertion[order][[-1, 0]], ends)
    assert trial.full == pytest.approx(ends[0])
    assert trial.shares[0] == 0 and trial.shares[-1] == 1


@pytest.mark.parametrize("slices", DEPTHS)
def test_a_slice_alone_costs_its_effect(slices):
    effects = effects_of(slices)
    trial = trial_of(np.full(slices, 1 / slices), effects)
    np.testing.assert_allclose(trial.full - trial.without, effects)


@pytest.mark.parametrize("slices", DEPTHS)
@pytest.mark.parametrize("order", ORDERS)
def test_what_is_alone_and_what_is_left_add_up_in_a_linear_model(slices, order):
    effects = effects_of(slices)
    trial = trial_of(shares_of(effects), effects)
    assert trial.top[order] + trial.rest[order] == pytest.approx(effects.sum() - 40.0)


def test_the_top_slices_are_the_three_of_the_highest_scores():
    effects = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    trial = trial_of([0.4, 0.1, 0.05, 0.2, 0.25], effects)
    assert trial.top[SCORES] == pytest.approx(1 + 8 + 16 - 20)


def test_a_curve_loses_slices_from_the_highest_score():
    trial = trial_of([0.1, 0.6, 0.3], np.array([1.0, 10.0, 100.0]))
    np.testing.assert_allclose(trial.deletion[SCORES] + 20, [111, 101, 1, 0], atol=1e-9)
    np.testing.assert_allclose(trial.insertion[SCORES] + 20, [0, 10, 110, 111], atol=1e-9)


# ---- who is better than whom -------------------------------------------------------------------


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("against", [RANDOM, CENTRE])
@pytest.mark.parametrize("slices", [7, 32])
def test_an_oracle_is_above_every_other_order(effect, against, slices):
    effects = effects_of(slices)
    trial = trial_of(shares_of(effects), effects)
    assert EFFECTS[effect](trial, SCORES) > EFFECTS[effect](trial, against) + 0.01


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("slices", [7, 32])
def test_an_adversary_is_below_random(effect, slices):
    effects = effects_of(slices)
    trial = trial_of(shares_of(-effects), effects)
    assert EFFECTS[effect](trial, SCORES) < EFFECTS[effect](trial, RANDOM) - 0.01


@pytest.mark.parametrize("slices", DEPTHS)
def test_scores_that_are_all_equal_are_just_random(slices):
    trial = trial_of(np.full(slices, 1 / slices), effects_of(slices))
    for figure in (trial.deletion, trial.insertion, trial.top, trial.rest):
        np.testing.assert_array_equal(figure[SCORES], figure[RANDOM])


def test_the_centre_goes_from_the_middle_outwards():
    assert centre_order(5) == [2, 1, 3, 0, 4]
    assert centre_order(4) == [1, 2, 0, 3]


# ---- orders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("slices", DEPTHS)
def test_an_order_has_every_slice_once(slices):
    question = attended(scores=np.full(slices, 1 / slices))
    orders = [centre_order(slices), *random_orders(slices, "a"), *score_orders(question)]
    assert all(sorted(order) == list(range(slices)) for order in orders)


def test_slices_that_tie_are_drawn_and_others_are_not():
    question = attended(scores=(0.1, 0.3, 0.1, 0.3, 0.1, 0.1))
    orders = score_orders(question)
    assert len(orders) == RANDOM_ORDERS
    assert all(set(order[:2]) == {1, 3} for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_random_orders_are_those_of_the_volume():
    assert random_orders(32, "a") == random_orders(32, "a") != random_orders(32, "b")


@pytest.mark.parametrize("slices", [*DEPTHS, 100])
def test_curves_are_read_at_none_all_and_whole_numbers_between(slices):
    counts = counts_of(slices)
    assert counts[0] == 0 and counts[-1] == slices
    assert (np.diff(counts) > 0).all() and len(counts) <= 8


# ---- what is asked for -------------------------------------------------------------------------


def test_no_set_is_asked_for_twice():
    model = Planted([effects_of(32)] * 3)
    trials(model, asked([shares_of(effects_of(32, seed)) for seed in range(3)]))
    assert len(np.unique(model.keep, axis=0)) == len(model.keep)


def test_a_question_asks_for_its_own_sets_only():
    model = Planted([effects_of(32)] * 5)
    trials(model, asked([shares_of(effects_of(32, seed)) for seed in range(5)]))
    assert (model.wanted.sum(axis=0) <= MOST_SETS).all()
    assert len(model.keep) > MOST_SETS


def test_questions_that_score_alike_share_all_their_sets():
    model, scores = Planted([effects_of(32)] * 5), shares_of(effects_of(32))
    trials(model, asked([scores] * 5))
    assert len(model.keep) <= MOST_SETS and model.wanted.all()


def test_ties_ask_for_no_more_than_three_orders():
    model = Planted([effects_of(32)])
    trials(model, asked([[0.05] * 16 + [0.0125] * 16]))
    assert len(model.keep) <= MOST_SETS + (RANDOM_ORDERS - 1) * 14


def test_the_order_of_questions_changes_nothing():
    effects = [effects_of(7, seed) for seed in range(3)]
    questions = asked([shares_of(effects_of(7, 10 + seed)) for seed in range(3)])
    first = trials(Planted(effects), questions)
    for order in permutations(range(3)):
        model = Planted([effects[place] for place in order])
        found = trials(model, [questions[place] for place in order])
        assert all(same(found[i], first[place]) for i, place in enumerate(order))


def test_a_question_says_the_same_alone_and_among_others():
    effects = [effects_of(7, seed) for seed in range(2)]
    questions = asked([shares_of(each) for each in effects])
    together = trials(Planted(effects), questions)
    for place, question in enumerate(questions):
        assert same(trials(Planted([effects[place]]), [question])[0], together[place])


# ---- lines -------------------------------------------------------------------------------------


@pytest.mark.parametrize("slices", DEPTHS)
def test_a_line_is_read_back_to_six_digits(slices):
    trial = trial_of(shares_of(effects_of(slices)), effects_of(slices))
    known = {trial.attended.id: trial.attended}
    back = Trial.from_line(trial.to_line(), known)
    assert back.attended == trial.attended
    for name in ("deletion", "insertion", "top", "rest"):
        for order in ORDERS:
            one, other = getattr(back, name)[order], getattr(trial, name)[order]
            np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(back.without, trial.without, atol=1e-6)
    np.testing.assert_allclose(back.shares, trial.shares, atol=1e-6)


def test_a_line_that_was_read_back_is_written_the_same():
    trial = trial_of(shares_of(effects_of(7)), effects_of(7))
    line = trial.to_line()
    assert Trial.from_line(line, {trial.attended.id: trial.attended}).to_line() == line
