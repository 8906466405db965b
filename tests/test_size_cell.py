"""Is the model of a row counted as it trains, from its own config, without stopping anything?"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_eight_tasks import written as eight_tasks
from test_experiment import tiny

from tomovox.cell import Cell, FitStage, build
from tomovox.configuration import merged
from tomovox.experiment import ExperimentRun
from tomovox.judge.compute import SIZE
from tomovox.models.base import count_parameters
from tomovox.size_cell import NO_NETWORK, size_of_cell, write_size
from tomovox.sizes import build_on_meta, costs_of

LANGUAGE = ("parameters", "trainable", "visual_tokens", "attend", "prefill", "token")
MODELS = ("blind", "m3d_lamed", "med2e3", "ms_vlm")


def cells_of(path: Path, **changes) -> dict[str, Cell]:
    """Return the cells of an experiment, whose data and tokenizer are made, by model."""
    experiment = yaml.safe_load(path.read_text(encoding="utf-8")) | changes
    path.write_text(yaml.safe_dump(experiment), encoding="utf-8")
    return {cell.model: cell for cell in ExperimentRun(path, path.parent / "a").cells()[0]}


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cell]:
    """All systems and a floor, without shared weights: nothing is trained here."""
    return cells_of(tiny(tmp_path_factory.mktemp("sizes")), shared={})


def size_json(cell: Cell) -> dict:
    write_size(cell)
    return json.loads((cell.folder / SIZE).read_text(encoding="utf-8"))


# ---- what is counted ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_the_parameters_are_those_of_the_model_that_trains(cells, model):
    cell = cells[model]
    real = build(cell, cell.fit[-1], None).model
    real.configure_model()
    size = size_of_cell(cell)
    assert (size.trainable, size.parameters) == count_parameters(real)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_that_answers_has_every_figure(cells, model):
    size = size_json(cells[model])
    assert None not in size.values() and not size["note"]


def test_a_stage_that_trains_nothing_is_not_the_one_that_is_told(cells):
    stages = [FitStage("instruct", 1), FitStage("align", 1)]  # align has nothing to train in blind
    assert size_of_cell(replace(cells["blind"], fit=stages)).trainable


def test_a_row_that_is_only_predicted_trains_nothing(cells):
    size = size_of_cell(replace(cells["m3d_lamed"], fit=[]))
    assert size.trainable == 0 and size.parameters


def test_volumes_are_as_large_as_those_that_are_predicted(cells):
    cell = cells["ms_vlm"]  # reads any number of slices; the data has 8
    model = build(cell, None, None).model
    build_on_meta(model)
    twice = costs_of(model, [(16, 32, 32)])["perceive"]
    assert size_of_cell(cell).perceive == pytest.approx(twice / 2)


def test_a_study_of_two_series_is_perceived_at_twice_the_cost(cells):
    cell = cells["ms_vlm"]
    shown = merged(cell.config, {"data": {"series": "case"}})
    assert size_of_cell(replace(cell, config=shown)).perceive == pytest.approx(
        2 * size_of_cell(cell).perceive
    )


def test_of_studies_of_many_lengths_the_median_one_is_counted(tmp_path):
    data = {"cases": 8, "shape": [8, 32, 32], "test_cases": 3, "val_cases": 1, "native": True}
    cell = cells_of(tiny(tmp_path, data={"phantom": data}), shared={})["ms_vlm"]
    model = build(cell, None, None).model
    build_on_meta(model)
    root = Path(cell.config["data"]["root"])
    slices = sorted(
        np.load(p).shape[1] for n in (1, 2, 3) for p in root.glob(f"M3D_Cap*/*/{n:06d}/*.npy")
    )
    wanted = costs_of(model, [(slices[len(slices) // 2], 32, 32)])["perceive"]
    assert slices[0] < slices[-1] and size_of_cell(cell).perceive == pytest.approx(wanted)


def test_a_dual_encoder_has_parameters_and_no_figure_of_language(tmp_path):
    size = size_json(cells_of(eight_tasks(tmp_path), shared={})["m3d_clip"])
    assert {key for key in LANGUAGE if size[key]} == {"parameters", "trainable"}
    assert size["perceive"]


# ---- the file ----------------------------------------------------------------------------------


def test_a_floor_has_a_note_and_nothing_else(cells):
    size = size_json(cells["majority"])
    assert size.pop("note") == NO_NETWORK and not any(size.values())


def test_shared_stages_are_named_below_the_experiment(cells, tmp_path):
    stage = tmp_path / "shared" / "language-0"
    cell = replace(cells["blind"], folder=tmp_path / "blind-s0", needs=frozenset({str(stage)}))
    assert size_json(cell)["shared"] == ["shared/language-0"]


def test_a_size_that_is_there_is_kept(cells, tmp_path):
    cell = replace(cells["blind"], folder=tmp_path)
    (tmp_path / SIZE).write_text("{}", encoding="utf-8")
    assert size_json(cell) == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": {"class_path": "nowhere.Model"}}, "nowhere"),
        ({"model": {"init_args": {"language": {"name": "./nowhere"}}}}, "no such folder"),
        ({"model": {"init_args": {"max_new_token": 1}}}, "max_new_token"),
    ],
)
def test_what_cannot_be_counted_is_said_and_not_kept(cells, tmp_path, change, reason, capsys):
    cell = cells["blind"]
    write_size(replace(cell, folder=tmp_path, config=merged(cell.config, change)))
    assert reason in capsys.readouterr().out and not (tmp_path / SIZE).exists()
    assert size_json(replace(cell, folder=tmp_path))["parameters"]
