"""Do the reports of a run get the labels that they should, and are those kept as they were made?"""

from dataclasses import replace

import pytest
from labelled_runs import LABELLER, LABELS, MIXED, PERFECT, REFERENCES, report, write_run

from tomovox.judge.clinical import CLINICAL_FILE, read_labelled
from tomovox.judge.clinical import LABELS as OF_LABELS
from tomovox.judge.labelling import Labelling, label_files, label_runs, labelled, labelled_alike
from tomovox.metrics.outside import SCORERS
from tomovox.metrics.resources import Unavailable
from tomovox.schema import Prediction, Task, TomovoxError

BY_LABELLER = Labelling("references", LABELLER)
TABLE = "id,mass,cyst\n" + "".join(f"report/test/{i},{i % 2},1\n" for i in range(5))


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "a-s0", MIXED)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text(TABLE)
    return path


def test_a_labeller_reads_answers_and_references(run):
    label_runs([run], BY_LABELLER)
    found = read_labelled(run)
    assert found.labels == LABELS and found.labeller == found.references == "words-1"
    assert found.answers["report/test/1"].said == ("cyst",)
    assert found.answers["report/test/1"].wanted == ("cyst", "mass")


def test_a_table_gives_the_labels_of_references_and_their_order(run, table):
    label_runs([run], Labelling(str(table), LABELLER))
    found = read_labelled(run)
    assert found.labels == ("mass", "cyst") and found.references == "truth.csv"
    assert found.answers["report/test/3"].wanted == ("mass", "cyst")
    assert found.answers["report/test/3"].said == ("mass",)


def test_the_tables_of_the_data_are_found_by_themselves(run, tmp_path, table):
    place = tmp_path / "data" / "multi_abnormality_labels"
    place.mkdir(parents=True)
    table.rename(place / "valid_predicted_labels.csv")
    label_runs([run], Labelling(labeller=LABELLER), tmp_path / "data")
    assert read_labelled(run).references == "valid_predicted_labels.csv"
    assert label_files(tmp_path) == []


def test_nothing_is_written_where_nothing_is_asked(run, tmp_path):
    label_runs([run], Labelling(), tmp_path)
    assert not (run / CLINICAL_FILE).exists()


def test_a_run_without_reports_has_no_labels(tmp_path):
    other = Prediction("vqa_open/test/0", Task.VQA_OPEN, "c", "q", "cyst", "cyst")
    folder = write_run(tmp_path / "b-s0", [other])
    label_runs([folder], BY_LABELLER)
    assert not (folder / CLINICAL_FILE).exists()


def test_a_record_without_a_row_is_not_passed_over(run, table):
    write_run(run, [*MIXED, report(7, "", "")])
    with pytest.raises(TomovoxError, match=r"truth\.csv: no row for report/test/7, and for 0 more"):
        label_runs([run], Labelling(str(table), LABELLER))


@pytest.mark.parametrize(
    ("changed", "said"),
    [(TABLE[: TABLE.rindex("report")], "no row for report/test/4"), ("id,ghost\n", "'ghost'")],
)
def test_a_table_of_the_data_that_does_not_fit_leaves_the_other_metrics(
    run, tmp_path, changed, said
):
    place = tmp_path / "data" / "multi_abnormality_labels"
    place.mkdir(parents=True)
    (place / "labels.csv").write_text(changed)
    label_runs([run], Labelling(labeller=LABELLER), tmp_path / "data")
    assert said in read_labelled(run).unavailable[OF_LABELS]


def test_a_label_that_the_labeller_does_not_know_is_refused(run, table):
    table.write_text(TABLE.replace("mass", "ghost"))
    with pytest.raises(TomovoxError, match="words-1 does not know 'ghost'"):
        label_runs([run], Labelling(str(table), LABELLER))


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        (Labelling(labeller="nobody"), "labeller 'nobody' is not known"),
        (Labelling(scorers=["bleu"]), "scorer 'bleu' is not known; known: radgraph_f1"),
        (Labelling("no.csv"), "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_at_once(how, fault):
    with pytest.raises(TomovoxError, match=fault):
        how.check()


def test_a_table_stands_beside_the_file_that_names_it(tmp_path, table):
    assert Labelling("truth.csv").checked(tmp_path).labels == str(table)
    assert Labelling("references").checked(tmp_path).labels == "references"
    assert Labelling().checked(tmp_path).labels is None


def test_a_labeller_that_cannot_run_is_said_and_nothing_made_up():
    absent = LABELLER.replace("Word", "Absent")
    found = labelled(MIXED, Labelling("references", absent))
    assert found.unavailable == {OF_LABELS: "nothing to read with: fetch it"}


def test_a_scorer_that_cannot_run_is_said_and_nothing_made_up(monkeypatch):
    monkeypatch.setenv(SCORERS["green"].variable, "/no/such/python")
    found = labelled(MIXED, Labelling(scorers=["green"]))
    assert "/no/such/python does not run" in found.unavailable["green"]
    assert all(not answer.values for answer in found.answers.values())


def test_a_scorer_that_is_asked_for_later_leaves_the_labels(run, monkeypatch):
    monkeypatch.setenv(SCORERS["green"].variable, "/no/such/python")
    label_runs([run], BY_LABELLER)
    before = read_labelled(run)
    label_runs([run], Labelling(scorers=["green"]))
    after = read_labelled(run)
    assert after.labels == before.labels and after.answers == before.answers
    assert list(after.scorers) == list(after.unavailable) == ["green"]


def test_labels_that_are_asked_for_later_leave_the_scorers(run, monkeypatch):
    monkeypatch.setenv(SCORERS["green"].variable, "/no/such/python")
    label_runs([run], Labelling(scorers=["green"]))
    label_runs([run], BY_LABELLER)
    found = read_labelled(run)
    assert found.labels == LABELS and list(found.unavailable) == ["green"]


def test_nothing_is_left_of_the_labels_of_other_answers(run):
    label_runs([run], BY_LABELLER)
    write_run(run, PERFECT)
    label_runs([run], BY_LABELLER)
    found = read_labelled(run)
    assert all(answer.said == answer.wanted for answer in found.answers.values())


def test_other_answers_are_labelled_as_those_of_a_run_were(run):
    label_runs([run], BY_LABELLER)
    metrics = {metric.name: metric for metric in labelled_alike([run])(PERFECT)}
    rows = [replace(one, text="cyst mass stone") for one in PERFECT]
    assert metrics["f1_micro"].over(metrics["f1_micro"].contributions(PERFECT)) == 1.0
    told = {m.signature() for m in read_labelled(run).metrics()}
    assert {m.signature() for m in labelled_alike([run])(rows)} == told


def test_other_answers_have_no_value_where_the_labeller_cannot_run(run):
    label_runs([run], BY_LABELLER)
    path = run / CLINICAL_FILE
    path.write_text(path.read_text().replace("WordLabeller", "AbsentLabeller"))
    metrics = labelled_alike([run])(PERFECT)
    assert {m.signature() for m in metrics} == {m.signature() for m in read_labelled(run).metrics()}
    with pytest.raises(Unavailable, match="fetch it"):
        metrics[0].measure(PERFECT)


def test_no_run_with_labels_makes_no_metrics(run):
    assert labelled_alike([run])(MIXED) == []
    assert len(REFERENCES) == len(MIXED)
