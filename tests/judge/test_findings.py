"""Does the table of findings say of each label what its records do?"""

import pandas
import pytest
from labelled_runs import LABELLER, LABELS, MIXED, PERFECT, only_clinical, write_run

from tomovox.judge.findings import COLUMNS, findings_of, findings_sheets
from tomovox.judge.labelling import Labelling, label_runs
from tomovox.judge.outcome import outcome_of
from tomovox.judge.verdicts import Asked
from tomovox.schema import TomovoxError


@pytest.fixture
def outcome(tmp_path, monkeypatch):
    only_clinical(monkeypatch)
    runs = [
        write_run(tmp_path / name, answers)
        for name, answers in (("mixed-s0", MIXED), ("perfect-s0", PERFECT))
    ]
    label_runs(runs, Labelling("references", LABELLER))
    return outcome_of(runs)


def cell(outcome, label: str, model: str = "mixed") -> pandas.Series:
    frame = outcome.findings
    (row,) = frame[(frame["finding"] == label) & (frame["model"] == model)].to_dict("records")
    return row


def test_every_finding_of_every_model_has_a_row(outcome):
    assert list(outcome.findings.columns) == list(COLUMNS)
    assert len(outcome.findings) == 2 * len(LABELS)


def test_a_finding_has_its_own_precision_recall_and_f1(outcome):
    found = cell(outcome, "mass")
    assert (found["references"], found["named"], found["cases"]) == (2, 2, 5)
    assert found["precision"] == found["recall"] == found["f1"] == 0.5
    assert found["lo"] <= 0.5 <= found["hi"]


def test_the_mean_over_findings_is_the_macro_value(outcome):
    frame = outcome.frame
    macro = frame[(frame["metric"] == "f1_macro") & (frame["model"] == "mixed")]["value"].item()
    ours = outcome.findings[outcome.findings["model"] == "mixed"]["f1"].mean()
    assert macro == pytest.approx(ours)


def test_a_finding_that_is_never_there_has_no_value_and_is_said(outcome):
    assert pandas.isna(cell(outcome, "stone")["f1"])
    (sheet,) = findings_sheets(outcome.findings)
    assert sheet.rows[-1] == ("stone", "0", "n/a", "n/a")
    assert "No reference has stone: left out of means over findings." in sheet.told


def test_the_sheet_tells_the_trivial_crg(outcome):
    (sheet,) = findings_sheets(outcome.findings)
    assert "0.333" in sheet.told[0] and sheet.heads == ("finding", "references", "mixed", "perfect")


def test_the_table_is_written_beside_the_others(outcome, tmp_path):
    outcome.write(tmp_path, [], [])
    written = (tmp_path / "findings.csv").read_text().splitlines()
    assert written[0] == ",".join(COLUMNS)
    assert written[3] == "report,mixed,0,none,stone,0,1,,,,,,5"


@pytest.mark.parametrize("form", ["md", "html", "tex"])
def test_crg_stands_beside_its_trivial_value_in_every_form(outcome, tmp_path, form):
    outcome.write(tmp_path, [], [])
    assert "trivial 0.333" in (tmp_path / f"table.{form}").read_text().replace("\\", "")


def test_verdicts_of_crg_tell_its_trivial_value(outcome):
    asked = outcome.only(Asked(metrics=("crg",))).every_sheet()
    assert asked[0].title.startswith("report: crg (trivial 0.333), standard, ")


@pytest.mark.parametrize(
    ("now", "said"),
    [("id,mass,cyst", "findings"), ("id,cyst,stone", "findings"), ("0,0", "report/test/2")],
)
def test_runs_with_two_labellings_are_not_compared(tmp_path, monkeypatch, now, said):
    only_clinical(monkeypatch)
    table, rows = tmp_path / "labels.csv", "".join(f"report/test/{i},1,0\n" for i in range(5))
    runs = [write_run(tmp_path / name, MIXED) for name in ("a-s0", "b-s0")]
    for run, head in zip(runs, ("id,cyst,mass", now), strict=True):
        changed = rows.replace("2,1,0", "2,0,0") if head == "0,0" else rows
        table.write_text(f"{head if 'id' in head else 'id,cyst,mass'}\n{changed}")
        label_runs([run], Labelling(str(table), LABELLER))
    with pytest.raises(TomovoxError, match=rf"^{said}: a-s0 and b-s0 have other labels"):
        outcome_of(runs)


def test_without_labels_there_is_no_table():
    frame = findings_of({}, LABELS)
    assert frame.empty and findings_sheets(frame) == []
