"""Does a sheet reach every form of output whole, for any text in its cells?"""

import io
import re

import pytest
from made_comparison import HOSTILE, compared_table
from made_rows import RUNS
from rich.console import Console
from test_html import Page
from test_latex import tables

from tomovox.judge.html import html_of
from tomovox.judge.latex import latex_of
from tomovox.judge.markdown import markdown_of
from tomovox.sheets import (
    WHOLE,
    Sheet,
    parts_of,
    print_sheets,
    sections_of,
    told_once,
)

NUMBERS = tuple(f"column {i}" for i in range(12))
WIDE = Sheet(
    "wide",
    ("model", "control", *NUMBERS),
    tuple((name, "none", *(f"{name}{i} [0.123, 0.456]" for i in range(12))) for name in "ab"),
)
SMALL = Sheet("small", ("model", "n"), (("a", "1"), ("  below", "2")), "report", ("a line",))
TALL = Sheet("tall", ("model", "n"), (("a", "1"), ("  x", "2"), ("  y", "3")) * 4)
ROUGH = Sheet(HOSTILE, (HOSTILE, "[bold]n"), ((HOSTILE, "[/bold]"),), told=(HOSTILE,))


def printed(*sheets, width=110):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    print_sheets(sheets, console)
    return console.file.getvalue()


def cells(sheets):
    return {cell for sheet in sheets for row in sheet.rows for cell in row}


@pytest.mark.parametrize("widest", [40, 80, 110])
def test_parts_hold_every_cell_and_are_no_wider_than_asked(widest):
    parts = parts_of(WIDE, widest)
    assert cells(parts) == cells([WIDE])
    assert all(sum(w + 3 for w in part.widths) < widest for part in parts)


def test_parts_repeat_the_first_columns_of_words_and_have_titles_of_their_own():
    parts = parts_of(WIDE, 80)
    assert all(part.heads[:2] == ("model", "control") for part in parts)
    assert [part.title for part in parts] == [
        f"wide ({i} of {len(parts)})" for i in range(1, len(parts) + 1)
    ]


def test_a_sheet_that_fits_stays_one():
    assert parts_of(SMALL, 80) == [SMALL]
    assert parts_of(Sheet("empty", ("model", "n"), ()), 80)[0].rows == ()


@pytest.mark.parametrize("tallest", [1, 3, 7])
def test_no_part_opens_with_a_row_that_is_below_another(tallest):
    parts = parts_of(TALL, 80, tallest)
    assert [row for part in parts for row in part.rows] == list(TALL.rows)
    assert all(part.rows[0][0] == "a" for part in parts)
    assert all(len(part.rows) <= max(tallest, 3) for part in parts)


def test_a_head_is_no_wider_than_its_column():
    sheet = Sheet("t", ("model", "sd from other seeds"), (("a", "1.5"),))
    assert sheet.head_lines == [("", "sd"), ("", "from"), ("", "other"), ("model", "seeds")]


def test_a_line_is_told_once_on_a_page():
    first, second = told_once([SMALL, SMALL], set())
    assert (first.told, second.told) == (("a line",), ())
    assert printed(SMALL, SMALL).count("a line") == 1


def test_sections_are_tasks_in_their_order_and_the_whole_last():
    rec = Sheet("of a task without rows", ("model",), (), "rec")
    found = sections_of(["vqa_closed", "report"], [WIDE, rec, SMALL])
    assert found == {"report": [SMALL], "vqa_closed": [], "rec": [rec], WHOLE: [WIDE]}
    assert list(found) == ["report", "vqa_closed", "rec", WHOLE]


@pytest.mark.parametrize("width", [60, 110, 250])
def test_the_terminal_shows_every_cell_in_its_width(width):
    text = printed(WIDE, SMALL, width=width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    assert all(cell in text for cell in cells([WIDE, SMALL]))


def test_markup_in_a_sheet_stays_text_in_the_terminal():
    assert "[/bold]" in printed(ROUGH) and "[bold]n" in printed(ROUGH)


def test_the_page_has_each_sheet_in_its_section():
    text = html_of(compared_table(RUNS), sheets=[WIDE, SMALL])
    page = Page(text)
    assert ["model", "n"] in [table[0] for table in page.tables]
    assert cells([WIDE]) <= {cell for table in page.tables for row in table for cell in row}
    order = [text.index(part) for part in ('id="report"', ">small<", 'id="vqa_', "All tasks</h2>")]
    assert order == sorted(order) and 'href="#All-tasks"' in text


def test_a_row_below_another_is_indented_on_the_page():
    assert '<tr class="below"><th scope="row">below</th>' in html_of(
        compared_table({}), sheets=[SMALL]
    )


def test_a_hostile_sheet_stays_text_on_the_page():
    page = Page(html_of(compared_table({}), sheets=[ROUGH]))
    assert "script" not in page.tags and not page.open


def test_latex_has_every_cell_and_in_each_row_its_columns():
    text = latex_of(compared_table(RUNS), sheets=[WIDE, SMALL, ROUGH])
    for specification, lines in tables(text):
        for line in lines:
            assert len(re.findall(r"(?<!\\)&", line)) + 1 == len(specification)
    assert all(f"{name}{i} " in text for name in "ab" for i in range(12))
    assert r"\quad below & 2" in text and "a line" in text
    labels = re.findall(r"\\label\{([^}]+)\}", text)
    assert len(set(labels)) == len(labels)


def test_markdown_aligns_words_left_and_numbers_right():
    lines = markdown_of(compared_table(RUNS), sheets=[SMALL]).splitlines()
    start = lines.index("### small")
    assert lines[start + 2 : start + 8] == [
        *("| model | n |", "|---|---:|", "| a | 1 |", "| &emsp;below | 2 |"),
        *("", "a line"),
    ]


def test_a_hostile_cell_stays_one_cell_of_markdown():
    lines = markdown_of(compared_table({}), sheets=[ROUGH]).splitlines()
    rows = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    assert {row.count("|") for row in rows} == {3} and "<script>" not in "".join(lines)
