"""Does the page say what the rows say, for any name of a model?"""

import pytest
from made_rows import RUNS, cell, rows

from tomovox.judge.markdown import markdown_of
from tomovox.judge.tables import build_table


def test_no_markdown_table_mixes_protocols():
    for section in markdown_of(build_table(RUNS)).split("\n### ")[1:]:
        assert ("protocol m3d" in section) != ("protocol standard" in section)


def test_markdown_gives_n_and_percent_with_one_digit():
    text = markdown_of(build_table(RUNS))
    assert "| model | all (n=10) | macro (n=10) | plane (n=6) | organ (n=4) |" in text
    assert "| med2e3 | 50.0% | 50.0% | 50.0% | 50.0% |" in text


def test_markdown_says_why_a_metric_is_unavailable():
    assert "unavailable: no encoder" in markdown_of(build_table(RUNS))


def test_runs_of_different_size_show_both_n():
    runs = {"a": [cell("report", "rouge1", "m3d", 0.1, n=3)], "b": rows()}
    assert "(n=3-10)" in markdown_of(build_table(runs))


def test_a_run_that_lacks_a_cell_shows_it():
    runs = {"a": [cell("report", "rouge1", "m3d", 0.1)], "b": rows()}
    assert "n/a" in markdown_of(build_table(runs))


def test_a_rank_is_shown_as_a_number():
    runs = {"a": [cell("retrieval", "i2t_median_rank", "m3d", 12.5)]}
    assert "| a | 12.5 |" in markdown_of(build_table(runs))


@pytest.mark.parametrize("name", ["a|b", "[bold]x[/bold]", "<script>", "a\nb", "*x*", "`x`"])
def test_markup_in_a_model_name_stays_text(name):
    lines = markdown_of(build_table({name: rows()})).splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)
    assert "<script>" not in "".join(lines)
    widths = {line.replace("\\|", "").count("|") for line in tables[-3:]}
    assert len(widths) == 1
