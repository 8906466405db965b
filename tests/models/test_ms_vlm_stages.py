"""Laws of MS-VLM's four stages: what trains in each, and what of a prompt carries loss."""

from pathlib import Path

import pytest
import torch
from tiny_models import language, make, trained_zformer, vision2d, zformer

from tomovox.models.language import LoraSettings
from tomovox.models.masked_embedding import MaskedEmbedding
from tomovox.models.self_distillation import DistillationConfig, SelfDistillation
from tomovox.schema import IGNORE

HEAD = DistillationConfig(prototypes=8, hidden=16, bottleneck=8)


def trained(module: torch.nn.Module) -> set[str]:
    return {name.partition(".")[0] for name, p in module.named_parameters() if p.requires_grad}


def staged(stage: str, folder: Path) -> torch.nn.Module:
    """Return the module of a stage as the published recipes set it."""
    if stage == "self-distillation":
        module = SelfDistillation(vision2d(), HEAD)
    elif stage == "masked slices":
        module = MaskedEmbedding(vision2d(), zformer())
    else:
        lora = language(train="lora", lora=LoraSettings(rank=2, targets=["q_proj"]))
        kept = zformer(frozen=True, weights=trained_zformer(folder))
        return make("ms_vlm", stage=stage, language=lora, zformer=kept)
    module.configure_model()
    return module


@pytest.mark.parametrize(
    ("stage", "parts"),
    [
        ("self-distillation", {"student"}),
        ("masked slices", {"zformer", "guess", "token"}),
        ("align", {"resampler", "projector"}),
        ("instruct", {"resampler", "projector", "language"}),
    ],
)
def test_each_stage_trains_its_own_parts_alone(stage, parts, tmp_path):
    assert trained(staged(stage, tmp_path)) == parts


def test_of_the_language_model_adapters_train_alone(tmp_path):
    model = staged("instruct", tmp_path)
    names = [n for n, p in model.language.named_parameters() if p.requires_grad]
    assert names and all("lora_" in name for name in names)


def test_the_loss_is_that_of_the_answer_s_tokens_alone(two_questions):
    model = make("ms_vlm")
    spliced, _ = model.read(two_questions)
    answers = [row[row != IGNORE].tolist() for row in spliced.labels]
    assert answers == [[20, 21, 1], [22, 1]]
    told = model.language.logits(spliced).log_softmax(-1)
    by_hand = [
        -told[row, place - 1, spliced.labels[row, place]]
        for row, place in (spliced.labels != IGNORE).nonzero().tolist()
    ]
    loss, _ = model.language.loss(spliced)
    torch.testing.assert_close(loss, torch.stack(by_hand).mean())
