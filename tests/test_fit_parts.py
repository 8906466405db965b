"""Does `fit` train a part of MS-VLM by itself, and leave it where the next stage reads it?"""

from pathlib import Path

import pytest
from safetensors.torch import load_file
from test_cli import complaint, write_yaml

from tomovox.cli import main
from tomovox.data.phantom import write_phantom
from tomovox.left_out import count_left_out
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.zformer import ZFormerConfig

ENCODER = {"image": 16, "patch": 4, "width": 32}
ZFORMER = {"width": 32, "layers": 1, "heads": 2}
PLAIN = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
PLAIN |= {"accelerator": "cpu", "max_steps": 2}
VIEWS = {"large_side": 16, "small_side": 8, "small": 1}
HEAD = {"prototypes": 8, "hidden": 16, "bottleneck": 8}
RECIPES = {
    "dino": {
        "model": {
            "class_path": "tomovox.models.self_distillation.SelfDistillation",
            "init_args": {"vision2d": ENCODER, "distillation": HEAD},
        },
        "data": {
            "class_path": "tomovox.data.slice_views.SliceViews",
            "init_args": {"views": VIEWS, "batch_size": 2, "slices_per_volume": 2},
        },
    },
    "mem": {
        "model": {
            "class_path": "tomovox.models.masked_embedding.MaskedEmbedding",
            "init_args": {"vision2d": ENCODER, "zformer": ZFORMER},
        },
        "data": {
            "class_path": "tomovox.data.study_series.StudySeries",
            "init_args": {"batch_size": 2, "series": "case", "tell_series": True},
        },
    },
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "data"
    write_phantom(folder, cases=6, seed=0, shape=(8, 16, 16), difficulty="easy", series=2)
    return folder


def command(folder: Path, root: Path, name: str) -> list[str]:
    config = write_yaml(folder / f"{name}.yaml", RECIPES[name], {"trainer": PLAIN})
    run = ["--trainer.default_root_dir", str(folder / name)]
    return ["fit", "--config", config, "--data.init_args.root", str(root), *run]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, root) -> dict[str, Path]:
    """The RUN folders of both stages; no test changes them."""
    folder = tmp_path_factory.mktemp("fit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["tomovox"])
        patch.chdir(folder)
        assert main(command(folder, root, "dino")) == 0
        encoder = ["--model.init_args.vision2d.weights", str(folder / "dino")]
        assert main([*command(folder, root, "mem"), *encoder]) == 0
    return {name: folder / name for name in RECIPES}


def test_each_stage_leaves_a_part_that_a_recipe_loads(runs):
    encoder = SliceEncoderConfig(**ENCODER, weights=str(runs["dino"])).build()
    zformer = ZFormerConfig(**ZFORMER, weights=str(runs["mem"])).build(32)
    for part, run in ((encoder, runs["dino"]), (zformer, runs["mem"])):
        assert part.state_dict().keys() == load_file(run / "model.safetensors").keys()


def test_a_second_fit_overwrites_no_part(runs, root, capsys):
    folder = runs["dino"].parent
    assert "holds a run already" in complaint(capsys, *command(folder, root, "dino"))


def test_what_cannot_be_read_is_listed_with_the_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tomovox"])
    root = tmp_path / "data"
    write_phantom(root, cases=6, seed=0, shape=(8, 16, 16), difficulty="easy", series=1)
    bad = next(iter(sorted(root.glob("M3D_Cap_npy/*/*/*.npy"))))
    bad.write_bytes(bad.read_bytes()[:200])
    line = command(tmp_path, root, "dino")
    assert main([*line, "--data.init_args.on_bad_volume", "list"]) == 0
    assert count_left_out(tmp_path / "dino").keys() <= {"train"}
