"""Do verdicts say what the statistics say, of the metrics and question types that are asked for?"""

import pytest
from made_comparison import compared_table
from made_rows import RUNS
from test_compare import rows_of, samples, suite

from tomovox.judge.compare import compared
from tomovox.judge.tables import build_table
from tomovox.judge.verdicts import FEW_CASES, NO_WIDTH, Asked, verdict_of, verdict_sheets
from tomovox.schema import TomovoxError


@pytest.fixture(scope="module")
def table():
    return compared(build_table(rows_of(suite())), suite())


def test_a_row_says_value_difference_and_what_could_be_shown(table):
    (sheet,) = verdict_sheets(table, "blind")
    said = dict(
        zip(["better", "its", "blind", "equal", "seeing", "seeing's"], sheet.rows, strict=True)
    )
    names = [row[0] for row in sheet.rows]
    assert names == ["better", "  no_image", "blind", "equal", "seeing", "  no_image"]
    assert said["blind"][2:] == ("reference", "", "", "")
    _, value, difference, p, verdict, least = said["seeing"]
    assert "[" in value and difference.startswith("+") and float(p) < 0.05 and verdict == "better"
    cell = table[table["model"].eq("seeing") & table["control"].eq("none")]
    (cell,) = cell[cell["question_type"] == "all"].to_dict("records")
    assert least == f"{100 * cell['detectable']:.1f}"
    assert said["its"][2:] == ("+0.0 [+0.0, +0.0]", "1.000", "tie", "")
    assert said["seeing's"][4] == "worse"


def test_a_sheet_says_over_how_many_comparisons_p_was_corrected(table):
    (sheet,) = verdict_sheets(table, "blind", correction="bh")
    assert (
        "vqa_closed, accuracy of protocol standard: corrected by Benjamini-Hochberg over 12 "
        "comparisons of models and, apart, 8 of controls."
    ) in sheet.told


def told(runs) -> tuple[str, ...]:
    (sheet,) = verdict_sheets(compared(build_table(rows_of(runs)), runs), "blind")
    return sheet.told


def test_a_sheet_says_where_a_difference_has_other_records_than_a_value():
    runs = suite()
    runs["better", 0, "none"] = runs["better", 0, "none"][:300]
    lines = told(runs)
    assert not any(line.startswith("better:") for line in lines)  # blind answered all of its 300
    assert (
        "better, no_image: the difference is over the 300 records of 50 cases that both answered, "
        "the value over 600 of 100."
    ) in lines


def test_a_sheet_says_what_could_not_be_paired():
    runs = {run: mine for run, mine in suite().items() if run[0] in ("blind", "equal")}
    runs["blind", 0, "none"] = runs["blind", 0, "none"][:300]
    runs["equal", 0, "none"] = runs["equal", 0, "none"][300:]
    assert "equal: not compared, there are no shared records." in told(runs)


def test_few_cases_and_intervals_without_width_are_said(table):
    (sheet,) = verdict_sheets(table, "blind")
    assert FEW_CASES not in sheet.told and NO_WIDTH not in sheet.told
    few = {("blind", 0, "none"): samples(2, 0)[:60], ("a", 0, "none"): samples(0.5, 1)[:60]}
    assert {FEW_CASES, NO_WIDTH} < set(told(few))


def test_the_title_says_what_is_compared(table):
    (sheet,) = verdict_sheets(table, "blind")
    assert sheet.title == "vqa_closed: accuracy, standard, 100 cases, against blind"
    assert sheet.section == "vqa_closed" and sheet.heads[0] == "model"


def test_by_type_every_run_has_a_row_for_each_question_type(table):
    (sheet,) = verdict_sheets(table, "blind", Asked(by_type=True))
    assert sheet.heads[:2] == ("model", "question type")
    assert len(sheet.rows) == len(suite()) * 4
    assert list(dict.fromkeys(row[1] for row in sheet.rows)) == ["all", "macro", "plane", "organ"]


def test_a_row_by_type_is_the_comparison_of_that_type(table):
    (sheet,) = verdict_sheets(table, "blind", Asked(by_type=True))
    (row,) = [row for row in sheet.rows if row[:2] == ("seeing", "organ")]
    chosen = table[(table["model"] == "seeing") & (table["control"] == "none")]
    (cell,) = chosen[chosen["question_type"] == "organ"].to_dict("records")
    assert row[2].startswith(f"{100 * cell['value']:.1f}%")
    assert row[4:6] == (f"{cell['p_adjusted']:.3f}", verdict_of(cell))


def titles(asked):
    """Metric and protocol of each sheet of a table of reports and closed questions."""
    sheets = verdict_sheets(asked.rows_of(compared_table(RUNS)), "blind", asked)
    return [tuple(sheet.title.split(", ")[:2]) for sheet in sheets]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (Asked(), [("report: rougeL", "standard"), ("vqa_closed: accuracy", "standard")]),
        (Asked(task="report"), [("report: rougeL", "standard")]),
        (Asked(metrics=("bleu4",)), [("report: bleu4", "standard")]),
        (Asked(metrics=("bertscore_f1",)), [("report: bertscore_f1", "m3d")]),
        (Asked(metrics=("rouge1",), protocol="m3d"), [("report: rouge1", "m3d")]),
        (Asked(protocol="m3d"), [("vqa_closed: accuracy", "m3d")]),
        (
            Asked(metrics=("rouge2", "bleu1")),
            [("report: rouge2", "standard"), ("report: bleu1", "standard")],
        ),
    ],
)
def test_a_metric_is_read_in_the_protocol_of_the_primary_one_where_it_has_it(asked, wanted):
    assert titles(asked) == wanted


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(metrics=("bleu9",)), "metric bleu9: no row has it; there are accuracy, bert"),
        (Asked(task="rec"), "task rec: no row has it; there are report, vqa_closed"),
        (
            Asked(task="report", metrics=("accuracy",)),
            "task report and metric accuracy: no row has all of these",
        ),
    ],
)
def test_what_no_row_has_is_refused_with_what_there_is(asked, said):
    with pytest.raises(TomovoxError, match=said) as caught:
        asked.check(compared_table(RUNS))
    assert "\n" not in str(caught.value)


def test_seeds_of_one_model_tell_two_spreads_apart():
    runs = {("seeing", seed, "none"): samples(0.75, seed) for seed in (0, 1, 2)}
    frame = compared(build_table(rows_of(runs)), runs)
    *_, sheet = verdict_sheets(frame, "seeing")
    values = frame[frame["question_type"] == "all"]["value"]
    assert sheet.title == "vqa_closed: accuracy, standard, over seeds"
    ((model, seeds, mean, over_cases, over_seeds),) = sheet.rows
    errors = frame[frame["question_type"] == "all"]["standard_error"]
    assert over_cases == f"{100 * (errors**2).mean() ** 0.5:.1f}" != over_seeds
    assert (model, seeds, mean) == ("seeing", "3", f"{100 * values.mean():.1f}")
    assert over_seeds == f"{100 * values.std():.1f}"


def test_an_empty_table_has_no_verdicts():
    assert verdict_sheets(compared_table({}), "blind") == []
