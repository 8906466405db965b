"""Does every recipe at published size train what it says, and does one step of it run?

On the meta device the whole model is built and what trains is counted. One real step runs the same
recipe with every width scaled down: that proves the path, no accuracy.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from published_parts import language_folder, slice_encoder_folder, text_encoder_folder

from tomovox.configuration import Config, instantiate, merged, names_data_class, read_yaml
from tomovox.data.phantom import write_phantom
from tomovox.models.weights import read_config, save_tensors
from tomovox.models.zformer import ZFormerConfig
from tomovox.sizes import build

BASELINES = Path(__file__).resolve().parents[1] / "baselines"
RECIPES = sorted([*BASELINES.glob("*/published*.yaml"), *BASELINES.glob("*/suite*.yaml")])

VIT3D, BERT, SIGLIP_LARGE = 87_389_184, 109_482_240, 303_358_976
"""SIGLIP_LARGE without its last norm (2,048), before which Med-2E3 reads the tokens."""
PHI3_MINI, PHI3_TABLE = 3_821_079_552, 32_064 * 3072
PHI3_LORA, LLAMA2_LORA, LLAMA3_LORA = 25_165_824, 39_976_960, 41_943_040


def mlp(width_in: int, width_out: int) -> int:
    return (width_in + 1) * width_out + (width_out + 1) * width_out


BRIDGE = {"connector3d": mlp(768, 3072), "connector2d": mlp(1024, 3072), "tgis": 769 * 3072}
VIT_B16, HEAD = 85_798_656, 769 * 2048 + 2049 * 2048 + 2049 * 256 + 65_536 * 256
ZFORMER = 985_344 + 85_026_816 + 1_536  # embedding of slices, blocks, norm: our own sizes
SUITE_ZFORMER = ZFORMER + (65 + 8 + 5 + 6 + 4 - 512) * 768
"""In place of 512 positions: places, 8 slots, and 5, 6 and 4 names told of a series."""


def resampler(width: int) -> int:
    """Return the weights of 32 latents in 6 layers of 8 heads of 64, before slices of 768."""
    attention = width * 512 * 3 + (512 + 1) * width + 3 * 2 * width
    layer = attention + (width + 1) * 4 * width + (4 * width + 1) * width
    return 769 * width + 32 * width + 6 * layer + 2 * width


SEQUENCE = {"resampler": resampler(4096), "projector": mlp(4096, 4096)}
TRAINS: dict[str, dict[str, int]] = {
    "blind/published": {"language lora": PHI3_LORA},
    # The pooler is kept and never read.
    "m3d_clip/published": {"clip": VIT3D + BERT - 769 * 768 + 2 * 769 * 768 + 1},
    "m3d_lamed/published_align": {"mm_projector": mlp(768, 3072), "language tables": PHI3_TABLE},
    "m3d_lamed/published": {
        "vision3d": VIT3D,
        "mm_projector": mlp(768, 3072),
        "language tables": 2 * PHI3_TABLE,
        "language lora": PHI3_LORA,
    },
    "m3d_lamed/published_llama2": {
        "vision3d": VIT3D,
        "mm_projector": mlp(768, 4096),
        "language tables": 2 * 32_000 * 4096,
        "language lora": LLAMA2_LORA,
    },
    "m3d_lamed/published_llama3": {
        "vision3d": VIT3D,
        "mm_projector": mlp(768, 4096),
        "language tables": 2 * 128_256 * 4096,
        "language lora": LLAMA3_LORA,
    },
    "med2e3/published_align": BRIDGE,
    "med2e3/published": BRIDGE | {"vision2d": SIGLIP_LARGE, "language": PHI3_MINI},
    "ms_vlm/published_dino": {"student": VIT_B16 + HEAD},
    "ms_vlm/published_mem": {"zformer": ZFORMER, "guess": 769 * 768},
    "ms_vlm/published_align": SEQUENCE,
    "ms_vlm/suite_mem": {"zformer": SUITE_ZFORMER, "guess": 769 * 768, "token": 768},
    "ms_vlm/suite": {
        "zformer": SUITE_ZFORMER,
        "resampler": resampler(1024),
        "projector": mlp(1024, 3072),
        "language lora": 32 * 64 * (3072 + 3 * 3072 + 3072 + 3072),
    },
    "ms_vlm/published": SEQUENCE | {"language lora": 2 * 32 * 64 * (4096 + 4096)},
}
"""Recipe -> the parts that train, with their numbers of parameters. Token tables have the rows of
the bare language model; the tokens that M3D adds are known with the tokenizer."""


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def trained(model: torch.nn.Module) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = name.partition(".")[0]
            if "lora_" in name:
                part = "language lora"
            elif part == "language" and name.endswith(("embed_tokens.weight", "lm_head.weight")):
                part = "language tables"
            counts[part] += parameter.numel()
    if "language" in counts:  # it trains in full, tables and all
        counts["language"] += counts.pop("language tables", 0)
    return dict(counts)


def test_what_trains_is_stated_for_every_recipe():
    assert TRAINS.keys() == {name_of(path) for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_at_published_size_trains_what_it_says(path):
    model = build(path)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert trained(model) == TRAINS[name_of(path)]


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_tells_how_it_is_started_on_one_and_on_more_gpus(path):
    head = path.read_text(encoding="utf-8").partition("\nmodel:")[0]
    assert f"tomovox fit --config baselines/{name_of(path)}.yaml" in head
    assert "# 1 GPU:" in head and "--trainer.devices 1" in head


# ---- one step, every width scaled down -------------------------------------------------------

IMAGE, PATCH, POOLED = [32, 64, 64], [8, 16, 16], 8
ENCODER = {"image": IMAGE, "patch": PATCH, "width": 16, "layers": 2, "heads": 2, "mlp": 16}
SLICE_TOKENS = 16
STEP: Config = {
    "accelerator": "cpu",
    "devices": 1,
    "strategy": "auto",
    "max_steps": 1,
    "limit_val_batches": 1,
    "accumulate_grad_batches": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    """A phantom data set and tiny models in the places of the public ones."""
    folder = tmp_path_factory.mktemp("parts")
    write_phantom(folder / "data", cases=6, seed=0, difficulty="easy", series=2)
    return folder


def zformer_folder(folder: Path, settings: Config) -> Path:
    """Return the folder of a small Z-former for the vectors of `slice_encoder_folder`."""
    config = ZFormerConfig(**{**settings, "width": 16, "layers": 1, "heads": 2})
    width = read_config(str(slice_encoder_folder(folder, "vit")), "vit").hidden_size
    save_tensors(config.build(width).state_dict(), folder / "zformer/model.safetensors")
    return folder / "zformer"


def scaled(recipe: Config, folder: Path) -> Config:
    """Return a recipe with tiny models and data; what trains, rates and number types stay."""
    if "encoder" not in recipe["model"]["init_args"] and names_data_class(recipe):
        named = str(slice_encoder_folder(folder, "vit"))
        small: dict[str, Any] = {"vision2d": {"name": named, "image": 64}}
        data = {"root": str(folder / "data"), "batch_size": 2, "num_workers": 0}
        if "distillation" in recipe["model"]["init_args"]:
            small["distillation"] = {"prototypes": 16, "hidden": 16, "bottleneck": 8}
            data["views"] = {"large_side": 64, "small_side": 32, "small": 1}
        else:
            small["zformer"] = {"width": 16, "layers": 1, "heads": 2}
        changes = {"model": {"init_args": small}, "data": {"init_args": data}}
        return merged(recipe, changes, {"trainer": STEP})
    if names_data_class(recipe):
        text = {"source": None, "vocabulary": 2048, "width": 16, "layers": 1, "heads": 2, "mlp": 16}
        sizes = {"init_args": {"vision3d": ENCODER, "text": text, "width": 16}}
        data = {"root": str(folder / "data"), "tokenizer": None, "batch_size": 2, "num_workers": 0}
        changes = {"model": {"init_args": {"encoder": sizes}}, "data": {"init_args": data}}
        return merged(recipe, changes, {"trainer": STEP})
    arguments = recipe["model"]["init_args"]
    kind = "phi3" if "Phi-3" in arguments["language"]["name"] else "llama"
    language = language_folder(folder, kind)
    small = {"language": {"name": str(language)}, "max_new_tokens": 2}
    tokens = 0
    if "vision3d" in arguments:
        small["vision3d"], tokens = ENCODER | {"weights": None}, POOLED
    if "vision2d" in arguments:
        named = slice_encoder_folder(folder, arguments["vision2d"]["kind"])
        small["vision2d"] = {"name": str(named), "image": 64}
        tokens += SLICE_TOKENS
    if "question" in arguments:
        small["question"] = {"name": str(text_encoder_folder(folder, language)), "weights": None}
    if "latents" in arguments:
        small["zformer"] = {"width": 16, "layers": 1, "heads": 2}
        if arguments["zformer"].get("frozen"):
            small["zformer"]["weights"] = str(zformer_folder(folder, arguments["zformer"]))
        small |= {"latents": 4, "resampler_layers": 1, "resampler_width": 32}
    template = {"tokenizer": str(language)}
    if "volume_tokens" in recipe["data"]["template"]["init_args"]:
        template |= {"volume_tokens": tokens, "max_length": 1024}
    else:
        template |= {"max_length": 1024}
    if "question_tokenizer" in recipe["data"]["template"]["init_args"]:
        template |= {"question_tokenizer": str(language)}
    data = {"root": str(folder / "data"), "batch_size": 2, "num_workers": 0}
    data |= {"template": {"init_args": template}}
    return merged(recipe, {"model": {"init_args": small}, "data": data, "trainer": STEP})


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_one_step_of_a_scaled_down_recipe_moves_every_part_that_trains_and_nothing_else(
    path, parts
):
    cli = instantiate(scaled(read_yaml(path), parts), name_of(path))
    cli.model.configure_model()
    before = {name: p.detach().clone() for name, p in cli.model.named_parameters()}
    idle: set[str] = set()
    cli.model.on_after_backward = lambda: idle.update(
        n for n, p in cli.model.named_parameters() if p.requires_grad and p.grad is None
    )
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    moved = {n for n, p in cli.model.named_parameters() if not torch.equal(p, before[n])}
    moved = {name for name in moved if not name.startswith("teacher.")}  # it follows, untrained
    trains = {n for n, p in cli.model.named_parameters() if p.requires_grad}
    assert moved <= trains
    # DDP waits for the gradient of all that trains; several processes tell every kind of name.
    assert not {name for name in idle if ".told." not in name}
    told = {name.partition(".")[0] for name in trains}
    assert {name.partition(".")[0] for name in moved} == told
    assert {part.partition(" ")[0] for part in TRAINS[name_of(path)]} == told


def test_ms_vlm_s_later_stages_find_the_slice_vectors_that_masked_slices_were_told_from(
    parts, tmp_path
):
    kept = {"model": {"init_args": {"percepts": {"folder": str(tmp_path)}}}}
    epoch = {"trainer": {"max_steps": -1, "max_epochs": 1, "limit_val_batches": 0}}
    counts = {}
    for stage in ("mem", "align"):
        recipe = read_yaml(BASELINES / f"ms_vlm/published_{stage}.yaml")
        cli = instantiate(merged(scaled(recipe, parts), kept, epoch), stage)
        cli.trainer.fit(cli.model, datamodule=cli.datamodule)
        counts[stage] = cli.model.percepts.found, cli.model.percepts.made
    assert counts["mem"][1] and counts["align"][0] and not counts["align"][1]
