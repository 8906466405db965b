"""Does a browser show what the rows say, for any name, and from this one file?"""

import re
from html.parser import HTMLParser

import pytest
from made_comparison import CONTROLLED, HOSTILE, compared_table, differs, known
from made_rows import rows

from tomovox.judge.html import html_of
from tomovox.judge.layout import grids_of

FACTS = {"commit": "64f57b0", "reference": "<blind>"}
VOID = {"meta", "path", "circle"}


class Page(HTMLParser):
    """The elements of a page: `rows` of each table are lists of texts, `titles` the tooltips."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []
        self.tables, self.bold, self.titles = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.titles += [value for name, value in attrs if name == "title"]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data
        if "strong" in self.open:
            self.bold.append(data)


def page(frame=None, notes=(), facts=None):
    return Page(html_of(compared_table() if frame is None else frame, notes, facts))


def test_every_element_is_closed_in_its_order():
    runs = {HOSTILE: rows(), **CONTROLLED}
    assert not page(compared_table(runs), [HOSTILE], {HOSTILE: HOSTILE}).open


def test_every_run_has_one_row_in_each_table():
    for table in page().tables:
        assert [row[0] for row in table] == ["model", "blind", "med2e3", "other_patient"]


def test_every_row_has_the_columns_of_its_table():
    frame = compared_table()
    for table, grid in zip(page(frame).tables, grids_of(frame), strict=True):
        assert {len(row) for row in table} == {len(grid.columns) + 1}


def test_nothing_comes_from_outside_the_file():
    text = html_of(compared_table(), ["a note"], FACTS)
    assert not re.search(r"https?:|//|url\(|@import|\bsrc=", text)


def test_a_page_has_no_script():
    assert "script" not in page().tags


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '"><b onclick="x">', "a&amp;b", HOSTILE]
)
def test_a_name_stays_text_wherever_it_stands(name):
    shown = " ".join(name.split())
    found = page(compared_table({name: rows()}), [name], {name: name})
    assert "script" not in found.tags and "b" not in found.tags
    assert all(" ".join(table[1][0].split()) == shown for table in found.tables)
    assert "onclick" not in dict(found.attributes)


def test_a_hostile_signature_stays_within_its_tooltip():
    found = page(known(compared_table(), "accuracy", signature='"><script>'))
    assert "script" not in found.tags and '"><script>' in found.titles


def test_a_value_stands_with_its_interval():
    texts = [text for table in page().tables for row in table for text in row]
    assert "50.0[45.0, 55.0]" in texts


def test_what_is_best_alone_is_bold():
    # Once among the headlines, once among the question types.
    assert page(known(compared_table(), "accuracy", best=True)).bold == ["50.0", "50.0"]


def test_nothing_is_bold_where_nothing_is_best():
    assert not page(notes=["a note"], facts=FACTS).bold


@pytest.mark.parametrize(("by", "mark"), [(0.1, "*"), (-0.1, "†")])
def test_a_difference_has_its_mark(by, mark):
    texts = [
        t for table in page(differs(compared_table(), "accuracy", by)).tables for t in table[2]
    ]
    assert f"50.0{mark}[45.0, 55.0]" in texts


def test_a_tie_has_no_mark():
    assert "sup" not in page(differs(compared_table(), "accuracy", 0.1, p=0.5)).tags


def test_p_and_signature_are_the_tooltip_of_a_value():
    found = page(differs(compared_table(), "accuracy", 0.1)).titles
    assert "difference 10.0 [9.0, 11.0]; p = 0.005; corrected p = 0.010; accuracy|v:1" in found


def test_values_of_the_primary_metric_have_a_bar():
    frame = compared_table()
    bars = sum(
        column.is_primary for grid in grids_of(frame) for column in grid.columns for _ in grid.lines
    )
    assert bars and page(frame).tags.count("svg") == bars


def test_a_bar_stays_in_its_drawing():
    text = html_of(known(compared_table(), "accuracy", hi=0.48))  # below its value
    places = re.findall(r'd="M(\S+) 4H(\S+)" .*?cx="(\S+)"', text)
    assert places and all(0 <= float(place) <= 96 for bar in places for place in bar)


def test_intervals_without_width_have_a_bar():
    frame = compared_table({"a": rows()})
    frame = frame.assign(lo=frame["value"], hi=frame["value"])
    assert "svg" in page(frame).tags


def test_the_facts_stand_in_their_order():
    text = html_of(compared_table(), facts=FACTS)
    assert re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text) == [
        ("commit", "64f57b0"),
        ("reference", "&lt;blind&gt;"),
    ]


def test_an_empty_comparison_is_a_page_without_tables():
    assert not page(compared_table({})).tables
