"""Does `tomovox score` keep every row apart, and write a table only of whole experiments?"""

from pathlib import Path

import labelled_runs
import pandas as pd
import pytest
from labelled_runs import LABELLER, MIXED, SILENT, only_clinical

from tomovox.cli import main
from tomovox.judge.runs import find_runs, run_names
from tomovox.metrics import catalogue
from tomovox.schema import PREDICTIONS, Prediction, Task, to_line
from tomovox.tracking import server

EXACT_MATCH = catalogue.METRICS["exact_match.standard"]
ROWS = {"med2e3-s0": "A. axial", "blind-s0": "B. coronal"}


def write_run(run: Path, answer: str | None) -> Path:
    """Write a RUN folder with its config and, unless None, one answered question."""
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("seed_everything: 0\n", encoding="utf-8")
    if answer is not None:
        line = Prediction(
            id="vqa_closed/test/000000",
            task=Task.VQA_CLOSED,
            case="1",
            question="Which plane?",
            reference="A. axial",
            text=answer,
            question_type="plane",
            choices=("axial", "coronal", "sagittal", "oblique"),
        )
        (run / PREDICTIONS).write_text(to_line(line) + "\n", encoding="utf-8")
    return run


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    """The folder runs/ with the experiments one and two, each of two rows and a note."""
    monkeypatch.chdir(tmp_path)
    for experiment in ("one", "two"):
        folder = tmp_path / "runs" / experiment
        for name, answer in ROWS.items():
            write_run(folder / name, answer)
        (folder / "notes.txt").write_text(f"what to know of {experiment}\n", encoding="utf-8")
    return tmp_path / "runs"


def models(folder: Path) -> set[str]:
    return set(pd.read_csv(folder / "table.csv")["model"])


@pytest.mark.parametrize("place", ["runs/one", "one.yaml"])
def test_all_rows_of_an_experiment_make_its_table(runs, place):
    assert main(["score", place]) == 0
    assert models(runs / "one") == {"med2e3", "blind"}
    assert "what to know of one" in (runs / "one" / "table.md").read_text()


def test_its_runs_one_by_one_make_the_table_too(runs):
    assert main(["score", *(f"runs/one/{name}" for name in ROWS)]) == 0
    assert models(runs / "one") == {"med2e3", "blind"}


def test_some_rows_print_but_write_no_table(runs, capsys):
    assert main(["score", "runs/one/blind-s0"]) == 0
    captured = capsys.readouterr()
    assert "blind" in captured.out and not captured.err
    assert not (runs / "one" / "table.csv").exists()


def test_rows_of_two_experiments_are_all_printed_under_their_experiments(runs, capsys):
    assert main(["score", "runs/one", "runs/two"]) == 0
    out = capsys.readouterr().out
    assert all(f"{e}/{m}" in out for e in ("one", "two") for m in ("med2e3", "blind"))


def test_rows_of_two_experiments_write_no_table(runs):
    main(["score", "runs/one", "runs/two"])
    assert not list(runs.glob("*/table.*"))


def test_the_notes_of_all_experiments_are_printed(runs, capsys):
    main(["score", "runs/one", "runs/two/blind-s0"])
    out = capsys.readouterr().out
    assert "one: what to know of one" in out and "two: what to know of two" in out


def test_experiments_of_one_name_are_told_apart_by_the_folders_around_them(runs, tmp_path):
    write_run(tmp_path / "old" / "one" / "blind-s0", "A. axial")
    found = find_runs([Path("runs/one/blind-s0"), Path("old/one/blind-s0")])
    assert run_names(found) == ["runs/one/blind-s0", "old/one/blind-s0"]


def test_a_run_that_is_named_twice_is_one_row(runs):
    assert main(["score", "runs/one", "runs/one/blind-s0"]) == 0
    assert not pd.read_csv(runs / "one" / "table.csv").duplicated().any()


def test_a_row_without_predictions_is_named_and_keeps_the_table_as_it_was(runs, capsys):
    main(["score", "runs/one"])
    before = (runs / "one" / "table.csv").read_bytes()
    write_run(runs / "one" / "late-s0", None)
    (runs / "one" / "blind-s0" / PREDICTIONS).unlink()
    capsys.readouterr()
    assert main(["score", "runs/one"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "no predictions of blind-s0, late-s0" in line
    assert (runs / "one" / "table.csv").read_bytes() == before


@pytest.mark.parametrize("place", ["runs/none", "none.yaml", "runs/one/late-s0"])
def test_a_place_without_predictions_is_one_line(runs, capsys, place):
    write_run(runs / "one" / "late-s0", None)
    assert main(["score", place]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert place in line and PREDICTIONS in line


@pytest.mark.parametrize("place", ["one.yaml", "runs/one", "runs/one/blind-s0"])
def test_ui_serves_the_experiment_of_a_yaml_a_folder_or_a_run(runs, monkeypatch, place):
    served = []
    monkeypatch.setattr(server, "serve", lambda folder, port: served.append(folder) or 0)
    assert main(["ui", place]) == 0
    assert served[0].absolute() == runs / "one"


# ---- labels ----------------------------------------------------------------------------------


@pytest.fixture
def reports(tmp_path, monkeypatch) -> Path:
    """Two runs with reports; only their findings are compared."""
    only_clinical(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name, answers in (("mixed-s0", MIXED), ("blind-s0", SILENT)):
        labelled_runs.write_run(tmp_path / "runs" / "one" / name, answers)
    return tmp_path / "runs" / "one"


def score_of(folder: Path, metric: str) -> float:
    table = pd.read_csv(folder / "table.csv")
    mine = table[(table["metric"] == metric) & (table["model"] == "mixed")]
    return mine["value"].item() if len(mine) else float("nan")


def test_labels_that_are_asked_for_make_clinical_metrics(reports, capsys):
    assert main(["score", "runs/one", "--labels", "references", "--labeller", LABELLER]) == 0
    assert score_of(reports, "crg") == pytest.approx(5 / 11, abs=1e-6)
    out = capsys.readouterr().out
    assert "trivial 0.333" in out and "report: F1 by finding" in out


def test_labels_are_kept_for_the_next_call(reports):
    main(["score", "runs/one", "--labels", "references", "--labeller", LABELLER])
    first = (reports / "table.csv").read_bytes()
    (reports / "table.csv").unlink()
    assert main(["score", "runs/one"]) == 0
    assert (reports / "table.csv").read_bytes() == first


def test_without_labels_there_are_no_clinical_metrics(reports, capsys, monkeypatch):
    monkeypatch.setitem(catalogue.METRICS, "exact_match.standard", EXACT_MATCH)
    assert main(["score", "runs/one"]) == 0
    assert "crg" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--labels", "no.csv"], "no.csv: cannot be read"),
        (["--labels", "references", "--labeller", "nobody"], "labeller 'nobody' is not known"),
        (["--labeller", "rule"], "add --labels"),
        (["--scorer", "bleu"], "scorer 'bleu' is not known"),
    ],
)
def test_what_cannot_label_is_refused_in_one_line(reports, capsys, options, fault):
    assert main(["score", "runs/one", *options]) == 2
    assert fault in capsys.readouterr().err


def test_a_scorer_that_lacks_something_says_what_to_install(reports, capsys, monkeypatch):
    monkeypatch.setenv("TOMOVOX_GREEN", "/no/such/python")
    assert main(["score", "runs/one", "--scorer", "green"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Python 3.12.1, the only one that it takes, run pip install green_score==0.0.12" in said


def test_what_is_lacking_is_said_once_for_all_metrics(reports, capsys, monkeypatch):
    monkeypatch.delenv("TOMOVOX_RADBERT", raising=False)
    assert main(["score", "runs/one", "--labels", "references", "--labeller", "radbert"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("TOMOVOX_RADBERT is not set") == 1
    assert "recall_micro standard, crg standard: unavailable: no RadBERT" in said


def test_findings_that_no_run_has_are_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "one" / "a-s0", "A. axial")
    assert main(["score", "runs/one", "--labels", "references"]) == 2
    error = capsys.readouterr().err
    assert "no run here answers reports" in error and error.count("\n") == 1
