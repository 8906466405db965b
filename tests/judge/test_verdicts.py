"""Do verdicts say what the statistics say, of the metrics and question types that are asked for?"""

import pytest
from made_comparison import compared_table
from made_rows import RUNS
from test_compare import rows_of, samples, suite

from tomovox.judge.compare import compared
from tomovox.judge.tables import build_table
from tomovox.judge.verdicts import Asked, verdict_of, verdict_sheets
from tomovox.schema import TomovoxError


@pytest.fixture(scope="module")
def table():
    return compared(build_table(rows_of(suite())), suite())


def test_a_row_says_value_difference_and_what_could_be_shown(table):
    (sheet,) = verdict_sheets(table, "blind")
    rows = {row[0]: row[1:] for row in sheet.rows}
    assert rows["blind"][1:] == ("reference", "", "", "")
    value, difference, p, verdict, least = rows["seeing"]
    assert "[" in value and difference.startswith("+") and float(p) < 0.05
    assert verdict == "better" and 0 < float(least) < 15
    assert rows["  no_image"][3] in ("worse", "tie")


def test_the_title_says_what_is_compared(table):
    (sheet,) = verdict_sheets(table, "blind")
    assert sheet.title == "vqa_closed: accuracy, standard, 100 cases, against blind"
    assert sheet.section == "vqa_closed" and sheet.heads[0] == "model"


def test_by_type_every_run_has_a_row_for_each_question_type(table):
    (sheet,) = verdict_sheets(table, "blind", Asked(by_type=True))
    assert sheet.heads[:2] == ("model", "question type")
    assert len(sheet.rows) == len(suite()) * 3
    assert list(dict.fromkeys(row[1] for row in sheet.rows)) == ["all", "plane", "organ"]


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
    ((model, seeds, mean, _, over_seeds),) = sheet.rows
    assert (model, seeds, mean) == ("seeing", "3", f"{100 * values.mean():.1f}")
    assert over_seeds == f"{100 * values.std():.1f}"


def test_an_empty_table_has_no_verdicts():
    assert verdict_sheets(compared_table({}), "blind") == []
