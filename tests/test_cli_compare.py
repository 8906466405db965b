"""Does `tomovox compare` say which rows differ, and write what it says?"""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from test_cli_score import write_run

from tomovox.cli import main
from tomovox.data.audit_report import Audit
from tomovox.experiment import ExperimentRun
from tomovox.judge.outcome import Extras
from tomovox.judge.runs import find_runs
from tomovox.schema import PREDICTIONS, Prediction, Task, TomovoxError, to_line
from tomovox.statistics.multiplicity import benjamini_hochberg, holm

CASES, QUESTIONS = 40, 2


def answered(folder: Path, right: int, questions: int = QUESTIONS) -> None:
    """Write a RUN whose first `right` of 40 cases are answered right, in all their questions."""
    write_run(folder, None)
    lines = [
        to_line(
            Prediction(
                id=f"vqa_closed/test/{case * questions + number:06d}",
                task=Task.VQA_CLOSED,
                case=str(case),
                question="Which plane?",
                reference="A. axial",
                text="A. axial" if case < right else "B. coronal",
                question_type="plane",
                choices=("axial", "coronal", "sagittal", "oblique"),
            )
        )
        for case in range(CASES)
        for number in range(questions)
    ]
    (folder / PREDICTIONS).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def experiment(tmp_path, monkeypatch) -> Path:
    """Three rows: blind, one better, one of blind's strength; a control of the better one."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "one"
    for name, right in (("blind-s0", 10), ("med2e3-s0", 35), ("ms_vlm-s0", 11)):
        answered(folder / name, right)
    controlled = folder / "med2e3-s0" / "controls" / "no_image"
    answered(controlled, 10)
    (controlled / "config.yaml").unlink()
    return folder


def test_it_says_who_is_better_and_who_ties(experiment, capsys):
    assert main(["compare", str(experiment)]) == 0
    verdicts, relied = capsys.readouterr().out.split("vqa_closed: share of the gain")
    said = {line.split()[1]: line for line in verdicts.splitlines() if line.startswith("│")}
    assert "better" in said["med2e3"] and "tie" in said["ms_vlm"] and "reference" in said["blind"]
    assert "worse" in said["no_image"]
    assert "100% [100, 100]" in relied


def test_another_reference_turns_the_verdict(experiment, capsys):
    assert main(["compare", str(experiment), "--reference", "med2e3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("blind" in line and "worse" in line for line in lines)


def test_it_writes_every_form_of_the_table(experiment, tmp_path):
    out = tmp_path / "tables"
    assert main(["compare", str(experiment), "--output", str(out)]) == 0
    names = {path.name for path in out.iterdir()}
    tables = {f"table.{form}" for form in ("csv", "md", "tex", "html")}
    assert names == {*tables, "reliance.csv", "compute.csv"}
    table = pd.read_csv(out / "table.csv")
    assert {"lo", "hi", "cases", "p_adjusted", "signature", "control"} <= set(table.columns)
    assert set(table["control"]) == {"none", "no_image"}
    relied = pd.read_csv(out / "reliance.csv")
    assert relied["reliance"].iloc[0] == 1.0


def test_only_what_is_asked_for_is_written(experiment, tmp_path):
    out = tmp_path / "tables"
    chosen = ["--metrics", "accuracy", "--protocol", "standard"]
    assert main(["compare", str(experiment), *chosen, "--output", str(out)]) == 0
    table = pd.read_csv(out / "table.csv")
    assert set(table["metric"]) == {"accuracy"} and set(table["protocol"]) == {"standard"}


def test_several_metrics_have_verdicts_in_place_of_the_primary_one(experiment, capsys):
    assert main(["compare", str(experiment), "--metrics", "parsed_rate, accuracy"]) == 0
    printed = capsys.readouterr().out
    assert printed.index("vqa_closed: parsed_rate, ") < printed.index("vqa_closed: accuracy, ")


def test_another_protocol_is_that_of_the_verdicts(experiment, capsys):
    assert main(["compare", str(experiment), "--metrics", "accuracy", "--protocol", "m3d"]) == 0
    printed = capsys.readouterr().out
    assert "vqa_closed: accuracy, m3d, " in printed and ", standard, " not in printed


def test_by_question_type_every_form_of_the_table_has_a_verdict_of_each(
    experiment, tmp_path, capsys
):
    out = tmp_path / "tables"
    asked = ["--by", "question_type", "--output", str(out)]
    assert main(["compare", str(experiment), *asked]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("med2e3" in line and "plane" in line and "better" in line for line in lines)
    for ending in ("md", "tex", "html"):
        assert re.search(
            r"med2e3\W.*\bplane\b.*better", (out / f"table.{ending}").read_text("utf-8")
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--reference", "best"], "reference 'best' is no model of this table"),
        (["--metrics", "accuracy,bleu9"], "metric bleu9: no row has it; there are accuracy"),
        (["--metrics", ","], "',' names no metric; write A,B"),
        (["--protocol", "other"], "protocol other: no row has it; there are m3d, standard"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(experiment, capsys, arguments, said):
    assert main(["compare", str(experiment), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_asking_every_case_twice_makes_nothing_surer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tables = []
    for questions in (1, 2):
        folder = tmp_path / f"asked-{questions}"
        for name, right in (("blind-s0", 10), ("med2e3-s0", 16)):
            answered(folder / name, right, questions)
        assert main(["compare", str(folder), "--output", str(folder / "out")]) == 0
        tables.append(pd.read_csv(folder / "out" / "table.csv"))
    once, twice = tables
    assert (once["n"] * 2).equals(twice["n"]) and once["cases"].equals(twice["cases"])
    sure = ["lo", "hi", "difference_lo", "difference_hi", "p", "p_adjusted", "detectable"]
    pd.testing.assert_frame_equal(once[sure], twice[sure], atol=2e-6)


def test_a_clean_split_adds_the_difference_and_tables_of_the_clean_records(
    experiment, tmp_path, capsys
):
    split, out = split_of(tmp_path), tmp_path / "tables"
    assert main(["compare", str(experiment), "--clean", str(split), "--output", str(out)]) == 0
    assert "vqa_closed: accuracy, standard, official and clean" in capsys.readouterr().out
    clean = pd.read_csv(out / "clean" / "table.csv")
    assert set(clean[clean["metric"] == "accuracy"]["n"]) == {60}
    assert len(pd.read_csv(out / "clean.csv"))


def test_reported_figures_stand_below_the_row_that_is_given_their_system(experiment, tmp_path):
    out, asked = tmp_path / "tables", ["--reported", "--system", "ms_vlm=m3d_lamed"]
    assert main(["compare", str(experiment), *asked, "--output", str(out)]) == 0
    table = pd.read_csv(out / "table.csv")
    paper = table[table["control"].str.startswith("reported")]
    assert set(paper["model"]) == {"ms_vlm"} and set(paper["control"]) == {"reported, not verified"}
    assert "98.8%" in (out / "table.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("given", "adjust"), [([], holm), (["--correction", "bh"], benjamini_hochberg)]
)
def test_p_is_corrected_as_asked(experiment, tmp_path, given, adjust):
    out = tmp_path / "tables"
    assert main(["compare", str(experiment), *given, "--output", str(out)]) == 0
    table = pd.read_csv(out / "table.csv")
    family = table[
        (table["metric"] == "accuracy") & (table["protocol"] == "m3d") & table["p"].notna()
    ]
    family = family[family["control"] == "none"]
    assert len(family) == 4
    np.testing.assert_allclose(family["p_adjusted"], adjust(family["p"].to_numpy()), atol=2e-6)


def test_what_an_experiment_says_holds_unless_an_option_says_another(experiment, tmp_path, capsys):
    split = split_of(tmp_path)
    Extras(str(split), reference="med2e3", correction="bh").keep(experiment)
    assert main(["compare", str(experiment)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "against med2e3" in said and "by Benjamini-Hochberg" in said and "and clean" in said
    assert main(["compare", str(experiment), "--reference", "blind", "--correction", "holm"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "against blind" in said and "by Holm" in said


@pytest.mark.parametrize("verb", ["compare", "score"])
def test_some_rows_without_the_reference_of_their_experiment_are_shown(experiment, verb, capsys):
    Extras(reference="med2e3").keep(experiment)
    assert main([verb, str(experiment / "ms_vlm-s0"), str(experiment / "blind-s0")]) == 0
    assert "against blind" in capsys.readouterr().out


def test_a_clean_split_in_an_experiment_file_is_that_of_its_tables(tmp_path):
    split, path = split_of(tmp_path), tmp_path / "one.yaml"
    file = {"models": {"a": "a.yaml"}, "data": {"root": "d"}, "clean_split": split.name}
    path.write_text(yaml.safe_dump(file | {"reported": True, "correction": "bh"}))
    extras = ExperimentRun(path, tmp_path / "out").extras
    assert extras == Extras(str(split), True, correction="bh")
    path.write_text(yaml.safe_dump(file))
    assert not ExperimentRun(path, tmp_path / "out").extras.reported


def test_a_made_set_has_no_reported_figures(tmp_path):
    path = tmp_path / "one.yaml"
    phantom = {"cases": 4, "seed": 0}
    file = {"models": {"a": "a.yaml"}, "data": {"phantom": phantom}, "reported": True}
    path.write_text(yaml.safe_dump(file))
    with pytest.raises(TomovoxError, match="a set that is made here has no published figures"):
        ExperimentRun(path)


def split_of(folder: Path) -> Path:
    """Write what an audit says that found the first ten cases in training."""
    leaked = {f"vqa_closed/test/{number:06d}": ["case"] for number in range(10 * QUESTIONS)}
    audit = Audit("data", leaked=leaked, cut={"report": 0, "volume": 0})
    path = folder / "clean_split.json"
    path.write_text(audit.clean_split(), encoding="utf-8")
    return path


def test_the_same_runs_give_the_same_bytes(experiment, tmp_path):
    for name in ("a", "b"):
        assert main(["compare", str(experiment), "--output", str(tmp_path / name)]) == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_ledger_puts_reported_figures_beside_ours(experiment, tmp_path, capsys):
    named = ["--system", "ms_vlm=m3d_lamed", "--output", str(tmp_path / "out")]
    assert main(["ledger", str(experiment), *named]) == 0
    page = capsys.readouterr().out
    assert page == (tmp_path / "out" / "ledger.md").read_text("utf-8")
    table = pd.read_csv(tmp_path / "out" / "ledger.tsv", sep="\t")
    assert set(table["system"]) == {"m3d_lamed"} and (table["protocol"] != "unknown").all()
    assert "98.80%" in page and "| plane |" in page
    assert (table["ours_lo"] < table["ours"]).all() and set(table["cases"]) == {CASES}


@pytest.mark.parametrize(
    ("named", "said"),
    [("ms_vlm", "write ROW=SYSTEM"), ("ms_vlm=gpt9", "system 'gpt9' is not known")],
)
def test_a_system_that_is_not_there_is_refused(experiment, capsys, named, said):
    assert main(["ledger", str(experiment), "--system", named]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_scoring_an_experiment_leaves_the_verdicts_in_its_table(experiment):
    assert main(["score", str(experiment)]) == 0
    assert "against blind" in (experiment / "table.md").read_text("utf-8")
    results = json.loads((experiment / "med2e3-s0" / "results.json").read_text("utf-8"))
    assert results["rows"]


def test_the_tables_lie_in_the_experiment_unless_another_place_is_given(experiment, capsys):
    assert main(["compare", str(experiment)]) == 0
    assert "compare/table.csv, .md, .tex and .html" in capsys.readouterr().out
    written = {path.name for path in (experiment / "compare").iterdir()}
    assert {"table.csv", "table.md", "table.tex", "table.html", "compute.csv"} <= written
    again = find_runs([experiment])  # the folder of tables is no row
    assert [run.name for run in again] == ["blind-s0", "med2e3-s0", "ms_vlm-s0"]
