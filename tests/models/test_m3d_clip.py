"""Is M3D-CLIP the published dual encoder: unit vectors, its loss, its keys and sizes?"""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny_models import vision3d, volumes

from tomovox.models.m3d_clip import M3DCLIP, TextEncoderConfig
from tomovox.schema import Studies, TomovoxError

TEXT = TextEncoderConfig(vocabulary=50, width=32, layers=2, heads=2, mlp=48, positions=16)
IDS = torch.tensor([[2, 7, 8, 3], [2, 9, 3, 0], [2, 11, 12, 3]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]])


@pytest.fixture(scope="module", params=["cls", "mean"])
def model(request: pytest.FixtureRequest) -> M3DCLIP:
    torch.manual_seed(0)
    return M3DCLIP(vision3d(), replace(TEXT, pooling=request.param)).eval()


def studies(seed: int = 0) -> Studies:
    return Studies(list(volumes(3, seed)), torch.arange(3))


def test_volumes_lie_on_the_unit_sphere(model):
    torch.testing.assert_close(model.embed_studies(studies()).norm(dim=-1), torch.ones(3))


def test_texts_lie_on_the_unit_sphere(model):
    torch.testing.assert_close(model.embed_texts(IDS, MASK).norm(dim=-1), torch.ones(3))


def test_padding_changes_no_text_embedding(model):
    padded, mask = F.pad(IDS, (0, 5), value=33), F.pad(MASK, (0, 5))
    torch.testing.assert_close(model.embed_texts(padded, mask), model.embed_texts(IDS, MASK))


def test_a_text_embedding_does_not_depend_on_its_neighbours(model):
    alone = model.embed_texts(IDS[1:2, :3], MASK[1:2, :3])
    torch.testing.assert_close(alone, model.embed_texts(IDS, MASK)[1:2])


def test_the_loss_is_the_mean_cross_entropy_of_rows_and_columns(model):
    logits = model.logit_scale * model.embed_studies(studies()) @ model.embed_texts(IDS, MASK).T
    expected = -(logits.log_softmax(1).diag().mean() + logits.log_softmax(0).diag().mean()) / 2
    torch.testing.assert_close(model.loss(studies(), IDS, MASK), expected)


def test_the_loss_reaches_both_encoders_both_projections_and_the_scale(model):
    model.zero_grad()
    model.loss(studies(), IDS, MASK).backward()
    reached = {name for name, weight in model.named_parameters() if weight.grad is not None}
    unused = {"language_encoder.pooler.dense.weight", "language_encoder.pooler.dense.bias"}
    assert reached == {name for name, _ in model.named_parameters()} - unused


def test_the_scale_starts_at_the_logarithm_that_is_never_exponentiated(model):
    assert model.logit_scale.item() == pytest.approx(math.log(1 / 0.07))


def test_the_scale_may_start_elsewhere():
    assert M3DCLIP(vision3d(), TEXT, logit_scale=14.0).logit_scale.item() == 14.0


def test_the_default_sizes_are_those_of_the_released_model():
    with torch.device("meta"):
        published = M3DCLIP()
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in
             published.named_children()}  # fmt: skip
    assert parts["vision_encoder"] == 87_389_184
    assert parts["language_encoder"] == 109_482_240  # bert-base-uncased with its pooler
    assert parts["mm_vision_proj"] == parts["mm_language_proj"] == 768 * 768 + 768


def test_heads_that_do_not_fit_the_text_encoder_are_named():
    with pytest.raises(TomovoxError, match="width 32 is not a multiple of 3 heads"):
        TextEncoderConfig(width=32, heads=3).build()
