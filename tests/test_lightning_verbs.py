"""Does `fit` leave a run that predict, score and ask can read, and say what it did?"""

import json
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import yaml
from test_cli import RECIPE, SIZE, complaint, volumes, write_yaml

from tomovox.ask import ask
from tomovox.cell import load_run
from tomovox.cli import main
from tomovox.data.phantom import write_phantom
from tomovox.left_out import count_left_out
from tomovox.lightning_verbs import predict_run
from tomovox.schema import read_predictions

PLAIN = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "data"
    write_phantom(folder, cases=6, seed=0, shape=SIZE, difficulty="easy", series=1)
    return folder


def fit(folder: Path, root: Path, *arguments: str) -> Path:
    """Fit the tiny recipe; return the RUN folder, which is `folder`/run."""
    config = write_yaml(folder / "tiny.yaml", RECIPE, {"trainer": PLAIN})
    run = folder / "run"
    given = ["--config", config, "--data.root", str(root), "--trainer.default_root_dir", str(run)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["tomovox"])
        patch.chdir(folder)
        assert main(["fit", *given, *arguments]) == 0
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory, root) -> Path:
    """A RUN that `fit` left and `predict` answered; no test changes it."""
    folder = fit(tmp_path_factory.mktemp("chain"), root)
    assert main(["predict", str(folder)]) == 0
    return folder


# ---- the chain -------------------------------------------------------------------------------


def test_fit_leaves_a_run_that_loads(run):
    model, _ = load_run(run)
    assert type(model).__name__ == "M3DLaMed"


def test_the_run_names_its_own_tokenizer_wherever_it_lies(run):
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert config["data"]["template"]["init_args"]["tokenizer"] == "${run}/tokenizer"
    assert config.keys() == {"seed_everything", "trainer", "model", "data", "threads"}


def test_a_run_of_fit_is_answered_with_its_own_number_of_threads_on_any_machine(tmp_path, root):
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        folder = fit(tmp_path, root)
    finally:
        torch.set_num_threads(before)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        counted = lambda *_, **__: seen.append(torch.get_num_threads())  # noqa: E731
        patch.setattr("tomovox.lightning_verbs.answer_all", counted)
        predict_run(folder)
    assert seen == [before + 1]


def test_predict_answers_every_test_record(run):
    _, data = load_run(run)
    data.setup("predict")
    wanted = {record.id for study in data.predict_studies() for record in study}
    assert {p.id for p in read_predictions(run / "predictions.jsonl")} == wanted


def test_a_run_of_fit_is_scored(run, capsys):
    assert main(["score", str(run)]) == 0
    assert json.loads((run / "results.json").read_text(encoding="utf-8"))["left_out"] == {}
    assert "vqa_closed" in capsys.readouterr().out


def test_a_run_of_fit_is_asked(run, root):
    assert isinstance(ask(volumes(root)[0], "Which plane?", run).text, str)


def test_a_cut_prediction_continues_to_the_same_file(tmp_path, root, run):
    other = fit(tmp_path, root)
    whole = (run / "predictions.jsonl").read_bytes()
    (other / "predictions.partial.jsonl").write_bytes(whole[: len(whole) // 2])
    assert main(["predict", str(other)]) == 0
    assert (other / "predictions.jsonl").read_bytes() == whole


def test_a_second_predict_answers_nothing_again(run):
    before = (run / "predictions.jsonl").stat().st_mtime_ns
    predict_run(run)
    assert (run / "predictions.jsonl").stat().st_mtime_ns == before


def test_answers_of_another_split_are_not_mixed_in(run, capsys):
    assert "other records" in complaint(capsys, "predict", str(run), "--split", "val")


def test_another_data_root_that_is_missing_is_one_line(run, capsys):
    line = complaint(capsys, "predict", str(run), "--data.root", "nowhere")
    assert "nowhere" in line


def test_a_folder_that_is_no_run_is_one_line(tmp_path, capsys):
    assert "not a run" in complaint(capsys, "predict", str(tmp_path))


def test_fit_never_overwrites_a_run(run, root, capsys):
    config = write_yaml(run.parent / "again.yaml", RECIPE, {"trainer": PLAIN})
    given = ["--config", config, "--data.root", str(root), "--trainer.default_root_dir", str(run)]
    assert "holds a run already" in complaint(capsys, "fit", *given)


# ---- what fit says and does without being told -----------------------------------------------


def test_fit_trains_for_one_epoch_when_nothing_says_how_long(run):
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert config["trainer"]["max_epochs"] == 1


def test_steps_are_not_cut_to_one_epoch(tmp_path, root):
    folder = fit(tmp_path, root, "--trainer.max_steps", "5")
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert config["trainer"]["max_epochs"] is None and config["trainer"]["max_steps"] == 5


def test_fit_says_how_to_go_on_and_which_encoder_stays_random(tmp_path, root, capsys):
    fit(tmp_path, root)
    said = " ".join(capsys.readouterr().out.split())
    assert "run: run; ask it with tomovox ask ... --checkpoint run, predict with" in said
    assert "vision3d: frozen at random weights" in said


@pytest.fixture
def one_slurm_task(monkeypatch):
    """The variables of a SLURM job of one task; the group that it makes ends with the test."""
    for key, value in {"JOB_ID": "7", "JOB_NAME": "job", "NTASKS": "1"}.items():
        monkeypatch.setenv(f"SLURM_{key}", value)
    for key in ("PROCID", "LOCALID", "NODEID"):
        monkeypatch.setenv(f"SLURM_{key}", "0")
    for key in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(key, "")
        monkeypatch.delenv(key)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


def test_a_scheduler_that_starts_one_process_of_two_is_told_of(
    tmp_path, root, capsys, one_slurm_task
):
    config = write_yaml(tmp_path / "tiny.yaml", RECIPE, {"trainer": PLAIN})
    given = ["--config", config, "--data.root", str(root), "--trainer.devices", "2"]
    folder = ["--trainer.default_root_dir", str(tmp_path / "run"), "--trainer.strategy", "ddp"]
    line = complaint(capsys, "fit", *given, *folder)
    assert "need 2 processes, and 1 run" in line and "srun --ntasks-per-node=2" in line
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_fit_counts_what_it_left_out_by_split(tmp_path, capsys):
    root = tmp_path / "data"
    write_phantom(root, cases=6, seed=0, shape=SIZE, difficulty="easy", series=1)
    images = (root / "M3D-VQA/M3D_VQA_train.csv").read_text(encoding="utf-8").splitlines()
    bad = root / images[1].split(",")[0]
    bad.write_bytes(bad.read_bytes()[:500])
    run = fit(tmp_path, root, "--data.on_bad_volume", "list")
    counts = count_left_out(run)
    assert counts.keys() == {"train"}
    assert f"train {counts['train']} records" in capsys.readouterr().out
