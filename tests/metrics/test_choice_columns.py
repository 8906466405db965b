"""Does a choice by likelihood, and one that must hold in every order, count as it says?"""

import pytest

from tomovox.metrics.catalogue import METRICS
from tomovox.metrics.choice_columns import (
    accuracy_likelihood,
    accuracy_likelihood_norm,
    copied_question,
)
from tomovox.schema import Prediction, Task, TomovoxError

CHOICES = ("liver", "a very much longer choice", "kidney", "lung")


def closed(name: str, text: str, right: str = "B", choices=CHOICES, logprobs=()) -> Prediction:
    reference = f"{right}. {choices['ABCD'.index(right)]}"
    return Prediction(
        name, Task.VQA_CLOSED, "c", "q", reference, text, choices=choices, choice_logprobs=logprobs
    )


def scored(*logprobs: float, right: str = "B") -> Prediction:
    return closed("r", "", right, logprobs=logprobs)


# ---- likelihood ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logprobs", "value"),
    [
        ((-3.0, -1.0, -2.0, -4.0), 1.0),
        ((-1.0, -3.0, -2.0, -4.0), 0.0),
        ((-1.0, -1.0, -2.0, -4.0), 0.0),
        ((-1.0, float("nan"), -2.0, -4.0), 0.0),
        ((-2.0, -1.0, -3.0, -3.0), 1.0),
    ],
    ids=["likeliest", "second", "tie", "no number", "tie of others"],
)
def test_the_right_choice_must_be_the_likeliest_of_all(logprobs, value):
    assert accuracy_likelihood([scored(*logprobs)]) == [value]


def test_per_character_a_long_choice_is_not_held_against_itself():
    row = scored(-4.0, -10.0, -4.0, -4.0)
    assert accuracy_likelihood([row]) == [0.0]
    assert accuracy_likelihood_norm([row]) == [1.0]


def test_the_letter_counts_as_characters_of_the_answer():
    choices = ("ab", "abcde", "x" * 90, "x" * 90)
    row = closed("r", "", "B", choices, (-1.0, -1.7, -900.0, -900.0))
    assert accuracy_likelihood_norm([row]) == [0.0]  # 1.7 / 8 > 1 / 5, although 1.7 / 5 < 1 / 2


def test_what_was_not_scored_does_not_count():
    row = closed("r", "B")
    assert accuracy_likelihood([row]) == accuracy_likelihood_norm([row]) == [None]


def test_likelihoods_of_other_choices_name_the_record():
    with pytest.raises(TomovoxError, match=r"^r: 3 choice_logprobs for 4 choices"):
        accuracy_likelihood([scored(-1.0, -2.0, -3.0)])


def test_a_reference_without_letter_names_the_record():
    row = scored(-1.0, -2.0, -3.0, -4.0)
    row.reference = "liver"
    with pytest.raises(TomovoxError, match=r"^r: reference 'liver'"):
        accuracy_likelihood([row])


# ---- every order -----------------------------------------------------------------------------


def orders(*texts: str) -> list[Prediction]:
    """Return the answers to a question in its cyclic orders; choice B of the first is right."""
    rows = []
    for first, text in enumerate(texts):
        choices = (*CHOICES[first:], *CHOICES[:first])
        right = "ABCD"[choices.index(CHOICES[1])]
        rows.append(closed("r" if not first else f"r~{first}", text, right, choices))
    return rows


def values(rows: list[Prediction]) -> tuple[float | None, float | None]:
    keys = ("consistency.standard", "accuracy_all_orders.standard")
    return tuple(METRICS[key].over(METRICS[key].contributions(rows)) for key in keys)


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (("B", "A", "D", "C"), (1.0, 1.0)),
        (("A", "D", "C", "B"), (1.0, 0.0)),
        (("B", "B", "B", "B"), (0.0, 0.0)),
        (("B", "A", "D", "no idea"), (0.0, 0.0)),
        (("", "", "", ""), (0.0, 0.0)),
    ],
    ids=["right", "same but wrong", "letter", "one unparsed", "none parsed"],
)
def test_an_answer_must_follow_the_content_through_every_order(texts, wanted):
    assert values(orders(*texts)) == wanted


def test_choices_of_equal_text_are_the_same_content():
    choices = ("cyst", "cyst", "mass", "none")
    rows = [
        closed(f"r~{i}" if i else "r", letter, right, (*choices[i:], *choices[:i]))
        for i, (letter, right) in enumerate(zip("AADC", "BADC", strict=True))
    ]
    assert values(rows) == (1.0, 0.0)


def test_a_copy_contributes_nothing_by_itself():
    contributions = METRICS["consistency.standard"].contributions(orders("B", "A", "D", "C"))
    assert contributions == [1.0, None, None, None]


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_a_question_asked_in_fewer_orders_does_not_count(asked):
    assert values(orders("B", "A", "D", "C")[:asked]) == (None, None)


def test_a_copy_without_its_question_is_refused():
    with pytest.raises(TomovoxError, match=r"^r~1: asks r again, which has no prediction"):
        values(orders("B", "A")[1:])


@pytest.mark.parametrize("name", ["r", "r~", "r~0", "r~a", "~1"])
def test_only_a_number_after_an_id_marks_a_copy(name):
    assert copied_question(closed(name, "B")) is None


def test_only_closed_questions_have_copies():
    row = Prediction("r~1", Task.REPORT, "c", "q", "reference", "said")
    assert copied_question(row) is None
