"""Is the likelihood of a choice the one that reading its answer alone gives?"""

import pytest
import torch
from tiny_models import CLOSE, QUESTIONS, VOCABULARY, asked, batch_of, make, volumes

from tomovox.models.base import VolumeLM
from tomovox.schema import Record

ANSWERS = [
    [[20, 1], [21, 22, 23, 1], [24, 1], [20, 21, 1]],
    [],
    [[25, 26, 1], [27, 1]],
]
"""Answers to the choices of three questions; the second one has none."""


def answers_of(record: Record) -> list[list[int]]:
    return ANSWERS[int(record.id.rpartition("/")[2])]


def scored(model: VolumeLM) -> list[list[float]]:
    model.choice_answers = answers_of
    batch = asked(list(volumes(2)), QUESTIONS[:3], [0, 1, 1])
    return model.predict_step(batch).choice_logprobs


def alone(model: VolumeLM, study: int, question: list[int], answer: list[int]) -> float:
    """Return what the training loss says of one answer to one question about one study."""
    volume = volumes(2)[study]
    with torch.no_grad():
        spliced, _ = model.read(batch_of([volume], [0], [question], [answer], [0]))
        return -float(model.language.loss(spliced)[0]) * len(answer)


def test_a_likelihood_is_the_training_loss_of_the_answer_alone(name):
    model = make(name)
    wanted = [
        [alone(model, study, question, answer) for answer in answers]
        for study, question, answers in zip([0, 1, 1], QUESTIONS, ANSWERS, strict=False)
    ]
    for found, expected in zip(scored(model), wanted, strict=True):
        torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), **CLOSE)


def test_other_answers_of_the_batch_change_nothing(name, monkeypatch):
    model = make(name)
    together = scored(model)[0]
    monkeypatch.setattr(f"{__name__}.ANSWERS", [ANSWERS[0][1:2], [], []])
    assert scored(model)[0] == [pytest.approx(together[1], abs=1e-4)]


def test_the_studies_are_perceived_once(monkeypatch):
    model, seen = make("m3d_lamed"), []
    perceive = model.perceive
    monkeypatch.setattr(model, "perceive", lambda s: seen.append(len(s)) or perceive(s))
    scored(model)
    assert seen == [2]


def test_the_answer_is_the_same_with_and_without_likelihoods():
    batch = asked(list(volumes(2)), QUESTIONS[:3], [0, 1, 1])
    plain, scoring = make("m3d_lamed"), make("m3d_lamed")
    scoring.choice_answers = answers_of
    assert torch.equal(plain.predict_step(batch).ids, scoring.predict_step(batch).ids)


def test_nothing_is_scored_unless_asked_for():
    batch = asked(list(volumes(1)), QUESTIONS[:1], [0])
    assert make("m3d_lamed").predict_step(batch).choice_logprobs is None


def test_a_batch_without_closed_questions_has_no_likelihoods(monkeypatch):
    monkeypatch.setattr(f"{__name__}.ANSWERS", [[], [], []])
    assert scored(make("m3d_lamed")) == [[], [], []]


def test_all_next_tokens_together_are_certain(monkeypatch):
    tokens = [[token] for token in range(VOCABULARY.size)]
    monkeypatch.setattr(f"{__name__}.ANSWERS", [tokens, [], []])
    found = torch.tensor(scored(make("m3d_lamed"))[0])
    assert float(found.exp().sum()) == pytest.approx(1, abs=1e-4)
