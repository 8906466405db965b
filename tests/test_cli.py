"""Does the command do what it is asked, and say in one line what is wrong with what it is given?"""

import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from tomovox.cell import load_run
from tomovox.cli import main
from tomovox.configuration import instantiate, merged
from tomovox.data.phantom import write_phantom
from tomovox.models.checkpoint import save_trained
from tomovox.schema import TomovoxError

SIZE = (8, 32, 32)
LANGUAGE = {
    "model_type": "llama",
    "architecture": {
        **{"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
        **{"num_key_value_heads": 2, "intermediate_size": 32, "max_position_embeddings": 512},
        "tie_word_embeddings": True,
    },
}
VISION = {"image": [*SIZE], "patch": [4, 16, 16], "width": 32, "layers": 1, "heads": 2, "mlp": 32}
RECIPE = {
    "model": {
        "class_path": "tomovox.models.m3d_lamed.M3DLaMed",
        "init_args": {"vision3d": VISION, "language": LANGUAGE, "max_new_tokens": 2},
    },
    "data": {
        "template": {
            "class_path": "tomovox.data.prompts.Template",
            "init_args": {"layout": "<image> {question} Answer:"},
        },
        "batch_size": 2,
    },
    "trainer": {"accelerator": "cpu", "devices": 1},
}
NONSENSE_SCORING = {
    "base": "tiny.yaml",
    "model": {
        "class_path": "tomovox.models.med2e3.Med2E3",
        "init_args": {
            "vision2d": {"kind": "conv", "image": 32, "patch": 16, "width": 32},
            "scoring": "nonsense",
        },
    },
}
PLAIN = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
VQA = "M3D-VQA/M3D_VQA_train.csv"


@pytest.fixture(scope="session")
def phantom(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "data"
    write_phantom(root, cases=5, seed=0, shape=SIZE, difficulty="easy", series=1)
    return root


@pytest.fixture
def root(phantom, tmp_path) -> Path:
    """A copy of the phantom that a test may break."""
    return Path(shutil.copytree(phantom, tmp_path / "data"))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tomovox"])


def write_yaml(path: Path, *contents) -> str:
    path.write_text(yaml.safe_dump(merged(*contents)), encoding="utf-8")
    return str(path)


def experiment(tmp_path: Path, root: Path, **changes) -> str:
    write_yaml(tmp_path / "tiny.yaml", RECIPE)
    content = {
        "data": {"root": str(root)},
        "fit": [{"stage": "instruct", "max_steps": 1}],
        "models": {"tiny": "tiny.yaml"},
        "overrides": {"data": {"tasks": ["vqa_closed"]}},
        "threads": 1,
    }
    return write_yaml(tmp_path / "experiment.yaml", content, changes)


def fit(tmp_path: Path, root: Path, *arguments: str) -> list[str]:
    config = write_yaml(tmp_path / "tiny.yaml", RECIPE, {"trainer": PLAIN})
    steps = ["--trainer.max_steps", "1", "--trainer.limit_val_batches", "0"]
    return ["fit", "--config", config, "--data.root", str(root), *steps, *arguments]


def complaint(capsys, *arguments: str) -> str:
    """Run the command; return the one line it ends with, its exit code being 2."""
    code = main(arguments)
    lines = capsys.readouterr().err.splitlines()
    assert (code, len(lines)) == (2, 1), lines
    assert lines[0].startswith("tomovox: ") and "Traceback" not in lines[0]
    return lines[0]


def volumes(root: Path) -> list[Path]:
    return sorted((root / "M3D_Cap_npy").glob("*/*/*.npy"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


# ---- data that cannot be used ----------------------------------------------------------------


def first_row(root: Path, column: int, cell: str) -> None:
    lines = (root / VQA).read_text(encoding="utf-8").splitlines()
    cells = lines[1].split(",")
    cells[column] = cell
    (root / VQA).write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")


def every_volume(change):
    def apply(root: Path) -> None:
        for path in volumes(root):
            change(path)

    return apply


def pickled(path: Path) -> None:
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)


BREAKAGES = {
    "missing column": (lambda r: edit(r / VQA, "Question Type", "Kind"), "Question Type"),
    "choice column absent": (lambda r: edit(r / VQA, "Choice C", "Choice Z"), "Choice C"),
    "empty csv": (lambda r: (r / VQA).write_text(""), "M3D_VQA_train.csv"),
    "path escape": (lambda r: first_row(r, 0, "../../secret.npy"), "row 0"),
    "absolute path": (lambda r: first_row(r, 0, "/secret.npy"), "row 0"),
    "no such volume": (every_volume(Path.unlink), "no such volume"),
    "unreadable volume": (every_volume(lambda p: p.write_text("no volume")), ".npy"),
    "truncated volume": (every_volume(lambda p: p.write_bytes(p.read_bytes()[:500])), "cut off"),
    "pickled volume": (every_volume(pickled), "pickled"),
    "data root missing": (shutil.rmtree, "check the data root"),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_bad_data_stop_fit_with_one_line(capsys, tmp_path, root, name):
    change, word = BREAKAGES[name]
    change(root)
    arguments = fit(tmp_path, root, "--data.tasks", "[vqa_closed]")
    assert word in complaint(capsys, *arguments)


@pytest.mark.parametrize("name", ["choice column absent", "truncated volume", "data root missing"])
def test_bad_data_stop_an_experiment_with_one_line(capsys, tmp_path, root, name):
    change, word = BREAKAGES[name]
    change(root)
    assert word in complaint(capsys, "run", experiment(tmp_path, root))


def test_a_bad_volume_in_a_worker_is_one_line_too(capsys, tmp_path, root):
    every_volume(lambda path: path.write_bytes(path.read_bytes()[:500]))(root)
    assert "cut off" in complaint(capsys, *fit(tmp_path, root, "--data.num_workers", "1"))


def mix_sizes(root: Path) -> None:
    sizes = [(1, 8, 32, 32), (1, 8, 32, 16)]
    for number, path in enumerate(volumes(root)):
        np.save(path, np.random.default_rng(0).random(sizes[number % 2], dtype=np.float32))


@pytest.mark.parametrize("shared", [{}, {"vision3d": {"max_steps": 1, "batch_size": 3}}])
def test_volumes_of_two_sizes_stop_an_experiment_with_one_line(capsys, tmp_path, root, shared):
    mix_sizes(root)
    changes = {"overrides": {"data": {"batch_size": 3}}, "shared": shared}
    assert "mixes volumes" in complaint(capsys, "run", experiment(tmp_path, root, **changes))


def test_volumes_of_two_sizes_are_one_line(capsys, tmp_path, root):
    mix_sizes(root)
    arguments = fit(tmp_path, root, "--data.batch_size", "3")
    assert "prepare the data to" in complaint(capsys, *arguments)


def test_an_unknown_split_is_one_line(capsys, tmp_path, root):
    changes = {"overrides": {"data": {"test_split": "tset"}}}
    assert "tset" in complaint(capsys, "run", experiment(tmp_path, root, **changes))


# ---- experiment files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"models": {"tiny": NONSENSE_SCORING}}, "scoring"),
        ({"floors": ["nonsense"]}, "nonsense"),
        ({"modles": 1}, "modles"),
        ({"fit": [{"stage": "instruct", "max_step": 1}]}, "max_step"),
        ({"threads": "many"}, "threads"),
        ({"models": {"tiny": "absent.yaml"}}, "absent.yaml"),
        ({"overrides": {"data": {"batch_sise": 1}}}, "batch_sise"),
        ({"overrides": {"model": {"init_args": {"visionn": 1}}}}, "visionn"),
    ],
)
def test_a_wrong_key_or_name_is_one_line(capsys, tmp_path, phantom, changes, word):
    assert word in complaint(capsys, "run", experiment(tmp_path, phantom, **changes))


@pytest.mark.parametrize("content", ["a: [", "- 1", "a: b: c", None])
def test_a_broken_or_missing_yaml_is_one_line(capsys, tmp_path, content):
    path = tmp_path / "experiment.yaml"
    if content is not None:
        path.write_text(content)
    assert "experiment.yaml" in complaint(capsys, "run", str(path))


# ---- runs ------------------------------------------------------------------------------------


def run_of(folder: Path, root: Path, system: str) -> Path:
    """Write a RUN folder whose config is M3D-LaMed and whose weights are of `system`."""
    template = {"data": {"root": str(root), "tasks": ["vqa_closed"]}}
    config = merged(RECIPE, template)
    folder.mkdir()
    write_yaml(folder / "config.yaml", config, {"fit": [{"stage": "instruct", "max_steps": 1}]})
    if system == "BlindLM":
        parts = {"language": LANGUAGE, "max_new_tokens": 2}
        config |= {"model": {"class_path": "tomovox.models.floors.BlindLM", "init_args": parts}}
    stage = {"model": {"init_args": {"stage": "instruct"}}}
    model = instantiate(merged(config, stage, {"trainer": PLAIN}), "run").model
    model.configure_model()
    save_trained(model, folder / "model.safetensors")
    return folder


def test_a_run_is_loaded_with_its_weights(tmp_path, phantom):
    model, _ = load_run(run_of(tmp_path / "run", phantom, "M3DLaMed"))
    assert type(model).__name__ == "M3DLaMed"


def test_a_checkpoint_of_another_model_is_one_line(capsys, tmp_path, phantom):
    run = run_of(tmp_path / "run", phantom, "BlindLM")
    scan = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(np.random.default_rng(0).random((9, 9, 9)), np.eye(4)), scan)
    line = complaint(capsys, "ask", str(scan), "Which plane?", "--checkpoint", str(run))
    assert "BlindLM" in line and "M3DLaMed" in line


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(TomovoxError, match="not a run"):
        load_run(tmp_path)


# ---- fit -------------------------------------------------------------------------------------


def test_fit_trains_on_a_tree_and_keeps_its_config(tmp_path, phantom):
    assert main(fit(tmp_path, phantom)) == 0
    assert (tmp_path / "config.yaml").is_file()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--trainer.max_steps", "many"], "trainer.max_steps"),
        (["--data.rot", "x"], "data.rot"),
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--data.batch_size", "0"], "batch_size"),
        (["--trainer.accelerator", "abacus"], "accelerator"),
        (["--model.init_args.visionn", "1"], "visionn"),
    ],
)
def test_a_wrong_argument_of_fit_is_one_line(capsys, tmp_path, phantom, arguments, word):
    assert word in complaint(capsys, *fit(tmp_path, phantom, *arguments))


# ---- the command itself ----------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["bogus"], ["data"], ["data", "check"], ["run"]])
def test_a_wrong_command_is_one_line(capsys, arguments):
    assert "--help" in complaint(capsys, *arguments)


def test_the_real_command_prints_no_traceback(tmp_path):
    command = [sys.executable, "-m", "tomovox.cli", "data", "check", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
