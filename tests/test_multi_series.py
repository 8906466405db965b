"""Do the committed experiments on several series run from their file to the table?

Everything in them is made small; the rows, their options and the stages are those of the file.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tomovox.experiment import ExperimentRun
from tomovox.schema import Prediction, read_predictions

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
STEPS = {"max_steps": 1, "fact_steps": 1, "batch_size": 2}


def shrunk(name: str, folder: Path, rows: Sequence[str]) -> Path:
    """Write a committed experiment with some of its rows, eight cases and one step a stage."""
    given: dict[str, Any] = yaml.safe_load((EXPERIMENTS / name).read_text(encoding="utf-8"))
    given["data"]["phantom"] |= {"cases": 8, "test_cases": 2, "val_cases": 1}
    for stage in given["shared"].values():
        if isinstance(stage, dict):
            stage |= {key: value for key, value in STEPS.items() if key in stage}
    given["fit"] = [stage | {"max_steps": 1} for stage in given["fit"]]
    models = {row: given["models"][row] for row in rows}
    for row, entry in models.items():
        entry = {"base": entry} if isinstance(entry, str) else entry
        models[row] = entry | {"base": str((EXPERIMENTS / entry["base"]).resolve())}
    small = {"data": {"batch_size": 2}, "trainer": {"accelerator": "cpu"}}
    given["overrides"]["data"] |= small.pop("data")
    given["overrides"] |= small | {"model": {"init_args": {"max_new_tokens": 3}}}
    given |= {"models": models, "processes": 1}
    if given["reference"] not in models:
        given["reference"] = rows[0]
    path = folder / name
    path.write_text(yaml.safe_dump(given), encoding="utf-8")
    return path


def answers(run: Path, row: str) -> list[Prediction]:
    return list(read_predictions(run / f"{row}-s0" / "predictions.jsonl"))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of multi_series.yaml, made small."""
    folder = tmp_path_factory.mktemp("multi_series")
    rows = ("all_series", "own_series", "blind")
    ExperimentRun(shrunk("multi_series.yaml", folder, rows), folder / "run").run()
    return folder / "run"


def test_every_row_of_the_file_answers_the_same_records(done):
    ids = [[p.id for p in answers(done, row)] for row in ("all_series", "own_series", "blind")]
    assert ids[0] and ids[0] == ids[1] == ids[2]


def test_one_row_sees_two_series_where_the_other_sees_one(done):
    seen = [
        {len(p.slice_scores) for p in answers(done, row)} for row in ("all_series", "own_series")
    ]
    assert seen == [{16}, {8}]


def test_what_a_study_costs_stands_beside_its_row(done):
    costs = pd.read_csv(done / "compute.csv").set_index("model")["gflops_volume"]
    assert costs["all_series"] == pytest.approx(2 * costs["own_series"])


def test_all_rows_are_compared_with_the_single_series(done):
    table = pd.read_csv(done / "table.csv")
    compared = table[(table["metric"] == "accuracy") & table["difference"].notna()]
    assert "own_series" not in set(compared["model"]) and "all_series" in set(compared["model"])


# ---- the grid --------------------------------------------------------------------------------

FACTORS = (("fixed", "native"), ("own", "case"), ("", "mem"), ("8", "32", "128"))
GRID = ["_".join(filter(None, levels)) for levels in product(*FACTORS)]
SOME = ("fixed_own_8", "native_case_mem_32")


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of two rows of ms_vlm_grid.yaml that share no level, made small."""
    folder = tmp_path_factory.mktemp("grid")
    ExperimentRun(shrunk("ms_vlm_grid.yaml", folder, SOME), folder / "run").run()
    return folder / "run"


def test_the_grid_has_every_combination_once():
    given = yaml.safe_load((EXPERIMENTS / "ms_vlm_grid.yaml").read_text(encoding="utf-8"))
    assert list(given["models"]) == GRID


def test_the_name_of_a_row_says_how_it_differs():
    given = yaml.safe_load((EXPERIMENTS / "ms_vlm_grid.yaml").read_text(encoding="utf-8"))
    for name, entry in given["models"].items():
        length, series, *mem, latents = name.split("_")
        arguments = entry["model"]["init_args"]
        zformer = arguments.get("zformer", {})
        assert arguments["latents"] == int(latents)
        assert ("max_per_series" in zformer) == (length == "fixed")
        assert entry.get("data", {}).get("series", "own") == series
        assert ("weights" in zformer) != bool(mem)


def test_masked_embeddings_are_learnt_for_their_row_alone(grid):
    (made,) = (p for p in (grid / "shared").glob("zformer-*") if p.is_dir())
    read = {row: (grid / f"{row}-s0" / "config.yaml").read_text("utf-8") for row in SOME}
    assert [made.name in read[row] for row in SOME] == [False, True]


def test_the_costs_of_the_grid_differ_where_more_slices_or_latents_are_read(grid):
    costs = pd.read_csv(grid / "compute.csv").set_index("model")
    small, large = (costs.loc[row] for row in SOME)
    for column in ("visual_tokens", "gflops_volume", "gflops_question"):
        assert small[column] < large[column]


def test_reports_of_cases_stand_in_the_table(grid):
    table = pd.read_csv(grid / "table.csv")
    assert {"case_report", "vqa_closed"} <= set(table["task"])
