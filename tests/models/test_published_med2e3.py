"""Do the released weights of Med-2E3 reach the right places, all of them and nothing else?"""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tomovox.models.published_med2e3 import load_published, our_key
from tomovox.schema import TomovoxError

CASE = Path(__file__).parents[1] / "parity" / "med2e3_tiny" / "case.json"


@pytest.fixture
def connector() -> nn.Module:
    """What of a Med2E3 has the fewest weights."""
    model = nn.Module()
    model.connector2d = nn.Sequential(nn.Linear(2, 3))
    return model


@pytest.fixture
def released() -> dict[str, torch.Tensor]:
    opening = "vision2d_connector._connector.0"
    return {f"{opening}.weight": torch.ones(3, 2), f"{opening}.bias": torch.ones(3)}


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        ("llm.model.norm.weight", "language.model.model.norm.weight"),
        ("llm.lm_head.weight", "language.model.lm_head.weight"),
        (
            "vision2d_model.vision2d_encoder.vision_model.encoder.layers.0.mlp.fc1.bias",
            "vision2d.body.tower.encoder.layers.0.mlp.fc1.bias",
        ),
        (
            "vision3d_model.vision3d_encoder.vision_encoder.blocks.0.attn.qkv.weight",
            "vision3d.blocks.0.attn.qkv.weight",
        ),
        (
            "vision3d_model.vision3d_encoder.language_encoder.pooler.dense.bias",
            "question.body.pooler.dense.bias",
        ),
        ("vision2d_connector._connector.2.weight", "connector2d.2.weight"),
        ("vision3d_connector._connector.0.bias", "connector3d.0.bias"),
        ("vision3d_connector.text_mlp.weight", "tgis.text_mlp.weight"),
    ],
)
def test_a_weight_of_every_part_has_our_name(published, ours):
    assert our_key(published) == ours


def test_the_wrapper_names_make_no_difference():
    keys = json.loads(CASE.read_text("utf-8"))["state_dict"]
    for key in keys:
        bare = key
        for wrapper in ("vision2d_encoder.", "vision3d_encoder.", "vision_model."):
            bare = bare.replace(wrapper, "")
        assert our_key(bare) == our_key(key)


@pytest.mark.parametrize(
    "key",
    [
        "vision2d_model.vision2d_encoder.vision_model.head.probe",
        "vision3d_model.vision3d_encoder.mm_vision_proj.weight",
        "vision3d_model.mm_language_proj.bias",
        "vision3d_model.vision3d_encoder.logit_scale",
    ],
)
def test_a_weight_that_is_never_read_has_no_name(key):
    assert our_key(key) is None


@pytest.mark.parametrize(
    "key", ["vision2d_model.logit_scale", "vision3d_connector.taskEmb.weight", "lm_head.weight"]
)
def test_an_unknown_weight_is_refused_by_name(key):
    with pytest.raises(TomovoxError, match=f"^{key}: not a weight of the released Med-2E3"):
        our_key(key)


def test_released_values_arrive(connector, released):
    load_published(connector, released)
    assert all(bool((p == 1).all()) for p in connector.parameters())


def test_a_missing_weight_is_named(connector, released):
    del released["vision2d_connector._connector.0.bias"]
    with pytest.raises(TomovoxError, match=r"missing: connector2d\.0\.bias$"):
        load_published(connector, released)


def test_a_weight_that_the_model_lacks_is_named(connector, released):
    released["vision2d_connector._connector.2.bias"] = torch.ones(3)
    with pytest.raises(TomovoxError, match=r"unexpected: connector2d\.2\.bias$"):
        load_published(connector, released)


def test_a_weight_of_another_shape_is_named(connector, released):
    released["vision2d_connector._connector.0.bias"] = torch.ones(4)
    with pytest.raises(TomovoxError, match=r"connector2d\.0\.bias \(4,\) for \(3,\)"):
        load_published(connector, released)


def test_nothing_is_loaded_when_a_weight_is_missing(connector, released):
    del released["vision2d_connector._connector.0.bias"]
    with pytest.raises(TomovoxError):
        load_published(connector, released)
    assert not bool((connector.connector2d[0].weight == 1).all())
