"""Do the verbs of `tomovox checkpoint` say what is there, and end as a script expects?"""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tomovox.cli import main
from tomovox.data.phantom import write_phantom
from tomovox.models.vit3d import ViT3D, ViT3DConfig

VIT = ViT3DConfig((8, 16, 16), (2, 4, 4), 32, 2, 2, 48)
RECIPE = """
model:
  class_path: tomovox.models.m3d_lamed.M3DLaMed
  init_args:
    vision3d: {image: [32, 64, 64], patch: [16, 32, 32], width: 16, layers: 1, heads: 2, mlp: 16}
    language:
      architecture:
        {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16}
    max_new_tokens: 2
data:
  batch_size: 1
  questions_per_study: 1
  template: {class_path: tomovox.data.prompts.Template}
trainer: {accelerator: cpu, max_steps: 1, limit_val_batches: 0, enable_model_summary: false}
"""


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    torch.save(ViT3D(VIT).state_dict(), tmp_path / "pretrained_ViT.bin")
    return tmp_path / "pretrained_ViT.bin"


def test_inspect_names_the_system_and_its_size(vit, capsys):
    assert main(["checkpoint", "inspect", str(vit)]) == 0
    out = capsys.readouterr().out
    assert "3D ViT of M3D-CLIP" in out and "float32" in out
    assert f"{sum(p.numel() for p in ViT3D(VIT).parameters()):,}" in out


def test_inspect_ends_with_1_when_a_weight_is_missing(vit, capsys):
    state = ViT3D(VIT).state_dict()
    del state["blocks.1.norm1.bias"]
    torch.save(state, vit)
    assert main(["checkpoint", "inspect", str(vit)]) == 1
    assert "missing: blocks.1.norm1.bias" in capsys.readouterr().out


def test_inspect_refuses_what_is_no_checkpoint_in_one_line(tmp_path, capsys):
    save_file({"a": torch.ones(1)}, tmp_path / "x.safetensors")
    assert main(["checkpoint", "inspect", str(tmp_path / "x.safetensors")]) == 2
    assert main(["checkpoint", "inspect", str(tmp_path / "nothing")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_run_is_exported_under_released_names(tmp_path, monkeypatch, capsys):
    write_phantom(tmp_path / "data", cases=4, seed=0, difficulty="easy", series=1)
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tomovox"])
    assert main(["fit", "--config", "recipe.yaml", "--data.root", "data"]) == 0
    run = next(Path("lightning_logs").glob("version_*"))
    assert main(["checkpoint", "export", str(run), "out"]) == 0
    state = load_file("out/model.safetensors")
    assert "model.vision_tower.vision_tower.cls_token" in state
    assert "model.mm_projector.projector.2.weight" in state and "lm_head.weight" in state
    assert {"config.json", "tokenizer.json"} <= {p.name for p in Path("out").iterdir()}
    assert main(["checkpoint", "inspect", "out"]) == 0
    assert main(["checkpoint", "export", str(run), "out"]) == 2
    assert "is not empty" in capsys.readouterr().err
