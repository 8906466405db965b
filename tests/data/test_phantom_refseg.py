"""Do the questions of M3D-RefSeg have the answer that is marked?"""

from __future__ import annotations

import pytest

from tomovox.data.phantom_body import KINDS
from tomovox.data.phantom_case import describe_case
from tomovox.data.phantom_refseg import CLUES, mask_number, refer
from tomovox.data.published_tables import DESCRIPTION, REASONING

FINDINGS = [c.finding for c in (describe_case(0, k) for k in range(1, 101)) if c.finding]


def test_every_answer_holds_the_mask_token_once():
    assert all(q.answer.count("[SEG]") == 1 for f in FINDINGS for q in refer(f))


def test_half_of_the_questions_describe_and_half_must_be_inferred():
    types = [q.type for q in refer(FINDINGS[0])]
    assert types.count(DESCRIPTION) == types.count(REASONING) == 3


def test_questions_that_must_be_inferred_do_not_name_the_kind():
    asked = [(f.kind, q) for f in FINDINGS for q in refer(f) if q.type == REASONING]
    assert not any(kind in q.question.lower() for kind, q in asked)


def test_questions_of_one_finding_differ():
    assert all(len({q.question for q in refer(f)}) == 6 for f in FINDINGS)


@pytest.mark.parametrize("word", ["side", "level"])
def test_a_described_place_is_that_of_the_finding(word: str):
    for f in FINDINGS:
        assert getattr(f, word) in " ".join(q.question for q in refer(f))


def test_mask_numbers_are_the_classes_from_one():
    assert {mask_number(f): f.kind for f in FINDINGS} == dict(enumerate(KINDS, 1))


def test_every_kind_has_a_clue():
    assert set(CLUES) == set(KINDS)
