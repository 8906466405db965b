"""One YAML becomes a table, the same way every time."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tomovox.ask import ask, bar
from tomovox.cli import main
from tomovox.experiment import ExperimentRun, read_experiment
from tomovox.schema import TomovoxError, read_predictions

BASELINES = Path(__file__).parents[1] / "baselines"
SIZES = {
    "vision3d": {
        "image": [8, 32, 32],
        "patch": [2, 8, 8],
        "width": 32,
        "layers": 1,
        "heads": 2,
        "mlp": 32,
    },
    "vision2d": {"image": 32, "patch": 8, "width": 64},
    "language": {
        "architecture": {
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "intermediate_size": 32,
        }
    },
}
PARTS = {
    "med2e3": ("vision3d", "vision2d"),
    "m3d_lamed": ("vision3d",),
    "ms_vlm": ("vision2d",),
    "blind": (),
}


def tiny(folder: Path, **changes) -> Path:
    """Write an experiment of all four systems at a size that runs in seconds."""
    models = {
        name: {
            "base": str(BASELINES / name / "tiny.yaml"),
            "model": {"init_args": {p: SIZES[p] for p in ("language", *parts)}},
        }
        for name, parts in PARTS.items()
    }
    models["ms_vlm"]["model"]["init_args"] |= {
        "zformer": {"width": 32, "heads": 2, "layers": 1},
        "latents": 2,
    }
    vision = {"max_steps": 1, "batch_size": 2}
    experiment = {
        "data": {"phantom": {"cases": 8, "shape": [8, 32, 32], "test_cases": 2, "val_cases": 1}},
        "shared": {
            "language": {"fact_steps": 1, "max_steps": 1, "batch_size": 2},
            "vision3d": vision,
            "vision2d": vision,
        },
        "fit": [{"stage": "align", "max_steps": 1}, {"stage": "instruct", "max_steps": 2}],
        "models": models,
        "overrides": {
            "data": {"batch_size": 2, "questions_per_study": 2},
            "model": {"init_args": {"max_new_tokens": 4}},
            "trainer": {"accelerator": "cpu", "enable_progress_bar": False},
        },
        "threads": 1,
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(experiment | changes), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a tiny experiment that ran once."""
    folder = tmp_path_factory.mktemp("experiment")
    ExperimentRun(tiny(folder), folder / "a").run()
    return folder / "a"


def test_the_table_has_every_model_in_both_protocols(done):
    table = pd.read_csv(done / "table.csv")
    assert set(table["model"]) == {"med2e3", "m3d_lamed", "ms_vlm", "blind", "majority"}
    accuracy = table[(table["task"] == "vqa_closed") & (table["metric"] == "accuracy")]
    assert set(accuracy["protocol"]) == {"m3d", "standard"}
    assert (accuracy["n"] > 0).all()


def test_every_model_answers_the_same_records(done):
    ids = [[p.id for p in read_predictions(f)] for f in sorted(done.glob("*/predictions.jsonl"))]
    assert len(ids) == 5 and all(i == ids[0] == sorted(i) for i in ids)


def test_med2e3_and_ms_vlm_score_slices(done):
    for file in done.glob("*/predictions.jsonl"):
        for prediction in read_predictions(file):
            scores = file.parent.name in ("med2e3-s0", "ms_vlm-s0")
            assert bool(prediction.slice_scores) == scores


def test_a_second_run_in_parallel_processes_gives_identical_predictions_and_table(done, tmp_path):
    ExperimentRun(tiny(tmp_path, processes=2), tmp_path / "b").run()
    for file in [*done.glob("*/predictions.jsonl"), done / "table.csv"]:
        other = tmp_path / "b" / file.relative_to(done)
        assert file.read_bytes() == other.read_bytes(), file


def test_a_second_call_trains_nothing(done, tmp_path):
    weights = {f: f.stat().st_mtime_ns for f in done.rglob("*.safetensors")}
    before = (done / "table.csv").read_bytes()
    ExperimentRun(tiny(tmp_path), done).run()
    assert weights == {f: f.stat().st_mtime_ns for f in done.rglob("*.safetensors")}
    assert (done / "table.csv").read_bytes() == before


def test_a_store_that_is_away_stops_nothing_and_its_password_is_not_said(
    done, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = shutil.copytree(done, tmp_path / "a")
    (folder / "table.csv").unlink()
    path = tiny(tmp_path, tracking_uri="http://me:s3cr3tword@127.0.0.1:1")
    assert main(["run", str(path), "--output", str(folder)]) == 0
    said = capsys.readouterr()
    assert "results are on disk, tomovox sync" in said.out and (folder / "table.csv").is_file()
    assert "s3cr3tword" not in said.out + said.err


def test_a_changed_experiment_is_refused_in_the_folder_of_the_old_one(done, tmp_path):
    changed = tiny(tmp_path, overrides={"data": {"batch_size": 3}})
    before = (done / "table.csv").read_bytes()
    with pytest.raises(TomovoxError, match=r"made with another config .*batch_size: 2 -> 3"):
        ExperimentRun(changed, done).run()
    assert (done / "table.csv").read_bytes() == before


def test_a_finished_folder_may_be_moved(done, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(done, moved)
    config = (moved / "blind-s0" / "config.yaml").read_text(encoding="utf-8")
    assert "${experiment}/shared/tokenizer" in config and str(done) not in config
    volume = next((moved / "shared").glob("phantom-*/M3D_Cap_npy/ct_case/*/*.npy"))
    question = "Which plane is the image in?"
    old, new = ask(volume, question, done / "blind-s0"), ask(volume, question, moved / "blind-s0")
    assert old == new


def test_a_prompt_that_tells_the_answer_is_refused(tmp_path):
    layout = {"init_args": {"layout": "<image>{fact}. {question} Answer:", "text_only": True}}
    path = tiny(tmp_path, overrides={"data": {"template": layout}})
    with pytest.raises(TomovoxError, match="text_only belongs to text-only stages"):
        ExperimentRun(path, tmp_path / "out").run()


def test_a_stage_with_too_few_volumes_is_refused(tmp_path):
    shared = {"vision2d": {"max_steps": 1, "batch_size": 100}}
    with pytest.raises(TomovoxError, match=r"volumes .* fewer than shared\.vision2d\.batch_size"):
        ExperimentRun(tiny(tmp_path, shared=shared), tmp_path / "out").run()


def test_several_series_are_refused_for_a_model_of_one_before_anything_is_trained(tmp_path):
    path = tiny(tmp_path, overrides={"data": {"series": "case"}})
    with pytest.raises(TomovoxError, match=r"^m3d_lamed-s0: M3DLaMed reads one series"):
        ExperimentRun(path, tmp_path / "out").run()
    assert not list(tmp_path.glob("out/**/*.safetensors"))


def test_without_a_rate_each_model_keeps_its_own(done):
    config = yaml.safe_load((done / "blind-s0" / "config.yaml").read_text(encoding="utf-8"))
    base = yaml.safe_load((BASELINES / "blind" / "tiny.yaml").read_text(encoding="utf-8"))
    assert config["fit"][0]["lr"] is None
    rates = [c["model"]["init_args"]["optimizer"]["lr"] for c in (config, base)]
    assert rates[0] == rates[1]


def test_ask_answers_about_one_volume_and_shows_the_slices(done):
    volume = next((done / "shared").glob("phantom-*/M3D_Cap_npy/ct_case/*/*.npy"))
    answer = ask(volume, "Which plane is the image in?", done / "med2e3-s0")
    assert len(answer.slice_scores) == 8
    assert sum(answer.slice_scores) == pytest.approx(1, abs=1e-5)


def test_the_bar_has_its_highest_block_at_the_highest_score():
    assert bar([0.1, 0.7, 0.2])[1] == "█"


def test_equal_scores_give_a_flat_bar():
    assert len(set(bar([0.25] * 4))) == 1


def test_an_unknown_key_is_refused_with_the_file_named(tmp_path):
    path = tiny(tmp_path, modells={"x": "y"})
    with pytest.raises(TomovoxError, match=r"tiny\.yaml: .*modells"):
        read_experiment(path)


def test_a_reference_without_a_row_is_refused(tmp_path):
    with pytest.raises(TomovoxError, match="reference 'gpt' is no row; there are blind"):
        read_experiment(tiny(tmp_path, reference="gpt"))


def test_a_labeller_that_there_is_not_is_refused_before_any_training(tmp_path):
    path = tiny(tmp_path, clinical={"labels": "references", "labeller": "nobody"})
    with pytest.raises(TomovoxError, match="labeller 'nobody' is not known"):
        ExperimentRun(path, tmp_path / "out")


def test_a_table_of_labels_stands_beside_the_experiment(tmp_path):
    path = tiny(tmp_path, clinical={"labels": "labels.csv"})
    (path.parent / "labels.csv").write_text("id,Emphysema\na,1\n")
    assert ExperimentRun(path).clinical.labels == str(path.parent / "labels.csv")
