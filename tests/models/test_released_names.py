"""Does every released key get our name, and ours the released one back?"""

import json
from pathlib import Path

import pytest

from tomovox.models.released_names import LAYOUTS, M3D_LAMED, MED2E3, SEGVOL, recognise

CASES = Path(__file__).parents[1] / "parity"
MED2E3_KEYS = list(
    json.loads((CASES / "med2e3_tiny" / "case.json").read_text("utf-8"))["state_dict"]
)


@pytest.mark.parametrize(
    ("layout", "released", "ours"),
    [
        (MED2E3, "llm.model.norm.weight", "language.model.model.norm.weight"),
        (MED2E3, "llm.lm_head.weight", "language.model.lm_head.weight"),
        (
            MED2E3,
            "vision2d_model.vision_model.encoder.layers.0.mlp.fc1.bias",
            "vision2d.body.tower.encoder.layers.0.mlp.fc1.bias",
        ),
        (
            MED2E3,
            "vision3d_model.vision_encoder.blocks.0.attn.qkv.weight",
            "vision3d.blocks.0.attn.qkv.weight",
        ),
        (
            MED2E3,
            "vision3d_model.language_encoder.pooler.dense.bias",
            "question.body.pooler.dense.bias",
        ),
        (MED2E3, "vision2d_connector._connector.2.weight", "connector2d.2.weight"),
        (MED2E3, "vision3d_connector._connector.0.bias", "connector3d.0.bias"),
        (MED2E3, "vision3d_connector.text_mlp.weight", "tgis.text_mlp.weight"),
        (M3D_LAMED, "model.norm.weight", "language.model.model.norm.weight"),
        (M3D_LAMED, "lm_head.weight", "language.model.lm_head.weight"),
        (M3D_LAMED, "model.vision_tower.vision_tower.norm.bias", "vision3d.norm.bias"),
        (M3D_LAMED, "model.mm_projector.projector.2.bias", "mm_projector.projector.2.bias"),
        (
            M3D_LAMED,
            "model.seg_module.mask_decoder.iou_token.weight",
            "seg_module.mask_decoder.iou_token.weight",
        ),
        (M3D_LAMED, "model.seg_projector.0.weight", "seg_projector.0.weight"),
    ],
)
def test_a_weight_of_every_part_has_our_name_and_its_own_back(layout, released, ours):
    assert layout.ours(released) == ours
    assert layout.released(ours) == released


def test_the_wrapper_names_of_med2e3_make_no_difference():
    for key in MED2E3_KEYS:
        bare = key
        for wrapper in ("vision2d_encoder.", "vision3d_encoder.", "vision_model."):
            bare = bare.replace(wrapper, "")
        assert MED2E3.ours(bare) == MED2E3.ours(key)
        assert MED2E3.is_unused(bare) == MED2E3.is_unused(key)


@pytest.mark.parametrize(
    ("layout", "key"),
    [
        (MED2E3, "vision2d_model.vision2d_encoder.vision_model.head.probe"),
        (MED2E3, "vision3d_model.vision3d_encoder.mm_vision_proj.weight"),
        (MED2E3, "vision3d_model.mm_language_proj.bias"),
        (MED2E3, "vision3d_model.vision3d_encoder.logit_scale"),
        (M3D_LAMED, "model.layers.0.self_attn.rotary_emb.inv_freq"),
        (SEGVOL, "model.text_encoder.clip_text_model.embeddings.position_ids"),
    ],
)
def test_a_weight_that_is_never_read_is_known_as_such(layout, key):
    assert layout.is_unused(key)


@pytest.mark.parametrize("key", ["vision3d_connector.taskEmb.weight", "lm_head.weight", "extra"])
def test_a_key_that_the_release_does_not_have_has_no_name(key):
    assert MED2E3.ours(key) is None


def test_keys_that_peft_wrote_are_the_same_weights():
    peft = "base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight"
    ours = "language.model.model.layers.0.self_attn.q_proj.base_layer.weight"
    assert M3D_LAMED.ours(peft) == ours
    saved = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    assert M3D_LAMED.ours(saved).endswith("q_proj.lora_A.default.weight")


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("med2e3", MED2E3_KEYS),
        ("m3d_lamed", ["model.layers.0.x", "model.mm_projector.projector.0.bias"]),
        (
            "m3d_lamed",
            ["base_model.model.model.layers.0.x", "base_model.model.model.vision_tower."],
        ),
        ("m3d_align", ["model.mm_projector.projector.0.bias", "model.embed_tokens.weight"]),
        ("segvol", ["model.image_encoder.norm.bias", "model.mask_decoder.iou_token.weight"]),
        ("m3d_clip", ["vision_encoder.cls_token", "language_encoder.x", "logit_scale"]),
        ("m3d_vit", ["cls_token", "patch_embedding.position_embeddings", "blocks.0.norm1.bias"]),
    ],
)
def test_a_checkpoint_is_recognised_by_its_keys(name, keys):
    assert recognise(keys).name == name


def test_a_checkpoint_of_another_program_is_not_recognised():
    assert recognise(["encoder.weight", "decoder.bias"]) is None


def test_layouts_have_names_of_their_own():
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS)
