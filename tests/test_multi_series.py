"""Do the committed experiments on several series run from their file to the table?

Everything in them is made small; the rows, their options and the stages are those of the file.
"""

from collections.abc import Sequence
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
    path = folder / name
    path.write_text(yaml.safe_dump(given | {"models": models, "processes": 1}), encoding="utf-8")
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
