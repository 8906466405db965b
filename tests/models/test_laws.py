"""Laws that every VolumeLM obeys."""

import inspect
from typing import get_args

import pytest
import torch
from tiny_models import (
    CLOSE,
    MAKERS,
    QUESTIONS,
    VOCABULARY,
    asked,
    language,
    last_logits,
    make,
    vision2d,
    vision3d,
    volumes,
)

from tomovox.models.checkpoint import load_trained, save_trained
from tomovox.models.med2e3 import Med2E3
from tomovox.models.tgis import Scoring
from tomovox.schema import IGNORE, TomovoxError

SIGHTED = sorted(set(MAKERS) - {"blind"})
SCORINGS = get_args(Scoring)


def test_batch_of_two_equals_two_batches_of_one(name):
    model, (a, b) = make(name), volumes(2)
    both = last_logits(model, asked([a, b], QUESTIONS[:2], [0, 1]))
    one = last_logits(model, asked([a], QUESTIONS[:1], [0]))
    two = last_logits(model, asked([b], QUESTIONS[1:2], [0]))
    torch.testing.assert_close(both, torch.cat([one, two]), **CLOSE)


def test_padding_changes_nothing(name):
    model, (a,) = make(name), volumes(1)
    short = last_logits(model, asked([a], QUESTIONS[:1], [0]))
    padded = last_logits(model, asked([a], QUESTIONS[:1], [0], extra_padding=5))
    torch.testing.assert_close(short, padded, **CLOSE)


@pytest.mark.parametrize("sighted", SIGHTED)
def test_logits_depend_on_the_volume(sighted):
    model, (a, b) = make(sighted), volumes(2)
    x = last_logits(model, asked([a], QUESTIONS[:1], [0]))
    y = last_logits(model, asked([b], QUESTIONS[:1], [0]))
    assert (x - y).abs().max() > 1e-4


def test_blind_logits_do_not_depend_on_the_volume():
    model, (a, b) = make("blind"), volumes(2)
    x = last_logits(model, asked([a], QUESTIONS[:1], [0]))
    assert torch.equal(x, last_logits(model, asked([b], QUESTIONS[:1], [0])))


def test_each_question_reads_its_own_study(name):
    model, (a, b) = make(name), volumes(2)
    straight = last_logits(model, asked([a, b], [QUESTIONS[0]] * 2, [0, 1]))
    crossed = last_logits(model, asked([a, b], [QUESTIONS[0]] * 2, [1, 0]))
    torch.testing.assert_close(straight, crossed.flip(0), **CLOSE)


def test_perceive_takes_no_text(name):
    assert list(inspect.signature(make(name).perceive).parameters) == ["studies"]


def test_other_text_leaves_the_percept_as_it_was(name, monkeypatch):
    model, voxels = make(name), list(volumes(2))
    percepts, perceive = [], model.perceive
    monkeypatch.setattr(model, "perceive", lambda s: percepts.append(perceive(s)) or percepts[-1])
    for rows in (QUESTIONS[:2], QUESTIONS[2:]):
        last_logits(model, asked(voxels, rows, [0, 1]))
    first, second = (percept.features for percept in percepts)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_labels_never_fall_on_visual_positions(name, two_questions):
    model = make(name)
    spliced, visual = model.read(two_questions)
    width = visual.shared.shape[1] + (0 if visual.own is None else visual.own.shape[1])
    assert (spliced.labels[:, :width] == IGNORE).all()
    assert (spliced.labels != IGNORE).sum() == (two_questions.labels != IGNORE).sum()


def gradients(model, batch) -> tuple[set[str], set[str]]:
    """Return the names of the parameters that train, and of those with a gradient that is not 0."""
    model.train().log = lambda *a, **k: None
    model.training_step(batch, 0).backward()
    named = dict(model.named_parameters())
    training = {key for key, p in named.items() if p.requires_grad}
    moved = {key for key, p in named.items() if p.grad is not None and p.grad.any()}
    return training, moved


def test_what_trains_gets_a_gradient_and_what_is_frozen_none(name, two_questions):
    model = make(name)
    training, moved = gradients(model, two_questions)
    frozen = {k for k, _ in model.named_parameters() if k.split(".")[0] in model.encoders}
    assert training == {k for k, _ in model.named_parameters()} - frozen
    told = {key for key in training if ".told." in key}  # nothing is told of these series
    assert training - told == moved


@pytest.mark.parametrize("tokens", ["both", "3d", "2d"])
@pytest.mark.parametrize("scoring", SCORINGS)
def test_of_every_ablation_of_med2e3_exactly_what_trains_gets_a_gradient(
    scoring, tokens, two_questions
):
    seeing = {"vision3d": vision3d(frozen=False), "vision2d": vision2d(frozen=False)}
    model = make("med2e3", scoring=scoring, score_norm="layer", tokens=tokens, **seeing)
    training, moved = gradients(model, two_questions)
    unread = {key for key in training if "vision2d.body.pool" in key}  # its CLS vector is not used
    assert training - unread == moved


@pytest.mark.parametrize("scoring", SCORINGS)
def test_the_text_projection_trains_exactly_where_the_question_is_read(scoring, two_questions):
    _, moved = gradients(make("med2e3", scoring=scoring), two_questions)
    assert ("tgis.text_mlp.weight" in moved) == (scoring in ("tgis", "top_k"))


@pytest.mark.parametrize("sighted", SIGHTED)
def test_align_trains_the_bridge_alone(sighted):
    model = make(sighted, stage="align")
    trained = {k.split(".")[0] for k, p in model.named_parameters() if p.requires_grad}
    assert trained and trained.isdisjoint({"language", *model.encoders})


def test_lora_trains_adapters_and_leaves_the_base_alone(name):
    model = make(name, language=language(train="lora"))
    trained = [k for k, p in model.language.named_parameters() if p.requires_grad]
    assert trained and all("lora_" in k for k in trained)


def test_save_and_load_reproduces_the_generation(name, tmp_path):
    model, other = make(name, seed=1), make(name, seed=2)
    batch = asked(list(volumes(2)), QUESTIONS, [0, 0, 1, 1])
    save_trained(model, tmp_path / "model.safetensors")
    load_trained(other, tmp_path / "model.safetensors")
    assert torch.equal(model.predict_step(batch).ids, other.predict_step(batch).ids)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    save_trained(make("blind"), tmp_path / "model.safetensors")
    with pytest.raises(TomovoxError, match="made by BlindLM, not Med2E3"):
        load_trained(make("med2e3"), tmp_path / "model.safetensors")


def test_greedy_equals_the_argmax_of_full_forwards(name):
    model, (a,) = make(name), volumes(1)
    prompt = asked([a], [QUESTIONS[0]], [0])
    said: list[int] = []
    while len(said) < model.max_new_tokens and VOCABULARY.eos not in said:
        grown = asked([a], [QUESTIONS[0] + said], [0])
        grown.questions = prompt.questions
        said.append(int(last_logits(model, grown)[0].argmax()))
    assert model.predict_step(prompt).ids[0].tolist() == said


def test_slice_scores_sum_to_one_in_training_too(two_questions):
    model = make("med2e3").train()
    _, visual = model.read(two_questions)
    torch.testing.assert_close(visual.slice_scores.sum(-1), torch.ones(2))


@pytest.mark.parametrize("scoring", SCORINGS)
def test_ablated_scores_sum_to_one(scoring, two_questions):
    _, visual = make("med2e3", scoring=scoring).read(two_questions)
    torch.testing.assert_close(visual.slice_scores.sum(-1), torch.ones(2))


def test_2d_only_med2e3_has_no_shared_tokens(two_questions):
    model = make("med2e3", tokens="2d")
    assert isinstance(model, Med2E3)
    _, visual = model.read(two_questions)
    assert visual.shared.shape[1] == 0 and visual.own is not None


@pytest.mark.parametrize("stacked", ["med2e3", "m3d_lamed"])
def test_a_study_of_three_series_is_refused_where_one_is_read(stacked):
    series = asked(list(volumes(3)), QUESTIONS[:1], [0], study=[0, 0, 0])
    with pytest.raises(TomovoxError, match="needs one series of one size per study"):
        make(stacked)(series)


def test_the_seed_of_random_scores_is_an_argument_of_med2e3(two_questions):
    def scores(seed: int) -> torch.Tensor:
        model = make("med2e3", scoring="random", scoring_seed=seed)
        return model.read(two_questions)[1].slice_scores

    assert torch.equal(scores(1), scores(1)) and not torch.equal(scores(1), scores(2))
