"""Does `tomovox sanity` put the rows of runs between rows of known worth?"""

from pathlib import Path

import labelled_runs
import pandas as pd
import pytest
from labelled_runs import LABELLER, MIXED, only_clinical
from test_cli_score import write_run

from tomovox.cli import main
from tomovox.judge.labelling import Labelling, label_runs
from tomovox.judge.sanity import NEGATED, REFERENCE, SHUFFLED
from tomovox.metrics import catalogue
from tomovox.metrics.catalogue import METRICS
from tomovox.schema import PREDICTIONS, Prediction, Task, to_line

TEXTS = ("The liver is large.", "A cyst in the kidney.", "Free fluid.", "The aorta is wide.")


def answered(run: Path, texts: tuple[str, ...], task: Task = Task.REPORT) -> None:
    """Write a RUN folder with an answer to each of four records."""
    write_run(run, None)
    lines = [
        to_line(Prediction(f"{task}/test/{i}", task, str(i), "Describe.", reference, text))
        for i, (reference, text) in enumerate(zip(TEXTS, texts, strict=True))
    ]
    (run / PREDICTIONS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.fixture
def experiment(tmp_path, monkeypatch) -> Path:
    """A model that is always right, one of the floors, and a row without texts; ROUGE-1 alone."""
    kept = {key: metric for key, metric in METRICS.items() if key == "rouge1.standard"}
    monkeypatch.setattr(catalogue, "METRICS", kept)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "one"
    answered(folder / "med2e3-s0", TEXTS)
    answered(folder / "majority-s0", TEXTS[:1] * 4)
    answered(folder / "m3d_clip-s0", TEXTS, Task.RETRIEVAL)
    return folder


def lines(text: str) -> dict[str, str]:
    """Return the row of each model, by its name."""
    cells = (line.split("│") for line in text.splitlines() if line.startswith("│"))
    return {name.strip(): value.strip() for _, name, value, _ in cells}


def test_rows_stand_between_floor_and_ceiling(experiment, capsys):
    assert main(["sanity", "runs/one"]) == 0
    found = lines(capsys.readouterr().out)
    assert found["med2e3"] == "100% [100, 100]" and found[f"{REFERENCE}, value"] == "1.000"
    assert {*found} == {
        *(f"{REFERENCE}, value", f"{SHUFFLED}, value", NEGATED),
        *("med2e3", "majority"),
    }


def test_a_run_alone_stands_beside_the_floors_of_its_experiment(experiment, capsys):
    assert main(["sanity", "runs/one/med2e3-s0"]) == 0
    assert "majority" in lines(capsys.readouterr().out)


def test_the_board_is_written_where_it_is_asked_for(experiment, tmp_path):
    before = sorted(experiment.rglob("*"))
    assert main(["sanity", "runs/one", "--output", "out"]) == 0
    table = pd.read_csv(tmp_path / "out" / "sanity.csv").set_index("model")
    assert table.loc["med2e3", ["value", "way", "way_lo", "way_hi", "n"]].tolist() == [
        1,
        1,
        1,
        1,
        4,
    ]
    assert sorted(experiment.rglob("*")) == before


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("runs/one/m3d_clip-s0", "no answers to report or case_report or vqa_open"),
        ("runs", "no predictions"),
    ],
)
def test_runs_without_texts_are_refused_in_one_line(experiment, capsys, place, said):
    (experiment / "majority-s0" / PREDICTIONS).unlink()
    assert main(["sanity", place]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_runs_with_labels_show_how_far_their_findings_are(tmp_path, monkeypatch, capsys):
    only_clinical(monkeypatch)
    folder = labelled_runs.write_run(tmp_path / "one" / "mixed-s0", MIXED)
    label_runs([folder], Labelling("references", LABELLER))
    assert main(["sanity", str(tmp_path / "one"), "--output", str(tmp_path)]) == 0
    assert "(trivial" in capsys.readouterr().out
    board = pd.read_csv(tmp_path / "sanity.csv").set_index(["metric", "model"])["value"]
    assert board["crg", REFERENCE] == 1.0
    assert board["crg", SHUFFLED] < board["crg", "mixed"] < 1.0
