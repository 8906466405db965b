"""Does every published checkpoint fill our models whole, and is a wrong one refused by its keys?"""

from pathlib import Path

import pytest
import torch
from released_models import encoders, lamed, published, write_parts, write_shards
from safetensors.torch import save_file
from tiny_models import CLOSE, make, vision3d

from tomovox.models.m3d_clip import M3DCLIP, TextEncoderConfig
from tomovox.models.med2e3 import QuestionEncoderConfig
from tomovox.models.released import load_released, load_state, merge_lora
from tomovox.models.released_names import M3D_LAMED, MED2E3
from tomovox.models.segmentation import SegVolConfig
from tomovox.models.vit3d import ViT3D
from tomovox.schema import Studies, TomovoxError


def logits(model, batch) -> torch.Tensor:
    with torch.no_grad():
        return model(batch)


def equal(a, b, batch) -> bool:
    return torch.equal(logits(a, batch), logits(b, batch))


# ---- M3D-LaMed -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["model.safetensors", "pytorch_model.bin", "safetensors", "bin"])
def test_m3d_lamed_gives_the_same_logits_from_one_file_or_shards(tmp_path, form, two_questions):
    given, model = lamed(1), lamed(2)
    state = published(given, M3D_LAMED)
    place = tmp_path / "release"
    if "." in form:
        place.mkdir()
        save = torch.save if form.endswith("bin") else save_file
        save(state, place / form)
    else:
        write_shards(state, place, form)
    assert not equal(given, model, two_questions)
    report = load_released(model, place)
    assert equal(given, model, two_questions)
    assert len(report.loaded) == len(state) and not report.faulty


def test_the_mask_head_gives_the_same_mask(tmp_path):
    given, model = lamed(1), lamed(2)
    load_state(model, published(given, M3D_LAMED), "release")
    volume, prompt = torch.rand(1, 1, 8, 16, 16), torch.rand(1, 32)
    with torch.no_grad():
        assert torch.equal(given.seg_module(volume, prompt), model.seg_module(volume, prompt))


def test_weights_of_peft_give_the_same_logits_with_adapters_and_merged(two_questions):
    given = lamed(1, lora=True)
    state = {f"base_model.model.{k}": v for k, v in published(given, M3D_LAMED).items()}
    adapted, plain = lamed(2, lora=True), lamed(3)
    load_state(adapted, state, "model_with_lora.bin")
    assert equal(given, adapted, two_questions)
    load_state(plain, state, "model_with_lora.bin", lora_alpha=8)
    torch.testing.assert_close(logits(plain, two_questions), logits(given, two_questions), **CLOSE)


def test_merged_weights_fill_a_model_whose_adapters_then_have_no_effect(two_questions):
    given = lamed(1)
    model = lamed(2, lora=True)
    for key, value in model.state_dict().items():
        if "lora_B" in key:
            value.zero_()
    report = load_state(model, published(given, M3D_LAMED), "merged")
    assert equal(given, model, two_questions)
    assert len(report.fresh) == 8 and all("lora_" in key for key in report.fresh)


def test_a_recipe_without_mask_head_leaves_it_out_and_says_so(two_questions):
    given, model = lamed(1), lamed(2, masks=False)
    report = load_state(model, published(given, M3D_LAMED), "release")
    assert equal(given, model, two_questions)
    parts = {key.split(".")[1] for key in report.left_out}
    assert parts == {"seg_module", "seg_projector"}
    assert f"{len(report.left_out)} of parts left out" in report.summary()


def test_the_file_of_stage_one_fills_projector_and_embeddings_alone():
    given, model, before = lamed(1), lamed(2), lamed(2)
    state = published(given, M3D_LAMED)
    opening = ("model.mm_projector.", "model.embed_tokens.")
    part = {key: value for key, value in state.items() if key.startswith(opening)}
    assert len(load_state(model, part, "mm_projector.bin").loaded) == 5
    for key, value in published(model, M3D_LAMED).items():
        source = given if key in part else before
        assert torch.equal(value, published(source, M3D_LAMED)[key]), key


def test_a_released_checkpoint_named_in_the_config_fills_every_part(tmp_path, two_questions):
    given = lamed(1)
    save_file(published(given, M3D_LAMED), tmp_path / "model.safetensors")
    model = lamed(2, released=str(tmp_path))
    assert equal(given, model, two_questions)
    assert "loaded" in model.released_report.summary()


# ---- a checkpoint that does not fit ----------------------------------------------------------


def test_a_renamed_a_missing_and_a_mis_shaped_key_are_all_named():
    state = published(lamed(1), M3D_LAMED)
    state["model.layers.0.mlp.gate.weight"] = state.pop("model.layers.0.mlp.gate_proj.weight")
    del state["model.norm.weight"]
    state["lm_head.weight"] = state["lm_head.weight"][:-1]
    with pytest.raises(TomovoxError) as error:
        load_state(lamed(2), state, "bad.bin")
    line = str(error.value)
    assert "\n" not in line and line.startswith("bad.bin: M3D-LaMed: ")
    assert "missing: model.layers.0.mlp.gate_proj.weight, model.norm.weight" in line
    assert "unexpected: model.layers.0.mlp.gate.weight" in line
    assert "other shape: lm_head.weight (39, 32) for (40, 32)" in line


def test_a_refused_checkpoint_changes_no_weight():
    state = published(lamed(1), M3D_LAMED)
    del state["model.norm.weight"]
    model = lamed(2)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(TomovoxError):
        load_state(model, state, "bad.bin")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_checkpoint_of_another_system_is_refused_with_what_fits():
    with pytest.raises(TomovoxError, match=r"no checkpoint for M3DLaMed.*M3D-LaMed, projector and"):
        load_state(lamed(1), {"encoder.weight": torch.ones(1)}, "other.bin")


def test_an_adapter_without_its_other_half_is_refused():
    state = {"a.base_layer.weight": torch.ones(2, 2), "a.lora_A.default.weight": torch.ones(1, 2)}
    with pytest.raises(TomovoxError, match="lora_B or the weight it adapts is missing"):
        merge_lora(state, 1.0)


def test_a_released_file_of_one_stage_is_no_whole_checkpoint(tmp_path):
    state = published(lamed(1), M3D_LAMED)
    opening = ("model.mm_projector.", "model.embed_tokens.")
    torch.save({k: v for k, v in state.items() if k.startswith(opening)}, tmp_path / "x.bin")
    with pytest.raises(TomovoxError, match=r"x.bin: holds no .* more weights"):
        lamed(2, released=str(tmp_path / "x.bin"))
    started = lamed(2, init_from=str(tmp_path / "x.bin"))
    kept = started.mm_projector.projector[0].weight
    assert torch.equal(kept, state["model.mm_projector.projector.0.weight"])


def test_a_leftover_of_an_adapter_is_not_dropped_in_merging():
    state = published(lamed(1, lora=True), M3D_LAMED)
    state.pop(next(key for key in state if "lora_A" in key))
    with pytest.raises(TomovoxError, match=r"unexpected: .*lora_B"):
        load_state(lamed(2), state, "model_with_lora.bin")


def test_the_alpha_of_an_adapter_is_said_and_one_that_differs_is_refused(tmp_path):
    torch.save(published(lamed(1, lora=True), M3D_LAMED), tmp_path / "model_with_lora.bin")
    assert "4 LoRA adapters merged at alpha 8" in load_released(lamed(2), tmp_path, 8).summary()
    (tmp_path / "adapter_config.json").write_text('{"r": 4, "lora_alpha": 16}', "utf-8")
    with pytest.raises(TomovoxError, match="lora_alpha is 16, the recipe says 8"):
        load_released(lamed(2), tmp_path, 8)


def test_two_spellings_of_one_weight_are_refused():
    state = published(lamed(1), M3D_LAMED)
    state["base_model.model.model.norm.weight"] = state["model.norm.weight"] + 1
    with pytest.raises(TomovoxError, match=r"unexpected: base_model.model.model.norm.weight"):
        load_state(lamed(2), state, "twice.bin")


def test_two_values_of_a_shared_weight_are_refused(two_questions):
    state = published(lamed(1), M3D_LAMED)
    with pytest.raises(TomovoxError, match=r"lm_head.weight differs from model.embed_tokens"):
        load_state(make("m3d_lamed", 2), state, "untied.bin")
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    assert load_state(make("m3d_lamed", 2), state, "tied.bin").unused == ["lm_head.weight"]


# ---- Med-2E3 ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def configs(tmp_path_factory) -> dict:
    return encoders(tmp_path_factory.mktemp("encoders"))


def med2e3_state(model) -> dict[str, torch.Tensor]:
    """Return released weights, those that nothing reads included."""
    state = published(model, MED2E3)
    unread = ("vision2d_model.vision_model.head.probe", "vision3d_model.logit_scale")
    return state | {key: torch.ones(1) for key in unread}


@pytest.mark.parametrize("prefix", ["vision_model.", ""])
def test_med2e3_gives_the_same_logits_from_its_parts(tmp_path, configs, prefix, two_questions):
    given, model = make("med2e3", 1, **configs), make("med2e3", 2, **configs)
    state = {k.replace("vision_model.", prefix): v for k, v in med2e3_state(given).items()}
    report = load_released(model, write_parts(state, tmp_path / "release"))
    assert equal(given, model, two_questions)
    assert len(report.unused) == 2


def test_the_text_projection_is_loaded_or_drawn_from_a_seed(tmp_path, configs):
    given = make("med2e3", 1, **configs)
    place = str(write_parts(med2e3_state(given), tmp_path / "release"))

    def projection(**changes) -> torch.nn.Linear:
        return make("med2e3", 2, released=place, **configs, **changes).tgis.text_mlp

    assert torch.equal(projection().weight, given.tgis.text_mlp.weight)
    drawn = projection(text_mlp="random", text_mlp_seed=5)
    assert torch.equal(drawn.weight, projection(text_mlp="random", text_mlp_seed=5).weight)
    assert not torch.equal(drawn.weight, projection(text_mlp="random", text_mlp_seed=6).weight)
    assert float(drawn.weight.detach().std()) == pytest.approx(0.02, rel=0.2)
    assert not drawn.bias.any()


# ---- M3D-CLIP, its ViT, SegVol ---------------------------------------------------------------


def clip(seed: int) -> M3DCLIP:
    torch.manual_seed(seed)
    return M3DCLIP(vision3d(), TextEncoderConfig(40, 16, 1, 2, 24, 16)).eval()


def test_m3d_clip_gives_the_same_logits():
    given, model = clip(1), clip(2)
    state = given.state_dict() | {"language_encoder.embeddings.position_ids": torch.arange(16)}
    report = load_state(model, state, "m3d_clip")
    studies = Studies([torch.rand(1, 8, 16, 16)], torch.tensor([0]))
    ids = torch.tensor([[3, 4, 5]])
    with torch.no_grad():
        for embed in (lambda m: m.embed_studies(studies), lambda m: m.embed_texts(ids, ids > 0)):
            assert torch.equal(embed(given), embed(model))
    assert report.unused == ["language_encoder.embeddings.position_ids"]


@pytest.mark.parametrize("source", ["pretrained_ViT.bin", "m3d_clip", "m3d_lamed"])
def test_a_vision_encoder_is_read_from_every_release_that_holds_one(tmp_path, source):
    if source == "m3d_lamed":
        given = lamed(1)
        encoder, state = given.vision3d, published(given, M3D_LAMED)
    else:
        encoder = clip(1).vision_encoder
        state = encoder.state_dict() if source.endswith("bin") else clip(1).state_dict()
    torch.save(state, tmp_path / "x.bin")
    model = vision3d(weights=str(tmp_path / "x.bin")).build()
    assert isinstance(model, ViT3D)
    volume = torch.rand(1, 1, 8, 16, 16)
    with torch.no_grad():
        assert torch.equal(model(volume), encoder(volume))


def test_the_question_encoder_is_read_from_m3d_clip(tmp_path, configs):
    given = clip(1)
    save_file(given.state_dict(), tmp_path / "model.safetensors")
    folder = tmp_path / "config"
    given.language_encoder.config.save_pretrained(folder)
    question = QuestionEncoderConfig("pooler", str(folder), str(tmp_path))
    model = make("med2e3", 2, **(configs | {"question": question}))
    kept = model.question.body.state_dict()
    assert all(torch.equal(v, kept[k]) for k, v in given.language_encoder.state_dict().items())


@pytest.mark.parametrize("source", ["segvol", "m3d_lamed", "own"])
def test_the_mask_head_is_read_from_segvol_m3d_lamed_or_a_stage_of_ours(tmp_path, source):
    given = lamed(1)
    if source == "segvol":
        state = {f"model.{k}": v for k, v in given.seg_module.state_dict().items()}
        state["model.text_encoder.dim_align.weight"] = torch.ones(1)
    elif source == "own":
        state = given.seg_module.state_dict()
    else:
        state = published(given, M3D_LAMED)
    torch.save(state, tmp_path / "x.bin")
    config = SegVolConfig(vision3d=vision3d(), heads=2, weights=str(Path(tmp_path, "x.bin")))
    kept = config.build().state_dict()
    assert all(torch.equal(v, kept[k]) for k, v in given.seg_module.state_dict().items())
