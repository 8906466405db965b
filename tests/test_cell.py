"""Does a row note what its training took, on one device and on two?"""

import json
from pathlib import Path

import pytest
import yaml
from test_experiment import tiny

from tomovox.cell import keep_config, load_run, make_cell, trained
from tomovox.experiment import ExperimentRun
from tomovox.schema import PREDICTIONS, read_predictions
from tomovox.stages import make_stage


def test_training_notes_every_question_that_it_saw(tmp_path: Path):
    path = tiny(tmp_path, shared={})  # 2 volumes a batch, 2 of the many questions of each
    cell = next(c for c in ExperimentRun(path, tmp_path / "a").cells()[0] if c.model == "m3d_lamed")
    trained(cell)
    lines = (cell.folder / "training.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["samples"] for line in lines] == [1 * 2 * 2, 2 * 2 * 2]


@pytest.fixture(scope="module")
def on_two_devices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a row that two processes trained under DDP and two answered."""
    folder = tmp_path_factory.mktemp("devices")
    fit = [{"stage": "instruct", "max_steps": 2}]
    path = tiny(folder, shared={}, fit=fit)
    experiment = yaml.safe_load(path.read_text(encoding="utf-8"))
    experiment["overrides"]["trainer"] |= {"devices": 2, "strategy": "ddp"}
    path.write_text(yaml.safe_dump(experiment), encoding="utf-8")
    cell = next(c for c in ExperimentRun(path, folder / "a").cells()[0] if c.model == "m3d_lamed")
    keep_config(cell)
    make_cell(cell)
    return cell.folder


def test_two_devices_train_a_row_together_and_note_it_once(on_two_devices):
    lines = (on_two_devices / "training.jsonl").read_text(encoding="utf-8").splitlines()
    (line,) = map(json.loads, lines)
    assert (line["samples"], line["volumes"]) == (2 * 2 * 2 * 2, 2 * 2 * 2)


def test_two_devices_leave_one_file_of_weights_and_one_of_answers(on_two_devices):
    data = load_run(on_two_devices)[1]
    data.setup("predict")
    asked = {record.id for study in data.predict_studies() for record in study}
    assert {p.id for p in read_predictions(on_two_devices / PREDICTIONS)} == asked
    assert not list(on_two_devices.glob("*partial*")) + list(on_two_devices.glob("*-of-*"))


def test_a_row_cut_after_training_in_half_precision_ends_as_the_uncut_one(tmp_path):
    path = tiny(tmp_path, fit=[{"stage": "align", "max_steps": 2}], floors=[])
    experiment = yaml.safe_load(path.read_text(encoding="utf-8"))
    experiment["shared"].pop("vision3d")  # what is frozen in half precision has a source
    experiment["models"] = {"ms_vlm": experiment["models"]["ms_vlm"]}
    experiment["overrides"]["trainer"] |= {"precision": "bf16-true"}
    experiment["overrides"]["data"] |= {"choice_likelihood": True}
    path.write_text(yaml.safe_dump(experiment), encoding="utf-8")
    cells, jobs = ExperimentRun(path, tmp_path / "a").cells()
    for job in jobs:
        make_stage(job)
    said = []
    for _ in range(2):  # trained and answered; then read from its weights, and answered
        make_cell(cells[0])
        said.append((cells[0].folder / PREDICTIONS).read_bytes())
        (cells[0].folder / PREDICTIONS).unlink()
    assert b"choice_logprobs" in said[0] and said[0] == said[1]
