"""Are the controls of a row made once, from its own weights, and scored as the row is?"""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from test_experiment import BASELINES, SIZES, tiny

from tomovox.cell import Cell
from tomovox.control_cell import control_folder, control_notes, controls_of, missing_controls
from tomovox.experiment import ExperimentRun, read_experiment
from tomovox.predict import PARTIAL
from tomovox.schema import PREDICTIONS, TomovoxError, read_predictions, to_line

CONTROLS = ["no_image", "other_patient"]
MODELS = ("med2e3", "blind")


def written(folder: Path, **changes) -> Path:
    """Write a tiny experiment of one model that reads volumes and one that is blind."""
    path = tiny(folder)
    experiment = yaml.safe_load(path.read_text(encoding="utf-8"))
    experiment["models"] = {name: experiment["models"][name] for name in MODELS}
    experiment |= {"fit": [{"stage": "instruct", "max_steps": 1}], **changes}
    path.write_text(yaml.safe_dump(experiment), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Path, int]]:
    """A tiny experiment's folder, run without controls, then with; what the first run had made."""
    folder = tmp_path_factory.mktemp("controls")
    ExperimentRun(written(folder), folder / "a").run()
    before = times(folder / "a")
    ExperimentRun(written(folder, controls=CONTROLS), folder / "a").run()
    return folder / "a", before


@pytest.fixture
def done(twice) -> Path:
    """The folder of an experiment that is finished, with two controls."""
    return twice[0]


def times(folder: Path) -> dict[Path, int]:
    """Return when each file of weights and predictions was written."""
    weights, rows = folder.rglob("*.safetensors"), folder.glob(f"*/{PREDICTIONS}")
    found = [*weights, *rows, *folder.glob(f"*/controls/*/{PREDICTIONS}")]
    return {file: file.stat().st_mtime_ns for file in found}


def rerun(done: Path) -> None:
    """Run the experiment with its controls once more."""
    ExperimentRun(written(done.parent, controls=CONTROLS), done).run()


# ---- what is made ------------------------------------------------------------------------------


def test_only_a_model_that_reads_volumes_has_controls(done):
    made = sorted(str(f.parent.relative_to(done)) for f in done.glob(f"*/controls/*/{PREDICTIONS}"))
    assert made == ["med2e3-s0/controls/no_image", "med2e3-s0/controls/other_patient"]
    assert not list(done.glob(f"*/controls/*/{PARTIAL}"))


def test_a_control_answers_the_records_of_its_row(done):
    row = done / "med2e3-s0"
    asked = [(p.id, p.question, p.reference) for p in read_predictions(row / PREDICTIONS)]
    for control in CONTROLS:
        said = read_predictions(control_folder(row, control) / PREDICTIONS)
        assert [(p.id, p.question, p.reference) for p in said] == asked


def test_a_model_that_reads_volumes_is_moved_by_another_volume(done):
    row = done / "med2e3-s0"
    scores = [
        [p.slice_scores for p in read_predictions(folder / PREDICTIONS)]
        for folder in (row, *(control_folder(row, control) for control in CONTROLS))
    ]
    assert scores[0] != scores[1] != scores[2] != scores[0]


def test_controls_added_to_a_finished_experiment_make_nothing_else(twice):
    folder, before = twice
    added = times(folder).keys() - before.keys()
    row = folder / "med2e3-s0"
    assert added == {control_folder(row, control) / PREDICTIONS for control in CONTROLS}
    assert before.items() <= times(folder).items()


# ---- a second call -----------------------------------------------------------------------------


def test_a_second_call_makes_no_control_again(done):
    kept = times(done)
    rerun(done)
    assert times(done) == kept


def test_only_the_control_that_is_missing_is_made(done):
    kept = times(done)
    lost = control_folder(done / "med2e3-s0", "other_patient") / PREDICTIONS
    content = lost.read_bytes()
    lost.unlink()
    rerun(done)
    assert lost.read_bytes() == content
    assert {file for file, time in times(done).items() if time != kept[file]} == {lost}


def test_a_control_that_was_cut_goes_on_where_it_stopped(done):
    folder = control_folder(done / "med2e3-s0", "no_image")
    content = (folder / PREDICTIONS).read_bytes()
    answers = list(read_predictions(folder / PREDICTIONS))
    first = [to_line(p) for p in answers if p.case == answers[0].case]
    (folder / PREDICTIONS).unlink()
    (folder / PARTIAL).write_text("".join(f"{line}\n" for line in first), encoding="utf-8")
    timing = (folder / "timing.jsonl").read_text("utf-8").splitlines()
    rerun(done)
    added = (folder / "timing.jsonl").read_text("utf-8").splitlines()[len(timing) :]
    assert (folder / PREDICTIONS).read_bytes() == content
    assert 0 < len(added) < len(timing)


# ---- scores and notes --------------------------------------------------------------------------


def test_controls_are_scored_by_model_seed_and_control(done):
    run = ExperimentRun(written(done.parent, controls=CONTROLS), done)
    folders = run.folders(run.cells()[0])
    controlled = {key: folder for key, folder in folders.items() if key[2] != "none"}
    assert controlled == {
        ("med2e3", 0, control): control_folder(done / "med2e3-s0", control) for control in CONTROLS
    }
    table = pd.read_csv(done / "table.csv")
    for (_, _, control), folder in controlled.items():
        tasks = set(table[table["control"] == control]["task"])
        assert tasks == {"vqa_closed", "vqa_open", "report"}
        assert (folder / "results.json").is_file()


def test_the_table_has_a_row_of_each_control(done):
    table = pd.read_csv(done / "table.csv")
    assert set(table[table["model"] == "med2e3"]["control"]) == {"none", *CONTROLS}
    assert set(table[table["model"] != "med2e3"]["control"]) == {"none"}


def test_the_notes_say_which_models_have_no_controls_and_why(done):
    notes = (done / "notes.txt").read_text("utf-8").splitlines()
    assert "blind-s0: no controls, it has no encoder of volumes" in notes
    assert any(note.startswith("controls (no_image, other_patient): ") for note in notes)


def test_a_floor_has_neither_controls_nor_a_note():
    config = yaml.safe_load((BASELINES / "med2e3" / "tiny.yaml").read_text(encoding="utf-8"))
    cell = Cell("majority", 0, Path("x"), config, [], floor=True)
    assert controls_of(cell, CONTROLS) == ()
    assert not any("majority" in note for note in control_notes([cell], CONTROLS))


def test_without_controls_there_is_nothing_to_make_or_to_say(done):
    run = ExperimentRun(written(done.parent), done)
    cells = run.cells()[0]
    assert {control for _, _, control in run.folders(cells)} == {"none"}
    assert control_notes(cells, []) == []
    assert not any(missing_controls(cell) for cell in cells)


def test_an_unknown_control_is_refused_with_the_file_named(tmp_path):
    path = written(tmp_path, controls=["no_image", "blur"])
    with pytest.raises(TomovoxError, match=r"tiny\.yaml: unknown controls blur; known: no_image"):
        read_experiment(path)


# ---- dual encoders -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an experiment of a dual encoder alone, with two controls."""
    folder = tmp_path_factory.mktemp("pairs")
    ExperimentRun(clip(folder), folder / "a").run()
    return folder / "a"


def clip(folder: Path) -> Path:
    """Write a tiny experiment of a dual encoder with controls."""
    text = {"vocabulary": 2048, "width": 32, "layers": 1, "heads": 2, "mlp": 32}
    model = {"encoder": {"init_args": {"vision3d": SIZES["vision3d"], "text": text}}}
    recipe = {
        "base": str(BASELINES / "m3d_clip" / "tiny.yaml"),
        "model": {"init_args": model},
        "data": {"init_args": {"batch_size": 2}},
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    }
    return written(folder, models={"m3d_clip": recipe}, controls=CONTROLS, floors=[], overrides={})


def vectors(row: Path, name: str) -> list[str]:
    return [getattr(p, name) for p in read_predictions(row / PREDICTIONS)]


@pytest.mark.parametrize("control", CONTROLS)
def test_a_dual_encoder_embeds_other_volumes_and_the_same_reports(embedded, control):
    row = embedded / "m3d_clip-s0"
    shown = control_folder(row, control)
    assert vectors(shown, "text_embedding") == vectors(row, "text_embedding")
    for own, other in zip(*(vectors(f, "volume_embedding") for f in (row, shown)), strict=True):
        assert own != other


def test_under_no_image_all_volumes_of_the_gallery_are_alike(embedded):
    shown = control_folder(embedded / "m3d_clip-s0", "no_image")
    assert len(set(vectors(shown, "volume_embedding"))) == 1


def test_under_another_patient_the_gallery_holds_the_same_volumes(embedded):
    row = embedded / "m3d_clip-s0"
    shown = control_folder(row, "other_patient")
    assert sorted(vectors(shown, "volume_embedding")) == sorted(vectors(row, "volume_embedding"))


def test_retrieval_under_controls_stands_in_the_table_and_is_explained(embedded):
    table = pd.read_csv(embedded / "table.csv")
    assert set(table["control"]) == {"none", *CONTROLS}
    notes = (embedded / "notes.txt").read_text("utf-8")
    assert "every volume of the gallery is tampered with" in notes
    assert "no controls" not in notes


def test_a_control_of_a_dual_encoder_that_is_missing_is_made_without_training(embedded):
    row = embedded / "m3d_clip-s0"
    lost = control_folder(row, "no_image") / PREDICTIONS
    content, trained = lost.read_bytes(), (row / "training.jsonl").read_bytes()
    lost.unlink()
    ExperimentRun(clip(embedded.parent), embedded).run()
    assert (lost.read_bytes(), (row / "training.jsonl").read_bytes()) == (content, trained)
