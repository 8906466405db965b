"""Does the question encoder of Med-2E3 come from its name, whole, frozen and unsaved?"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import make

from tomovox.models.checkpoint import kept_state, load_trained, save_trained
from tomovox.models.med2e3 import QuestionEncoderConfig
from tomovox.schema import TomovoxError


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=40, intermediate_size=32, hidden_dropout_prob=0.5, **sizes)
    BertModel(config).save_pretrained(folder)
    return folder


def model(bert: Path, kind: str, **changes):
    return make("med2e3", question=QuestionEncoderConfig(kind, str(bert)), **changes)


def vectors(med2e3, questions):
    with torch.no_grad():
        return med2e3.question(questions, med2e3.language)


@pytest.mark.parametrize("kind", ["mean", "pooler"])
def test_a_question_gives_a_vector_of_the_encoder_s_width(bert, kind, two_questions):
    assert vectors(model(bert, kind), two_questions.questions).shape == (2, 24)


def test_the_pooler_is_the_one_of_the_folder(bert):
    state = load_file(bert / "model.safetensors")
    kept = model(bert, "pooler").question.body.state_dict()["pooler.dense.weight"]
    assert torch.equal(kept, state["pooler.dense.weight"])


def test_an_encoder_without_its_pooler_is_refused(bert, tmp_path):
    for path in bert.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    state = load_file(bert / "model.safetensors")
    kept = {k: v for k, v in state.items() if not k.startswith("pooler")}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TomovoxError, match=r"question encoder .*weights are missing, such as pool"):
        model(tmp_path, "pooler")


def test_a_folder_that_holds_no_encoder_is_refused(tmp_path):
    with pytest.raises(TomovoxError, match=r"question encoder .*cannot be loaded"):
        model(tmp_path, "mean")


def test_padding_changes_no_vector(bert, two_questions):
    questions = two_questions.questions
    med2e3 = model(bert, "mean")
    before = vectors(med2e3, questions)
    questions.ids = torch.nn.functional.pad(questions.ids, (0, 3), value=7)
    questions.mask = torch.nn.functional.pad(questions.mask, (0, 3), value=False)
    assert torch.allclose(vectors(med2e3, questions), before, atol=1e-6)


def test_questions_that_are_asked_twice_are_read_once(bert, two_questions):
    med2e3, questions = model(bert, "pooler"), two_questions.questions
    rows = torch.tensor([0, 1, 0, 0, 1])
    asked = replace(
        questions, ids=questions.ids[rows], mask=questions.mask[rows], study=questions.study[rows]
    )
    read: list[int] = []
    med2e3.question.body.register_forward_pre_hook(
        lambda _, args, given: read.append(len(given["input_ids"])), with_kwargs=True
    )
    found = vectors(med2e3, asked)
    assert read == [2]
    torch.testing.assert_close(found, vectors(med2e3, questions)[rows])


def test_an_end_that_is_padding_for_one_question_is_none_for_another(bert, two_questions):
    questions = two_questions.questions
    ids = questions.ids[:1].repeat(2, 1)
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[0, -1] = False
    first, second = vectors(model(bert, "mean"), replace(questions, ids=ids, mask=mask))
    assert not torch.allclose(first, second)


def test_training_leaves_no_dropout_in_the_frozen_encoder(bert, two_questions):
    med2e3 = model(bert, "mean").train()
    first = vectors(med2e3, two_questions.questions)
    assert torch.equal(first, vectors(med2e3, two_questions.questions))


def test_the_encoder_trains_in_no_stage(bert):
    for stage in ("align", "instruct"):
        parts = model(bert, "mean", stage=stage).question.parameters()
        assert not any(p.requires_grad for p in parts)


def test_a_checkpoint_leaves_out_the_encoder_that_its_name_gives_back(bert):
    assert not any(key.startswith("question.") for key in kept_state(model(bert, "mean")))


def test_a_next_stage_starts_from_a_checkpoint_without_the_encoder(bert, tmp_path):
    first = model(bert, "mean", stage="align")
    save_trained(first, tmp_path / "align.safetensors")
    second = model(bert, "mean", seed=1, init_from=str(tmp_path / "align.safetensors"))
    assert torch.equal(second.tgis.text_mlp.weight, first.tgis.text_mlp.weight)


def test_a_trained_model_is_restored_without_the_encoder(bert, tmp_path, two_questions):
    first, second = model(bert, "mean"), model(bert, "mean", seed=1)
    save_trained(first, tmp_path / "model.safetensors")
    load_trained(second, tmp_path / "model.safetensors")
    with torch.no_grad():
        assert torch.equal(first(two_questions), second(two_questions))
