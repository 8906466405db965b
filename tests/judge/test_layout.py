"""Do the tables for paper and page hold the right rows and columns, and the right marks?"""

import pytest
from made_comparison import CONTROLLED, compared_table, differs, known
from made_rows import cell, rows

from tomovox.judge.layout import grids_of, headlines_in
from tomovox.judge.protocols import task_protocol
from tomovox.metrics.catalogue import METRICS, metrics_of
from tomovox.schema import Task


def grid(title, frame):
    (found,) = [each for each in grids_of(frame) if each.title == title]
    return found


def shown(frame, metric, model="med2e3"):
    """The cell of a model in the table of headline metrics of protocol standard."""
    for each in grids_of(frame):
        heads = [column.head.split()[0] for column in each.columns]
        if each.title.endswith("protocol standard") and metric in heads:
            (line,) = [line for line in each.lines if line.label == model]
            return line.cells[heads.index(metric)]
    raise AssertionError(metric)


def test_each_task_has_a_table_for_each_protocol_and_one_of_question_types():
    assert [each.title for each in grids_of(compared_table())] == [
        "report, protocol m3d",
        "report, protocol standard",
        "vqa_closed, protocol m3d",
        "vqa_closed, protocol standard",
        "vqa_closed, protocol standard: accuracy (%) by question type",
    ]


def test_a_table_of_headlines_leaves_out_the_other_metrics():
    found = grid("report, protocol standard", compared_table())
    assert [column.head for column in found.columns] == ["bleu4", "rougeL", "exact_match (%)"]


def test_question_types_come_in_the_order_of_all_tables():
    found = grid("vqa_closed, protocol standard: accuracy (%) by question type", compared_table())
    assert [(c.head, c.n) for c in found.columns] == [
        *[("all", "n=10"), ("macro", "n=10")],
        *[("plane", "n=6"), ("organ", "n=4")],
    ]


@pytest.mark.parametrize("task", [t for t in Task if METRICS[task_protocol(t).primary].headline])
def test_the_table_of_question_types_is_that_of_the_primary_metric(task):
    primary = METRICS[task_protocol(task).primary]
    cells = [
        cell(task, metric.name, metric.protocol, 1.0, kind)
        for metric in metrics_of(task).values()
        for kind in ("all", "one", "two")
    ]
    *_, last = grids_of(compared_table({"a": cells}))
    assert f"{primary.protocol}: {primary.name}" in last.title
    assert all(column.is_primary for column in last.columns)


def test_a_table_without_question_types_has_none_of_them():
    runs = {"a": [cell("report", "rougeL", "standard", 0.5)]}
    assert len(list(grids_of(compared_table(runs)))) == 1


def test_every_row_has_a_cell_for_each_column():
    for each in grids_of(compared_table(), widest=2):
        assert {len(line.cells) for line in each.lines} == {len(each.columns)}


def test_parts_of_a_wide_table_hold_its_columns_in_their_order():
    (whole,) = [each for each in grids_of(compared_table()) if "type" in each.title]
    parts = [each for each in grids_of(compared_table(), widest=3) if "type" in each.title]
    assert [len(part.columns) for part in parts] == [2, 2]
    assert sum((part.columns for part in parts), ()) == whole.columns


def test_a_control_stands_below_its_model():
    found = grid("report, protocol standard", compared_table())
    assert [(line.label, line.below) for line in found.lines] == [
        *[("blind", False), ("med2e3", False)],
        ("other_patient", True),
    ]


def test_a_control_has_no_row_in_a_task_that_it_did_not_answer():
    closed = [row for row in rows() if row["task"] == "vqa_closed"]
    runs = {**CONTROLLED, ("med2e3", 0, "other_patient"): closed}
    found = grid("report, protocol standard", compared_table(runs))
    assert [line.label for line in found.lines] == ["blind", "med2e3"]


def test_a_control_without_its_model_names_the_model():
    runs = {"blind-s0": rows(), ("med2e3", 0, "other_patient"): rows()}
    found = grid("report, protocol standard", compared_table(runs))
    assert "med2e3" in found.lines[1].label and not found.lines[1].below


def test_a_model_that_did_not_answer_a_task_has_its_row():
    runs = {"a": [cell("report", "rougeL", "standard", 0.5)], "b": rows()}
    found = grid("vqa_closed, protocol standard", compared_table(runs))
    assert [line.cells[0].text for line in found.lines] == ["n/a", "25.0"]


def test_a_value_is_shown_with_its_interval():
    found = shown(compared_table(), "accuracy")
    assert (found.text, found.interval) == ("50.0", "45.0, 55.0")


def test_a_value_without_interval_is_shown_alone():
    frame = known(compared_table(), "accuracy", lo=float("nan"), hi=float("nan"))
    found = shown(frame, "accuracy")
    assert (found.text, found.interval, found.ends) == ("50.0", "", None)


def test_a_metric_that_could_not_run_says_why_below_its_table():
    found = grid("report, protocol m3d", compared_table())
    assert found.remarks == ("bertscore_f1 m3d: unavailable: no encoder",)


@pytest.mark.parametrize(("by", "better"), [(0.1, True), (-0.1, False)])
def test_a_significant_difference_is_marked(by, better):
    assert shown(differs(compared_table(), "accuracy", by), "accuracy").better is better


@pytest.mark.parametrize("p", [0.05, 0.5, float("nan")])
def test_a_tie_is_not_marked(p):
    frame = differs(compared_table(), "accuracy", 0.1, p=p)
    assert shown(frame, "accuracy").better is None


def test_the_mark_is_that_of_the_corrected_p():
    frame = known(differs(compared_table(), "accuracy", 0.1, p=0.2), "accuracy", p=0.001)
    assert shown(frame, "accuracy").better is None


def test_a_larger_value_is_worse_where_lower_is_better():
    runs = {"med2e3": [cell("seg_semantic", "false_positive_rate", "standard", 0.5)]}
    (found,) = grids_of(differs(compared_table(runs), "false_positive_rate", 0.1))
    assert found.lines[0].cells[0].better is False and found.columns[0].head.endswith("↓")


def test_a_cell_tells_its_p_and_signature():
    told = shown(differs(compared_table(), "accuracy", 0.1), "accuracy").told
    assert told == ("difference 10.0 [9.0, 11.0]; p = 0.005; corrected p = 0.010; accuracy|v:1")


def test_a_table_says_how_many_records_and_cases_it_counts():
    found = grid("vqa_closed, protocol standard: accuracy (%) by question type", compared_table())
    assert found.counts == "n=4-10 records of 4 cases"


def test_a_metric_that_is_not_known_here_is_in_the_short_tables():
    frame = compared_table({"a": [cell("report", "own", "standard", 0.5)]})
    assert headlines_in(frame) == [("own", "standard")]


def test_an_empty_table_has_no_tables():
    assert not list(grids_of(compared_table({})))
