"""Is text from outside shown as it is, and are models told apart without colour?"""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_attended import attended
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from tomovox.analysis.figure_style import (
    counts,
    kinds_in_order,
    legend,
    line_of,
    looks,
    one_line,
    panels,
    plain,
    style,
)


@given(st.text(max_size=60))
def test_matplotlib_reads_no_formula_in_text_from_outside(text):
    shown, formula = Text()._preprocess_math(plain(text, 80))
    assert formula is False
    assert shown == one_line(text, 80)


@given(st.text(max_size=60), st.integers(1, 30))
def test_a_line_is_printable_and_never_longer_than_asked(text, longest):
    line = one_line(text, longest)
    assert line.isprintable() and len(line) <= longest


def test_control_characters_become_spaces():
    assert one_line("a\x1b[31m\n\u202eb\ud800c", 80) == "a [31m b c"


def test_a_cut_line_says_so():
    assert one_line("a word and another", 8) == "a word…"


def test_seven_models_differ_in_colour_and_in_marker():
    found = list(looks("abcdefg").values())
    assert len({look.color for look in found}) == len({look.marker for look in found}) == 7


def test_neighbours_differ_in_line_and_28_models_in_colour_or_line():
    found = list(looks(map(str, range(28))).values())
    lines = [str(look.linestyle) for look in found]
    assert len({(look.color, str(look.linestyle)) for look in found}) == 28
    assert all(a != b for a, b in pairwise(lines))


def test_question_types_come_in_the_published_order_and_others_behind():
    kinds = ["size", "organ", "plane", "colour", "location"]
    assert kinds_in_order(kinds) == ["plane", "organ", "location", "colour", "size"]


def test_a_record_that_two_models_answer_counts_once():
    records = [attended(0), attended(0), attended(1), attended(1, "plane")]
    assert counts(records) == "n = 3, 2 cases"


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (5, 1, 5), (7, 2, 5)])
def test_panels_stand_in_rows(count, rows, columns):
    figure, grid = panels(count, 5, (1.5, 1.5))
    assert len(figure.axes) == len(grid) == count
    assert grid[0].get_gridspec().get_geometry() == (rows, columns)


@pytest.mark.parametrize("names", [["a"], [*"abcdefghi"], [f"{i} {'e' * 38}" for i in range(9)]])
def test_a_legend_is_no_wider_than_its_figure(names):
    with style():
        figure, _ = panels(1, 5, (1.5, 1.5))
        legend(figure, {name: line_of(look) for name, look in looks(names).items()})
        FigureCanvasAgg(figure).draw()
    assert inside(figure, figure.legends[0])


def test_a_name_that_opens_with_an_underscore_is_in_the_legend():
    figure = Figure()
    legend(figure, {"_a": line_of(looks(["_a"])["_a"])})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["_a"]


def inside(figure, artist):
    box = artist.get_window_extent()
    return box.x0 >= 0 and box.x1 <= figure.bbox.x1
