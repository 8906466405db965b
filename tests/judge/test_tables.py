"""Do the tables say what the rows say, in any terminal and for any name of a model?"""

import io

import pandas
import pytest
from made_comparison import compared_table
from made_rows import RUNS, cell, rows
from rich.console import Console

from tomovox.judge.compare import COMPARED, TESTED
from tomovox.judge.tables import (
    COLUMNS,
    build_table,
    markdown_of,
    model_and_seed,
    print_table,
    write_tables,
)
from tomovox.metrics.catalogue import metrics_of
from tomovox.schema import QUESTION_TYPES, Task, TomovoxError


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
    first = write_tables(compared_table(RUNS), tmp_path / "a")
    second = write_tables(compared_table(dict(reversed(RUNS.items()))), tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_the_csv_can_be_read_back(tmp_path):
    csv, *_ = write_tables(compared_table(RUNS), tmp_path)
    frame = pandas.read_csv(csv)
    assert list(frame.columns) == [*COLUMNS, *COMPARED, *TESTED]
    assert frame["value"].isna().sum() == 2


def test_a_task_that_one_model_answers_shows_the_others_without_value():
    drawn = [cell("seg_semantic", "dice", "standard", 0.5)]
    runs = {"draws": [*drawn, *rows()], "speaks": rows()}
    section = markdown_of(build_table(runs)).split("## seg")[1]
    assert "| draws | 50.0% |" in section and "| speaks | n/a |" in section
    table = printed(runs).split("seg_semantic")[1]
    (line,) = [line for line in table.splitlines() if "speaks" in line]
    assert line.split()[3] == "n/a"


def signed(signature, value=0.5):
    return [cell("report", "rouge1", "m3d", value) | {"signature": signature}]


def test_two_signatures_in_one_column_are_refused():
    with pytest.raises(TomovoxError) as caught:
        build_table({"a-s0": signed("rouge1|v:1"), "b-s0": signed("rouge1|v:2")})
    message = str(caught.value)
    assert "\n" not in message
    for part in ("rouge1", "m3d", "a-s0 (rouge1|v:1)", "b-s0 (rouge1|v:2)"):
        assert part in message


def test_a_metric_that_could_not_run_stands_beside_one_that_did():
    missing = [signed("rouge1|none", None)[0] | {"note": "unavailable: no encoder"}]
    assert len(build_table({"a": signed("rouge1|v:1"), "b": missing})) == 2


def test_a_column_that_counts_fewer_records_says_its_n():
    fewer = cell("rec", "iou", "standard", 0.5, n=7)
    text = printed({"a": [cell("rec", "iou", "m3d", 0.1, n=10), fewer]})
    assert "rec (n=10)" in text and "n=7" in text


def test_rich_markup_in_a_model_name_is_printed():
    assert "[bold]x[/bold]" in printed({"[bold]x[/bold]": rows()})


def test_the_terminal_table_fits_110_columns():
    runs = {"a-model-with-a-very-long-name-that-nobody-would-give-s0": rows(), **RUNS}
    assert max(len(line) for line in printed(runs).splitlines()) <= 110


@pytest.mark.parametrize("task", Task)
def test_the_headlines_of_every_task_fit_110_columns_with_all_question_types(task):
    kinds = ("all", "macro", *QUESTION_TYPES.values())
    cells = [
        cell(task, metric.name, metric.protocol, 1.0, kind, 12345)
        for metric in metrics_of(task).values()
        for kind in kinds
    ]
    text = printed({"a-model-with-a-very-long-name-s0": cells})
    assert max(map(len, text.splitlines())) <= 110 and "…" not in text


def test_question_types_without_room_are_said_to_stand_in_the_file():
    kinds = ["all", "macro", *(f"organ-{i:02d}" for i in range(30))]
    runs = {"a": [cell("seg_semantic", "dice", "standard", 0.5, kind) for kind in kinds]}
    text = printed(runs)
    assert "more question types stand in table.md" in text and "organ-00" in text
    assert max(map(len, text.splitlines())) <= 110 and "…" not in text
    assert "organ-29" in markdown_of(build_table(runs))


def test_the_terminal_table_explains_what_is_unavailable():
    assert "bertscore_f1 m3d: unavailable: no encoder" in printed(RUNS)


def test_seeds_of_one_model_are_told_apart():
    text = printed({("med2e3", 0, "none"): rows(), ("med2e3", 1, "none"): rows()})
    assert "med2e3 (seed 0)" in text and "med2e3 (seed 1)" in text


def test_an_empty_comparison_is_an_empty_table(tmp_path):
    csv, markdown, *_ = write_tables(compared_table({}), tmp_path)
    assert csv.read_text(encoding="utf-8") == ",".join([*COLUMNS, *COMPARED, *TESTED]) + "\n"
    assert markdown.read_text(encoding="utf-8").startswith("# Scores")
