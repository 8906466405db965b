"""Does looking into a checkpoint tell its system, its sizes and what it lacks?"""

import pytest
import torch
from released_models import lamed, published
from safetensors.torch import save_file
from tiny_models import vision3d

from tomovox.models.released_inspect import gaps, inspect_released
from tomovox.models.released_names import M3D_LAMED
from tomovox.models.vit3d import ViT3D
from tomovox.schema import TomovoxError


def written(tmp_path, state):
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "x.safetensors")
    return inspect_released(tmp_path / "x.safetensors")


def test_a_whole_checkpoint_lacks_nothing_and_every_parameter_counts(tmp_path):
    model = lamed(1)
    contents = written(tmp_path, published(model, M3D_LAMED))
    assert contents.layout is M3D_LAMED
    assert (contents.absent, contents.gaps, contents.strange) == ([], [], [])
    buffers = sum(b.numel() for n, b in model.named_buffers() if n in model.state_dict())
    assert contents.parameters == sum(p.numel() for p in model.parameters()) + buffers


def test_number_types_are_counted_by_part(tmp_path):
    state = published(lamed(1), M3D_LAMED)
    state["lm_head.weight"] = state["lm_head.weight"].bfloat16()
    parts = {part.name: part for part in written(tmp_path, state).parts}
    assert dict(parts["lm_head."].dtypes) == {"bfloat16": 1}
    assert dict(parts["model."].dtypes) == {"float32": parts["model."].tensors}


def test_a_part_without_weights_is_named(tmp_path):
    state = published(lamed(1, masks=False), M3D_LAMED)
    assert written(tmp_path, state).absent == ["model.seg_module.", "model.seg_projector."]


def test_a_weight_that_other_layers_have_is_missed():
    weights = ("attn.weight", "attn.bias")
    state = {f"blocks.{n}.{w}": torch.ones(1) for n in range(3) for w in weights}
    del state["blocks.1.attn.bias"]
    assert gaps(state) == ["blocks.1.attn.bias"]
    del state["blocks.1.attn.weight"]
    assert gaps(state) == ["blocks.1.attn.bias", "blocks.1.attn.weight"]


@pytest.mark.parametrize(
    "weight",
    [
        "model.norm.weight",
        "model.embed_tokens.weight",
        "model.mm_projector.projector.0.bias",
        "model.vision_tower.vision_tower.cls_token",
    ],
)
def test_a_weight_outside_of_any_stack_is_missed(tmp_path, weight):
    state = published(lamed(1), M3D_LAMED)
    del state[weight]
    assert written(tmp_path, state).gaps == [weight]


def test_last_layers_are_missed_by_the_config_beside_the_weights(tmp_path):
    state = published(lamed(1), M3D_LAMED)
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 3}', "utf-8")
    assert written(tmp_path, state).gaps == ["model.layers.2.*"]


def test_a_key_that_the_system_does_not_have_is_strange(tmp_path):
    state = published(lamed(1), M3D_LAMED) | {"extra": torch.ones(1)}
    assert written(tmp_path, state).strange == ["extra"]


def test_a_checkpoint_of_no_known_system_is_refused(tmp_path):
    with pytest.raises(TomovoxError, match=r"keys of no known system, such as a.weight"):
        written(tmp_path, {"a.weight": torch.ones(1)})


def test_an_encoder_of_the_tiny_scale_lacks_nothing(tmp_path):
    encoder = ViT3D(vision3d(stem="conv"))
    assert written(tmp_path, encoder.state_dict()).gaps == []


@pytest.mark.parametrize("content", ["[]", "{", '{"num_hidden_layers": "3"}', "3"])
def test_a_config_that_counts_no_layers_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content, "utf-8")
    with pytest.raises(TomovoxError, match=r"config\.json: "):
        written(tmp_path, published(lamed(1), M3D_LAMED))


def test_a_layer_far_away_is_no_stack_of_so_many(tmp_path):
    state = published(lamed(1), M3D_LAMED) | {"model.layers.999999999999.a": torch.ones(1)}
    assert len(written(tmp_path, state).gaps) < 100


def test_a_config_of_countless_layers_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 1000000000000}', "utf-8")
    with pytest.raises(TomovoxError, match="num_hidden_layers"):
        written(tmp_path, published(lamed(1), M3D_LAMED))
