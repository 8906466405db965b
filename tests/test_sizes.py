"""Do counts on shapes alone agree with published figures, with formulas and with a real run?"""

import argparse
import io
import math
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console
from torch.nn.attention import SDPBackend, sdpa_kernel

from tomovox.cli_models import add_models_verb
from tomovox.models.base import count_parameters
from tomovox.models.language import LanguageConfig, LoraSettings
from tomovox.models.m3d_lamed import M3DLaMed
from tomovox.models.segmentation import SegVolConfig
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.splice import Spliced
from tomovox.models.vit3d import ViT3DConfig
from tomovox.schema import Batch, Questions, Studies, TomovoxError, Vocabulary
from tomovox.sizes import (
    TEXT_TOKENS,
    ModelSize,
    build,
    closing_lines,
    gflops,
    nominal_batch,
    nominal_vocabulary,
    print_sizes,
    size_of,
    sizes_of,
)

BASELINES = Path(__file__).resolve().parents[1] / "baselines"
LLAMA2, PHI3 = "meta-llama/Llama-2-7b-chat-hf", "microsoft/Phi-3-mini-4k-instruct"
TARGETS = {
    LLAMA2: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    PHI3: ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
}


@cache
def published(system: str) -> ModelSize:
    return size_of(BASELINES / system / "published.yaml")


def near(measured: float, told: float) -> bool:
    return math.isclose(measured, told, rel_tol=0.01)


# ---- parameters ------------------------------------------------------------------------------


def test_the_published_vit_has_its_published_size():
    with torch.device("meta"):
        assert count_parameters(ViT3DConfig().build())[1] == 87_389_184


@pytest.mark.parametrize(
    ("name", "rows", "total"), [(LLAMA2, 32004, 6_983_026_640), (PHI3, 32015, 4_049_100_752)]
)
def test_m3d_lamed_with_its_mask_head_has_the_size_of_its_checkpoint(name, rows, total):
    model = M3DLaMed(
        vision3d=ViT3DConfig(),
        mask_head=SegVolConfig(),
        language=LanguageConfig(name=name, grow=True, dtype="bfloat16"),
        vocabulary=Vocabulary(size=rows, placeholder=rows, pad=0, eos=2),
    )
    with torch.device("meta"):
        model.configure_model()
    assert count_parameters(model)[1] == total


@pytest.mark.parametrize(("name", "adapters"), [(LLAMA2, 39_976_960), (PHI3, 25_165_824)])
def test_lora_adds_what_the_published_adapters_hold(name, adapters):
    config = LanguageConfig(name=name, train="lora", lora=LoraSettings(targets=TARGETS[name]))
    with torch.device("meta"):
        language = config.build(nominal_vocabulary(config))
    assert sum(p.numel() for n, p in language.named_parameters() if "lora_" in n) == adapters


def test_med2e3_is_the_sum_of_its_parts():
    model = build(BASELINES / "med2e3" / "published.yaml")
    siglip_block = 4 * (1024**2 + 1024) + 2 * 1024 * 4096 + 4096 + 1024 + 4 * 1024
    siglip_stem = 3 * 16**2 * 1024 + 1024 + 256 * 1024
    parts = {name: count_parameters(part)[1] for name, part in model.named_children()}
    assert parts == {
        "language": 3_821_079_552,  # Phi-3-mini
        "vision3d": 87_389_184,
        "vision2d": siglip_stem + 24 * siglip_block + 2 * 1024,
        "connector3d": 768 * 3072 + 3072 + 3072 * 3072 + 3072,
        "connector2d": 1024 * 3072 + 3072 + 3072 * 3072 + 3072,
        "question": 109_482_240,  # BERT base with its pooler
        "tgis": 768 * 3072 + 3072,
    }


# ---- GFLOPs ----------------------------------------------------------------------------------


def test_the_vit_costs_what_its_formula_says():
    with torch.device("meta"):
        vit, volume = ViT3DConfig().build().requires_grad_(False), torch.empty(1, 1, 32, 256, 256)
    tokens, width = 2049, 768
    linears = tokens * width * (3 * width + width + 2 * 3072)
    attention = 2 * tokens**2 * width
    stem = 2048 * 1024 * width
    told = 2e-9 * (stem + 12 * (linears + attention))
    assert gflops(vit, volume)[1] == pytest.approx(told, rel=1e-9)


def test_the_vit_costs_the_published_503_gflops_per_volume():
    assert near(published("m3d_lamed").perceive, 503)


def test_siglip_costs_the_published_5154_gflops_for_32_slices():
    name = "google/siglip-large-patch16-256"
    with torch.device("meta"):
        encoder = SliceEncoderConfig(kind="siglip", name=name, image=256).build()
        slices = torch.empty(32, 1, 256, 256)
    assert near(gflops(encoder.requires_grad_(False), slices)[1], 5154)


def test_phi3_costs_the_published_4384_gflops_for_all_logits_of_572_positions():
    config = LanguageConfig(name=PHI3)
    with torch.device("meta"):
        language = config.build(nominal_vocabulary(config)).requires_grad_(False)
        spliced = Spliced(torch.empty(1, 572, 3072), torch.ones(1, 572, dtype=torch.bool), None)
    assert near(gflops(language.logits, spliced)[1], 4384)


def test_the_2d_connector_and_tgis_cost_57_of_the_published_206_gflops():
    connector3d = 2e-9 * 256 * (768 * 3072 + 3072 * 3072)
    bert = 2e-9 * TEXT_TOKENS * 12 * 12 * 768**2
    assert near(published("med2e3").attend - connector3d - bert, 57)


@pytest.mark.parametrize("system", ["blind", "m3d_lamed", "med2e3", "ms_vlm"])
def test_a_run_with_values_costs_what_shapes_alone_say(system):
    recipe = BASELINES / system / "tiny.yaml"
    told = size_of(recipe)
    model = build(recipe).requires_grad_(False).to_empty(device="cpu").eval()
    batch = with_values(nominal_batch(model), model.vocabulary.placeholder)
    with sdpa_kernel(SDPBackend.MATH):  # the CPU's fused attention is not counted
        percept, perceive = gflops(model.perceive, batch.studies)
        (spliced, _), attend = gflops(model.read_percept, percept, batch)
        _, prefill = gflops(model.language.greedy, spliced, 1)
    assert (perceive, attend, prefill) == (told.perceive, told.attend, told.prefill)


def with_values(batch: Batch, placeholder: int) -> Batch:
    study = batch.studies.study
    ids = torch.zeros(batch.input_ids.shape, dtype=torch.long)
    ids[0, 0] = placeholder
    seen = torch.ones_like(ids, dtype=torch.bool)
    questions = Questions([""], ids[:, 1:], seen[:, 1:], study)
    volume = torch.rand(batch.studies.voxels[0].shape)
    return Batch(Studies([volume], study), questions, ids, seen, None, [])


# ---- recipes and the table -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "tokens"), [("blind", 0), ("m3d_lamed", 256), ("med2e3", 512), ("ms_vlm", 32)]
)
def test_visual_tokens_are_those_of_the_published_system(system, tokens):
    assert published(system).visual_tokens == tokens


def test_an_embedding_model_has_a_cost_per_volume_and_none_per_question():
    size = size_of(BASELINES / "m3d_clip" / "tiny.yaml")
    assert size.perceive and size.question is None and "no question" in size.note


@pytest.mark.needs_smollm2
def test_models_that_come_in_packages_are_counted_from_their_files():
    model = build(BASELINES / "med2e3" / "smol.yaml")
    smollm2, adapters, minilm = 134_515_008, 4_884_480, 22_565_376
    assert count_parameters(model.language) == (adapters, smollm2 + adapters)
    assert count_parameters(model.question) == (0, minilm)


def test_a_system_without_recipe_is_listed_with_nothing_counted(tmp_path):
    (tmp_path / "majority").mkdir()
    (tmp_path / "majority" / "README.md").touch()
    recipe = tmp_path / "blind.yaml"
    recipe.write_bytes((BASELINES / "blind" / "tiny.yaml").read_bytes())
    *_, floor = sizes_of([tmp_path])
    figures = {f.name: getattr(floor, f.name) for f in fields(floor)}
    assert figures.pop("recipe") == "majority" and figures.pop("note")
    assert set(figures.values()) == {None}


def test_a_figure_that_is_missing_prints_n_a_and_never_0():
    console = Console(width=110, file=io.StringIO(), record=True)
    print_sizes([ModelSize("majority", note="no recipe")], console)
    row = next(line for line in console.export_text().splitlines() if "majority" in line)
    assert row.count("n/a") == 6 and "0" not in row


def test_a_broken_recipe_of_a_folder_is_listed_with_its_reason(tmp_path):
    (tmp_path / "typo.yaml").write_text("model: {class_path: nowhere.Model}\n", encoding="utf-8")
    (size,) = sizes_of([tmp_path])
    assert "nowhere" in size.note and closing_lines([size])[-1] == "0 counted, 1 not"


def test_a_broken_recipe_that_is_named_stops_with_one_line(tmp_path):
    recipe = tmp_path / "patches.yaml"
    config = yaml.safe_load((BASELINES / "m3d_lamed" / "tiny.yaml").read_text(encoding="utf-8"))
    config["model"]["init_args"]["vision3d"]["patch"] = [5, 16, 16]
    recipe.write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.raises(TomovoxError, match=r"^.*patches\.yaml: .*do not fill.*$"):
        list(sizes_of([recipe]))


def test_a_folder_without_recipes_says_what_to_give(tmp_path):
    with pytest.raises(TomovoxError, match="give YAML files"):
        list(sizes_of([tmp_path / "baselines"]))


def test_the_closing_lines_say_what_a_flop_is_and_the_nominal_sizes():
    text = " ".join(closing_lines([]))
    assert "1 multiply-add = 2 FLOPs" in text and f"{TEXT_TOKENS} text" in text


def test_the_verb_prints_a_row_of_the_recipe_it_is_given(monkeypatch, capsys):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # the verb sets it when nobody has
    parser = argparse.ArgumentParser()
    add_models_verb(parser.add_subparsers())
    options = parser.parse_args(["models", str(BASELINES / "blind" / "tiny.yaml")])
    assert options.handler(options) == 0
    assert "blind/tiny" in capsys.readouterr().out
