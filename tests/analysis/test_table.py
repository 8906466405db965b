"""Is the table one line a row, sorted, corrected by family, and the same bytes again?"""

import numpy as np
import pandas
import pytest
from made_attended import noisy_run, uniform_run

from tomovox.analysis.distribution import distribution_rows
from tomovox.analysis.rows import Row
from tomovox.analysis.table import COLUMNS, attention_table, write_attention
from tomovox.statistics.multiplicity import holm


def row(statistic="entropy", question_type="all", p=0.5, against="uniform", value=1.0):
    numbers = (value, 0.0, 2.0, against, 0.5, 0.5, 0.0, 1.0, p)
    return Row(statistic, "vqa_open", question_type, "", "", *numbers, n=4, cases=2)


def test_the_table_has_its_columns():
    assert attention_table({("a", 0): [row()]}).columns.tolist() == list(COLUMNS)


def test_no_rows_make_an_empty_table():
    assert attention_table({}).columns.tolist() == list(COLUMNS)


def test_p_is_corrected_over_the_groups_of_one_statistic():
    p = [0.01, 0.02, 0.5]
    rows = [row(question_type=kind, p=each) for kind, each in zip("abc", p, strict=True)]
    assert attention_table({("a", 0): rows})["p_adjusted"].tolist() == holm(np.array(p)).tolist()


@pytest.mark.parametrize(
    "other",
    [
        {("a", 0): [row(), row("centre")]},
        {("a", 0): [row(), row(against="area")]},
        {("a", 0): [row()], ("a", 1): [row()]},
        {("a", 0): [row()], ("b", 0): [row()]},
        {("a", 0): [row()], ("a", None): [row()]},
    ],
    ids=["statistic", "baseline", "seed", "model", "all seeds"],
)
def test_p_is_not_corrected_over_families(other):
    assert attention_table(other)["p_adjusted"].tolist() == [0.5, 0.5]


def test_what_was_not_tested_has_no_corrected_p():
    frame = attention_table({("a", 0): [row(p=float("nan"), against="")]})
    assert frame["p_adjusted"].isna().all()


def test_the_order_of_rows_and_runs_changes_nothing(tmp_path):
    rows = distribution_rows(noisy_run())
    there = attention_table({("a", 0): rows, ("a", None): rows, ("b", 1): rows})
    back = attention_table({("b", 1): rows[::-1], ("a", None): rows[::-1], ("a", 0): rows[::-1]})
    written = [write_attention(f, tmp_path / n) for f, n in ((there, "there"), (back, "back"))]
    assert written[0].read_bytes() == written[1].read_bytes()


def test_the_file_is_read_back_as_it_was(tmp_path):
    frame = attention_table({("a", 0): [row()], ("a", None): [row()]})
    read = pandas.read_csv(
        write_attention(frame, tmp_path),
        keep_default_na=False,
        na_values={"seed": [""]},
        dtype={"seed": "Int64"},
    )
    pandas.testing.assert_frame_equal(read, frame, check_dtype=False)


def test_numbers_have_the_digits_of_the_file():
    frame = attention_table({("a", 0): [row(value=0.1234567)]})
    assert frame["value"].tolist() == [0.123457]


def test_a_zero_has_no_sign(tmp_path):
    frame = attention_table({("a", 0): [row(value=-1e-12)]})
    assert "-0.000000" not in write_attention(frame, tmp_path).read_text()


def test_a_uniform_scorer_prints_no_difference(tmp_path):
    frame = attention_table({("a", 0): distribution_rows(uniform_run(slices=7))})
    read = pandas.read_csv(write_attention(frame, tmp_path))
    assert (read["difference"] == 0).all()
    assert set(read.loc[read["statistic"] == "centre", "p_adjusted"]) == {1}
