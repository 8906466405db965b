"""Laws that every VolumeLM obeys."""

import inspect

import pytest
import torch
from tiny_models import MAKERS, VOCABULARY, batch_of, language, make, vision2d, volumes

from tomovox.models.checkpoint import load_trained, save_trained
from tomovox.models.med2e3 import Med2E3
from tomovox.models.ms_vlm import MSVLM
from tomovox.schema import IGNORE, Batch, TomovoxError

QUESTIONS = [[5, 6, 7], [8, 9, 10, 11, 12], [13, 14], [5, 9, 30, 2]]
CLOSE = {"atol": 2e-5, "rtol": 1e-4}
SIGHTED = sorted(set(MAKERS) - {"blind"})


def last_logits(model, batch: Batch) -> torch.Tensor:
    """Logits after the last prompt token of left-padded rows."""
    with torch.no_grad():
        return model(batch)[:, -1]


def asked(voxels: list[torch.Tensor], rows: list[list[int]], asks: list[int], **keys) -> Batch:
    return batch_of(voxels, list(range(len(voxels))), rows, None, asks, left=True, **keys)


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


def test_perceive_sees_no_text(name):
    assert list(inspect.signature(make(name).perceive).parameters) == ["studies"]


def test_labels_never_fall_on_visual_positions(name, two_questions):
    model = make(name)
    spliced, visual = model.read(two_questions)
    width = visual.shared.shape[1] + (0 if visual.own is None else visual.own.shape[1])
    assert (spliced.labels[:, :width] == IGNORE).all()
    assert (spliced.labels != IGNORE).sum() == (two_questions.labels != IGNORE).sum()


def test_what_trains_gets_a_gradient_and_what_is_frozen_none(name, two_questions):
    model = make(name).train()
    model.log = lambda *a, **k: None
    model.training_step(two_questions, 0).backward()
    for key, parameter in model.named_parameters():
        frozen = key.split(".")[0] in model.encoders
        assert parameter.requires_grad != frozen
        if not frozen:
            assert parameter.grad is not None, key


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


@pytest.mark.parametrize("scoring", ["uniform", "gaussian", "random", "top_k"])
def test_ablated_scores_sum_to_one(scoring, two_questions):
    _, visual = make("med2e3", scoring=scoring).read(two_questions)
    torch.testing.assert_close(visual.slice_scores.sum(-1), torch.ones(2))


@pytest.mark.parametrize("depth", [1, 2, 7, 40])
def test_ms_vlm_reads_any_number_of_slices(depth):
    model = make("ms_vlm")
    logits = last_logits(model, asked(list(volumes(1, depth=depth)), QUESTIONS[:1], [0]))
    assert torch.isfinite(logits).all()


def test_ms_vlm_reads_512_slices_and_subsamples_above():
    model = make("ms_vlm")
    for depth in (512, 600):
        voxels = [torch.rand(1, depth, 16, 16, generator=torch.Generator().manual_seed(0))]
        percept = model.perceive(asked(voxels, QUESTIONS[:1], [0]).studies)
        assert percept.features["cls"].shape[1] == 512


def test_ms_vlm_padding_to_a_longer_study_changes_nothing():
    model = make("ms_vlm")
    short, long = volumes(1, depth=3)[0], volumes(1, depth=11)[0]
    alone = last_logits(model, asked([short], QUESTIONS[:1], [0]))
    beside = last_logits(model, asked([short, long], [QUESTIONS[0]] * 2, [0, 1]))
    torch.testing.assert_close(alone, beside[:1], **CLOSE)


def order_changes_logits(positions: str) -> float:
    model = _ms_vlm(positions)
    (a,) = volumes(1)
    flipped = a.flip(1)
    x = last_logits(model, asked([a], QUESTIONS[:1], [0]))
    return float((x - last_logits(model, asked([flipped], QUESTIONS[:1], [0]))).abs().max())


def _ms_vlm(positions: str) -> MSVLM:
    torch.manual_seed(3)
    model = MSVLM(
        vision2d=vision2d(),
        width=32,
        layers=1,
        heads=2,
        latents=4,
        resampler_layers=1,
        positions=positions,
        language=language(),
        vocabulary=VOCABULARY,
    )
    model.configure_model()
    return model.eval()


def test_without_positions_ms_vlm_ignores_slice_order():
    assert order_changes_logits("none") < 1e-4


@pytest.mark.parametrize("positions", ["suite", "index"])
def test_with_positions_ms_vlm_sees_slice_order(positions):
    assert order_changes_logits(positions) > 1e-4


def test_2d_only_med2e3_has_no_shared_tokens(two_questions):
    model = make("med2e3", tokens="2d")
    assert isinstance(model, Med2E3)
    _, visual = model.read(two_questions)
    assert visual.shared.shape[1] == 0 and visual.own is not None
