"""Which columns say how a model chooses: by likelihood, and when its choices stand elsewhere?

A closed question may be asked again with its choices in every cyclic order. Such a copy has the id
of its question and "~1", "~2" ... behind it, and is never counted by itself: it says something of
its question alone. The likelihoods are those of the answers "A. liver", "B. spleen" ...
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tomovox.metrics.choices import parse_choice, reference_letter
from tomovox.metrics.metric import Metric, Rows
from tomovox.schema import LETTERS, Prediction, Task, TomovoxError

COPY = re.compile(r"(.+)~[1-9]\d*")
"""The id of a copy, and in it that of its question."""

ANSWER_MARK = len("A. ")
"""Characters of an answer before the text of its choice."""


@dataclass(frozen=True, slots=True)
class EveryOrder:
    """What the answers to a question in every order of its choices have in common."""

    same: bool
    right: bool


def copied_question(row: Prediction) -> str | None:
    """Return the id of the closed question that is asked again in another order, or None."""
    found = COPY.fullmatch(row.id) if row.task == Task.VQA_CLOSED else None
    return found[1] if found else None


def accuracy_likelihood(rows: Rows) -> list[float | None]:
    """Return 1.0 where the answer with the right choice is the likeliest of all; a tie is wrong.

    None without likelihoods. Raises TomovoxError, with the id, when there is not one per choice or
    the reference names none of them.
    """
    return [_likeliest_is_right(row, [1] * len(row.choices)) for row in rows]


def accuracy_likelihood_norm(rows: Rows) -> list[float | None]:
    """Return 1.0 where the right answer has the highest log-likelihood per character.

    A sum falls with every token, so that it favours short choices; the tokens of two models differ,
    the characters of "B. spleen" do not. Otherwise as `accuracy_likelihood`.
    """
    lengths = ([ANSWER_MARK + len(choice) for choice in row.choices] for row in rows)
    return [_likeliest_is_right(row, mine) for row, mine in zip(rows, lengths, strict=True)]


def every_order(rows: Rows) -> list[EveryOrder | None]:
    """Return what the answers in every cyclic order of the choices have in common.

    An order whose answer names no choice is neither the same nor right. None for a copy, and for a
    question that was not asked in as many orders as it has choices. Raises TomovoxError for a copy
    without its question.
    """
    orders: dict[str, list[Prediction]] = {
        row.id: [row] for row in rows if copied_question(row) is None
    }
    for row in rows:
        if (question := copied_question(row)) is not None:
            if question not in orders:
                raise TomovoxError(
                    f"{row.id}: asks {question} again, which has no prediction; predict again"
                )
            orders[question].append(row)
    return [_in_common(orders[row.id]) if row.id in orders else None for row in rows]


def same(found: EveryOrder | None) -> float | None:
    """Return 1.0 where every order had the same choice by content."""
    return None if found is None else float(found.same)


def right(found: EveryOrder | None) -> float | None:
    """Return 1.0 where every order had the right choice."""
    return None if found is None else float(found.right)


def _likeliest_is_right(row: Prediction, lengths: Sequence[int]) -> float | None:
    if not row.choice_logprobs:
        return None
    place = LETTERS.index(_letter_of(row))
    if len(row.choice_logprobs) != len(lengths) or place >= len(lengths):
        raise TomovoxError(
            f"{row.id}: {len(row.choice_logprobs)} choice_logprobs for {len(lengths)} choices, of "
            f"which {LETTERS[place]} is right; predict again"
        )
    values = [logprob / n for logprob, n in zip(row.choice_logprobs, lengths, strict=True)]
    wanted = values.pop(place)
    return float(all(wanted > value for value in values))


def _letter_of(row: Prediction) -> str:
    try:
        return reference_letter(row.reference)
    except TomovoxError as error:
        raise TomovoxError(f"{row.id}: {error}") from None


def _in_common(orders: Sequence[Prediction]) -> EveryOrder | None:
    if len(orders) == 1 or len(orders) != len(orders[0].choices):
        return None
    letters = [parse_choice(row.text, row.choices) for row in orders]
    contents = {
        letter and row.choices[LETTERS.index(letter)]
        for row, letter in zip(orders, letters, strict=True)
    }
    answers = zip(orders, letters, strict=True)
    return EveryOrder(
        same=len(contents) == 1 and None not in contents,
        right=all(letter == _letter_of(row) for row, letter in answers),
    )


CLOSED = (Task.VQA_CLOSED,)
LIKELIHOOD = "avg:record|rule:likeliest-answer|of:answer+end-token|tie:wrong"
ORDERS = "avg:record|orders:all-cyclic|unparsed:wrong"

CHOICE_METRICS: dict[str, Metric] = {
    "accuracy_likelihood.standard": Metric(
        "accuracy_likelihood",
        "standard",
        CLOSED,
        f"{LIKELIHOOD}|norm:none",
        "tomovox",
        accuracy_likelihood,
        unit="percent",
        headline=True,
    ),
    "accuracy_likelihood_norm.standard": Metric(
        "accuracy_likelihood_norm",
        "standard",
        CLOSED,
        f"{LIKELIHOOD}|norm:characters",
        "tomovox",
        accuracy_likelihood_norm,
        unit="percent",
    ),
    "consistency.standard": Metric(
        "consistency",
        "standard",
        CLOSED,
        f"rule:same-content|{ORDERS}",
        "tomovox",
        every_order,
        same,
        unit="percent",
        headline=True,
    ),
    "accuracy_all_orders.standard": Metric(
        "accuracy_all_orders",
        "standard",
        CLOSED,
        f"rule:parsed-choice|{ORDERS}",
        "tomovox",
        every_order,
        right,
        unit="percent",
    ),
}
"""The metrics of likelihoods and orders by "name.protocol", in the order of tables."""
