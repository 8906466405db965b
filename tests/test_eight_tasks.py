"""Do all eight tasks run from one file to the table, and show n/a where a model cannot answer?"""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from tomovox.experiment import ExperimentRun, read_experiment
from tomovox.metrics.masks import read_mask_file
from tomovox.schema import Task, TomovoxError, read_predictions

BASELINES = Path(__file__).parents[1] / "baselines"
VIT = {"image": [8, 32, 32], "patch": [2, 8, 8], "width": 32, "layers": 1, "heads": 2, "mlp": 32}
LANGUAGE = {
    "architecture": {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 32,
    }
}
TASKS = [task.value for task in Task if task not in (Task.RETRIEVAL, Task.CASE_REPORT)]


def written(folder: Path, **changes) -> Path:
    head = {"vision3d": VIT, "heads": 2, "mlp": 32}
    text = {"vocabulary": 2048, "width": 32, "layers": 1, "heads": 2, "mlp": 32}
    experiment = {
        "data": {
            "phantom": {
                "cases": 10,
                "shape": [8, 32, 32],
                "difficulty": "easy",
                "test_cases": 3,
                "val_cases": 1,
                "series": 1,
                "organ_masks": True,
                "organ_shift": 0.15,
                "refseg": True,
            }
        },
        "shared": {
            "vision3d": {"max_steps": 1, "batch_size": 2},
            "mask_head": {"max_steps": 1, "batch_size": 2},
        },
        "fit": [{"stage": "instruct", "max_steps": 2}],
        "models": {
            "m3d_clip": {
                "base": str(BASELINES / "m3d_clip" / "tiny.yaml"),
                "model": {"init_args": {"encoder": {"init_args": {"vision3d": VIT, "text": text}}}},
                "data": {"init_args": {"batch_size": 2}},
                "trainer": {"max_epochs": 1, "accelerator": "cpu"},
            },
            "m3d_lamed": {
                "base": str(BASELINES / "m3d_lamed" / "tiny.yaml"),
                "model": {"init_args": {"vision3d": VIT, "language": LANGUAGE, "mask_head": head}},
            },
            "blind": {
                "base": str(BASELINES / "blind" / "tiny.yaml"),
                "model": {"init_args": {"language": LANGUAGE}},
            },
        },
        "floors": ["majority", "mean_place", "nearest_report"],
        "controls": ["left_right"],
        "overrides": {
            "data": {"batch_size": 2, "questions_per_study": 3, "tasks": TASKS},
            "model": {"init_args": {"max_new_tokens": 3}},
            "trainer": {"accelerator": "cpu", "enable_progress_bar": False},
        },
        "threads": 1,
    }
    path = folder / "eight.yaml"
    path.write_text(yaml.safe_dump(experiment | changes), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a tiny experiment of all tasks that ran once."""
    folder = tmp_path_factory.mktemp("eight")
    ExperimentRun(written(folder), folder / "a").run()
    return folder / "a"


def models_of(done: Path, task: str) -> set[str]:
    table = pd.read_csv(done / "table.csv")
    return set(table[table["task"] == task]["model"])


def test_all_eight_tasks_stand_in_the_table_in_both_protocols(done):
    table = pd.read_csv(done / "table.csv")
    assert set(table["task"]) == {*TASKS, "retrieval"}
    for task, rows in table.groupby("task"):
        assert set(rows["protocol"]) == {"m3d", "standard"}, task


def test_a_model_has_rows_for_what_it_can_do_and_no_others(done):
    assert models_of(done, "retrieval") == {"m3d_clip"}
    assert models_of(done, "seg_semantic") == {"m3d_lamed", "mean_place"}
    assert models_of(done, "rec") == {"m3d_lamed", "blind", "majority", "mean_place"}
    assert models_of(done, "report") == {"m3d_lamed", "blind", "majority", "nearest_report"}
    assert "n/a" in (done / "table.md").read_text("utf-8")


def test_stages_are_made_once_and_said_below_the_table(done):
    made = sorted(path.parent.name.split("-")[0] for path in done.glob("shared/*/stage.json"))
    assert made == ["mask_head", "vision3d"]
    notes = (done / "notes.txt").read_text("utf-8").splitlines()
    assert "mask head pretrained on training cases, masks of all classes: m3d_lamed-s0" in notes
    assert any(n.endswith("(boxes): m3d_clip-s0, m3d_lamed-s0") for n in notes)


def test_every_answered_mask_lies_in_a_file_with_its_target(done):
    for row in ("m3d_lamed-s0", "mean_place-s0"):
        asked = [
            p
            for p in read_predictions(done / row / "predictions.jsonl")
            if p.task in (Task.SEG_SEMANTIC, Task.SEG_REFERRING)
        ]
        assert asked
        for prediction in asked:
            drawn, true = read_mask_file(done / row / prediction.mask, prediction.id)
            assert drawn.shape == true.shape == (8, 32, 32)
            assert prediction.soft[1] == true.sum()


def test_a_mask_of_a_tampered_volume_is_measured_by_the_untouched_truth(done):
    row = done / "m3d_lamed-s0"
    control = row / "controls" / "left_right"
    drawn = [p for p in read_predictions(control / "predictions.jsonl") if p.mask]
    assert drawn
    for prediction in drawn:
        _, true = read_mask_file(row / prediction.mask, prediction.id)
        _, kept = read_mask_file(control / prediction.mask, prediction.id)
        assert (true == kept).all()


def test_a_second_call_makes_nothing_again(done):
    kept = {f: f.stat().st_mtime_ns for f in done.glob("*/predictions.jsonl")}
    weights = {f: f.stat().st_mtime_ns for f in done.rglob("*.safetensors")}
    ExperimentRun(written(done.parent), done).run()
    assert kept == {f: f.stat().st_mtime_ns for f in kept}
    assert weights == {f: f.stat().st_mtime_ns for f in weights}


def test_a_dual_encoder_that_was_trained_is_read_again_for_its_predictions(done):
    file = done / "m3d_clip-s0" / "predictions.jsonl"
    before = file.read_bytes()
    file.unlink()
    ExperimentRun(written(done.parent), done).run()
    assert file.read_bytes() == before


def test_mean_places_without_masks_are_refused(tmp_path):
    tasks = {"data": {"batch_size": 2, "tasks": ["report"]}}
    experiment = read_experiment(written(tmp_path))
    changed = written(tmp_path, floors=["mean_place"], overrides=experiment.overrides | tasks)
    with pytest.raises(TomovoxError, match="mean_place: no task has masks to average"):
        ExperimentRun(changed, tmp_path / "out").run()


def test_floors_without_a_model_that_answers_are_refused(tmp_path):
    models = {"m3d_clip": str(BASELINES / "m3d_clip" / "tiny.yaml")}
    with pytest.raises(TomovoxError, match="no model answers questions"):
        ExperimentRun(written(tmp_path, models=models), tmp_path / "out").run()
