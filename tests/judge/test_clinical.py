"""Do labels in a RUN folder become scores, with intervals and tests, and are bad ones refused?"""

import json
from dataclasses import replace

import numpy as np
import pytest
from labelled_runs import LABELLER, MIXED, PERFECT, SILENT, only_clinical, report, write_run

from tomovox.judge.clinical import CLINICAL_FILE, Labelled, LabelledAnswer, read_labelled
from tomovox.judge.columns import columns_of
from tomovox.judge.compare import compared
from tomovox.judge.kept_scores import read_scores
from tomovox.judge.labelling import Labelling, label_runs
from tomovox.judge.score import UNDEFINED, score, score_run
from tomovox.judge.tables import build_table
from tomovox.metrics.labels import TRIVIAL_CRG
from tomovox.metrics.outside import SCORERS
from tomovox.schema import NONE, TomovoxError
from tomovox.statistics.paired import permutation_p

HOW = Labelling("references", LABELLER)
NAMES = ("f1_macro", "precision_macro", "recall_macro", "f1_micro", "crg")


@pytest.fixture(autouse=True)
def no_other_metrics(monkeypatch):
    only_clinical(monkeypatch)


@pytest.fixture
def scored(tmp_path):
    def of(predictions, name="a-s0", how=HOW):
        run = write_run(tmp_path / name, predictions)
        label_runs([run], how)
        return score_run(run)

    return of


def values_of(scores) -> dict[str, float]:
    return {row["metric"]: row["value"] for row in scores.rows}


def test_the_values_are_those_by_hand(scored):
    # cyst: tp 2, fn 1; mass: tp 1, fp 1, fn 1; stone: fp 1 and never there
    found = values_of(scored(MIXED))
    assert found["precision_macro"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["recall_macro"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["f1_macro"] == pytest.approx((4 / 5 + 2 / 4) / 2)
    assert found["f1_micro"] == pytest.approx(6 / (6 + 2 + 2))
    # X 15, A 5: r = 1, U = 5; s = 3 - 2 - 2 = -1; 5 / (10 + 1)
    assert found["crg"] == pytest.approx(5 / 11)


def test_perfect_answers_are_perfect(scored):
    assert all(value == 1.0 for value in values_of(scored(PERFECT)).values())


def test_silent_answers_have_the_trivial_crg_and_find_nothing(scored):
    found = values_of(scored(SILENT))
    assert found["crg"] == pytest.approx(TRIVIAL_CRG)
    assert found["f1_macro"] == found["f1_micro"] == found["precision_micro"] == 0.0


def test_without_labels_there_is_no_such_row(tmp_path):
    assert score_run(write_run(tmp_path / "a-s0", MIXED)).rows == []


def test_a_signature_names_labeller_references_and_labels(scored):
    for row in scored(MIXED).rows:
        assert "|labels:3|references:words-1|labeller:words-1|" in row["signature"]


def test_names_of_files_cannot_break_a_signature():
    found = Labelled(("cyst",), "a|b:c", "", "d e|.csv", {})
    assert all("references:d-e-.csv|labeller:a-b-c|" in m.signature() for m in found.metrics())


def test_what_is_not_defined_is_said_and_is_not_zero(scored):
    rows = scored([report(0, "cyst", ""), report(1, "", "")]).rows
    assert {row["value"] for row in rows} == {None}
    assert {row["note"] for row in rows} == {UNDEFINED}


def test_why_a_labeller_did_not_run_stands_in_every_row(scored):
    rows = scored(MIXED, how=replace(HOW, labeller=LABELLER.replace("Word", "Absent"))).rows
    assert {row["note"] for row in rows} == {"unavailable: nothing to read with: fetch it"}


def test_why_a_scorer_did_not_run_stands_in_its_row(scored, monkeypatch):
    monkeypatch.setenv(SCORERS["green"].variable, "/no/such/python")
    (row,) = scored(MIXED, how=Labelling(scorers=["green"])).rows
    assert row["metric"] == "green" and row["note"].startswith("unavailable: green: /no/such")


def test_a_scorer_gives_the_mean_of_its_values(tmp_path):
    answers = {p.id: LabelledAnswer("", values={"green": i / 4}) for i, p in enumerate(MIXED)}
    (metric,) = Labelled(answers=answers, scorers={"green": "model:a"}).metrics()
    (row,) = score(MIXED, more=[metric]).rows
    assert row["value"] == 0.5 and row["n"] == 5 and "|model:a|" in row["signature"]


# ---- statistics ------------------------------------------------------------------------------


def test_intervals_and_tests_work_on_ratios_of_sums(scored):
    runs = {
        ("mixed", 0, NONE): scored(MIXED * 1, "mixed-s0"),
        ("blind", 0, NONE): scored(SILENT, "blind-s0"),
    }
    frame = build_table({run: found.rows for run, found in runs.items()})
    table = compared(frame, {run: found.samples for run, found in runs.items()})
    mine = table[(table["model"] == "mixed") & table["metric"].isin(NAMES)]
    assert len(mine) == len(NAMES)
    assert (mine["lo"] <= mine["value"]).all() and (mine["value"] <= mine["hi"]).all()
    assert (mine["lo"] < mine["hi"]).all() and (mine["difference"] > 0).all()
    assert mine["p"].between(0, 1).all() and (mine["pair_n"] == 5).all()


def test_equal_answers_are_a_tie(scored):
    runs = {(name, 0, NONE): scored(MIXED, f"{name}-s0").samples for name in ("a", "b")}
    for column in columns_of(runs):
        pair = column.pair(("a", 0, NONE), ("b", 0, NONE), "all")
        assert permutation_p(*pair, 200, 0) == 1.0


def test_a_draw_of_cases_is_scored_as_its_records_would_be(scored):
    run = ("a", 0, NONE)
    columns = {c.metric: c for c in columns_of({run: scored(MIXED).samples})}
    twice = [*MIXED[:2], *(replace(p, id=f"{p.id}b") for p in MIXED[:2])]
    again = values_of(scored(twice, "twice-s0"))
    weights = np.array([[2, 2, 0, 0, 0]])
    for name in NAMES:
        statistic = columns[name].statistic(run, "all")
        assert statistic.replicates(weights)[0] == pytest.approx(again[name])


# ---- the file --------------------------------------------------------------------------------


def test_labels_of_other_answers_are_refused(scored, tmp_path):
    scored(MIXED)
    write_run(tmp_path / "a-s0", PERFECT)
    with pytest.raises(TomovoxError, match="labels of another answer to report/test/1; run tomo"):
        score_run(tmp_path / "a-s0")


def test_a_run_with_labels_is_scored_again_every_time(scored, tmp_path):
    scored(MIXED)
    assert read_scores(tmp_path / "a-s0") is None


def test_labels_are_read_as_they_were_written(scored, tmp_path):
    scored(MIXED)
    found = read_labelled(tmp_path / "a-s0")
    assert found.answers["report/test/3"].said == ("mass", "stone")


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": "cyst"},
        {"labels": [1]},
        {"labeller": None},
        {"answers": {"a": {}}},
        {"answers": {"a": {"key": "", "said": [], "wanted": [], "values": {"green": "1"}}}},
        {"scorers": {"bleu1": ""}},
        {"scorers": {"crg": ""}},
        {"unavailable": []},
        {"more": 1},
    ],
    ids=str,
)
def test_what_is_no_file_of_labels_is_refused(scored, tmp_path, changed):
    scored(MIXED)
    path = tmp_path / "a-s0" / CLINICAL_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(TomovoxError, match="does not hold the labels of a run's reports"):
        read_labelled(path.parent)
