"""Do the tables say what the rows say, in any terminal and for any name of a model?"""

import io

import pandas
import pytest
from rich.console import Console

from tomovox.judge.tables import (
    COLUMNS,
    build_table,
    markdown_of,
    model_and_seed,
    print_table,
    write_tables,
)
from tomovox.metrics.catalogue import METRICS


def cell(task, metric, protocol, value, kind="all", n=10, note=""):
    row = {"task": task, "question_type": kind, "metric": metric, "protocol": protocol}
    row |= {"value": value, "n": n, "signature": f"{metric}|v:1"}
    return row | ({"note": note} if note else {})


def rows(value=0.25):
    closed = [
        cell("vqa_closed", "accuracy", protocol, value, kind, n)
        for protocol in ("m3d", "standard")
        for kind, n in (("all", 10), ("plane", 6), ("organ", 4))
    ]
    texts = [
        cell("report", metric.name, metric.protocol, value)
        for metric in METRICS.values()
        if metric.name.startswith(("bleu", "rouge", "meteor", "exact"))
    ]
    missing = cell("report", "bertscore_f1", "m3d", None, note="unavailable: no encoder")
    return [*closed, *texts, missing]


RUNS = {"med2e3-s0": rows(0.5), "blind-s0": rows(0.25)}


def printed(runs) -> str:
    console = Console(width=110, file=io.StringIO(), color_system=None)
    print_table(build_table(runs), console)
    return console.file.getvalue()


def test_the_long_table_has_its_columns():
    assert list(build_table(RUNS).columns) == list(COLUMNS)


def test_a_value_is_missing_exactly_where_a_note_says_why():
    frame = build_table(RUNS)
    assert (frame["value"].isna() == frame["note"].str.startswith("unavailable: ")).all()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("med2e3-s0", ("med2e3", 0)), ("a-s1-s12", ("a-s1", 12)), ("blind", ("blind", None))],
)
def test_a_run_folder_names_model_and_seed(name, wanted):
    assert model_and_seed(name) == wanted


def test_the_order_of_runs_does_not_change_a_byte(tmp_path):
    first = write_tables(build_table(RUNS), tmp_path / "a")
    second = write_tables(build_table(dict(reversed(RUNS.items()))), tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_the_csv_can_be_read_back(tmp_path):
    csv, _ = write_tables(build_table(RUNS), tmp_path)
    frame = pandas.read_csv(csv)
    assert list(frame.columns) == list(COLUMNS)
    assert frame["value"].isna().sum() == 2


def test_no_markdown_table_mixes_protocols():
    for section in markdown_of(build_table(RUNS)).split("\n### ")[1:]:
        assert ("protocol m3d" in section) != ("protocol standard" in section)


def test_markdown_gives_n_and_percent_with_one_digit():
    text = markdown_of(build_table(RUNS))
    assert "| model | all (n=10) | plane (n=6) | organ (n=4) |" in text
    assert "| med2e3 | 50.0% | 50.0% | 50.0% |" in text


def test_markdown_says_why_a_metric_is_unavailable():
    assert "unavailable: no encoder" in markdown_of(build_table(RUNS))


def test_runs_of_different_size_show_both_n():
    runs = {"a": [cell("report", "rouge1", "m3d", 0.1, n=3)], "b": rows()}
    assert "(n=3-10)" in markdown_of(build_table(runs))


def test_a_run_that_lacks_a_cell_shows_it():
    runs = {"a": [cell("report", "rouge1", "m3d", 0.1)], "b": rows()}
    assert "n/a" in markdown_of(build_table(runs))


@pytest.mark.parametrize("name", ["a|b", "[bold]x[/bold]", "<script>", "a\nb", "*x*", "`x`"])
def test_markup_in_a_model_name_stays_text(name):
    lines = markdown_of(build_table({name: rows()})).splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)
    assert "<script>" not in "".join(lines)
    widths = {line.replace("\\|", "").count("|") for line in tables[-3:]}
    assert len(widths) == 1


def test_rich_markup_in_a_model_name_is_printed():
    assert "[bold]x[/bold]" in printed({"[bold]x[/bold]": rows()})


def test_the_terminal_table_fits_110_columns():
    runs = {"a-model-with-a-very-long-name-that-nobody-would-give-s0": rows(), **RUNS}
    assert max(len(line) for line in printed(runs).splitlines()) <= 110


def test_the_terminal_table_explains_what_is_unavailable():
    assert "bertscore_f1 m3d: unavailable: no encoder" in printed(RUNS)


def test_seeds_of_one_model_are_told_apart():
    text = printed({("med2e3", 0): rows(), ("med2e3", 1): rows()})
    assert "med2e3 (seed 0)" in text and "med2e3 (seed 1)" in text


def test_an_empty_comparison_is_an_empty_table(tmp_path):
    csv, markdown = write_tables(build_table({}), tmp_path)
    assert csv.read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"
    assert markdown.read_text(encoding="utf-8").startswith("# Scores")
