"""Does fused attention read what materialised attention reads, and is the latter never built?"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_drawing import DRAWS, asked_to_draw, drawer, losses
from tiny_models import CLOSE, MAKERS, asked, make, vision3d, volumes
from torch.utils._python_dispatch import TorchDispatchMode

from tomovox.models.blocks import CrossAttention, SelfAttention
from tomovox.models.vit3d import ViT3D


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def materialised(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, attn_mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Attention by its formula, with a weight for every query and key."""
    logits = torch.einsum("uhqc,uhkc->uhqk", q, k) / math.sqrt(q.shape[-1])
    if attn_mask is not None:
        logits = logits.masked_fill(~attn_mask, -torch.inf)
    weights = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return torch.einsum("uhqk,uhkc->uhqc", weights, v)


def two_ways(monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any]) -> tuple[Any, Any]:
    """Return what a call gives as it stands, and with our attention by its formula."""
    plain, used = call(), []

    def noted(*given, **named):
        used.append(given)
        return materialised(*given, **named)

    with monkeypatch.context() as other:
        other.setattr(F, "scaled_dot_product_attention", noted)
        formula = call()
    assert used
    return plain, formula


def three_studies() -> Any:
    """Studies of 8, 5 and 3 slices: MS-VLM hides what they are padded with."""
    voxels = [volumes(1, depth=depth, seed=depth)[0] for depth in (8, 5, 3)]
    return asked(voxels, [[5, 6], [7, 8, 9], [10]], [0, 1, 2])


SEEN = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])[:, None, None]


@pytest.mark.parametrize("mask", [None, SEEN], ids=["all", "padded"])
@torch.no_grad()
def test_tokens_read_each_other_by_the_formula(mask, monkeypatch):
    attention, x = SelfAttention(16, 4), normal(2, 7, 16)
    torch.testing.assert_close(*two_ways(monkeypatch, lambda: attention(x, mask)), **CLOSE)


@pytest.mark.parametrize("mask", [None, SEEN], ids=["all", "padded"])
@torch.no_grad()
def test_queries_read_a_memory_by_the_weights_that_are_shown(mask):
    attention, x, memory = CrossAttention(16, 4), normal(2, 3, 16), normal(2, 7, 16, seed=1)
    values = attention.kv(memory)[..., 16:].unflatten(-1, (4, 4))
    seen = torch.einsum("uhkm,umhc->ukhc", attention.weights(x, memory, mask), values).flatten(2)
    torch.testing.assert_close(attention(x, memory, mask), attention.out_proj(seen), **CLOSE)


@torch.no_grad()
def test_the_3d_encoder_sees_a_volume_by_the_formula(monkeypatch):
    encoder = ViT3D(vision3d()).eval()
    both = two_ways(monkeypatch, lambda: encoder(volumes(2)))
    torch.testing.assert_close(*both, **CLOSE)


@torch.no_grad()
def test_zformer_and_resampler_read_padded_slices_by_the_formula(monkeypatch):
    model, batch = make("ms_vlm"), three_studies()
    percept = model.perceive(batch.studies)
    both = two_ways(monkeypatch, lambda: model.attend(percept, batch.questions).shared)
    torch.testing.assert_close(*both, **CLOSE)


def test_gradients_are_those_of_the_formula(monkeypatch):
    attention, x = SelfAttention(16, 4), normal(2, 7, 16).requires_grad_()
    weights = (x, *attention.parameters())

    def gradients() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(attention(x, SEEN).square().sum(), weights)

    torch.testing.assert_close(*two_ways(monkeypatch, gradients), **CLOSE)


# ---- nothing of the size of queries times keys -------------------------------------------------


class Softmaxes(TorchDispatchMode):
    """Notes the shape of every softmax over heads: what fused attention never builds."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if "softmax" in func.__name__ and isinstance(made, torch.Tensor) and made.ndim > 3:
            self.shapes.append(tuple(made.shape))
        return made


def test_the_formula_would_be_noticed():
    attention = CrossAttention(16, 4)
    with Softmaxes() as seen:
        attention.weights(normal(2, 3, 16), normal(2, 7, 16))
    assert seen.shapes == [(2, 4, 3, 7)]


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_training_step_builds_no_attention_weights(name):
    model = drawer(name).train()
    with Softmaxes() as seen:
        losses(model, asked_to_draw()).backward()
    assert seen.shapes == []


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_prediction_builds_the_attention_weights_that_it_returns_alone(name):
    model, batch = drawer(name), asked_to_draw(answers=None)
    said = model.predict_step(batch).ids
    model.language.vocabulary = replace(DRAWS, seg=int(said[0, 0]))
    with Softmaxes() as seen:
        model.predict_step(batch)
    slice_scores = [(2, 2, 4, 8 + 4)] if name == "ms_vlm" else []  # of a study, over its slices
    assert seen.shapes == slice_scores
