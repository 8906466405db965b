"""Does a page work in a real browser: by mouse, by keyboard, and whatever its texts say?"""

import pytest
from hostile_text import HOSTILE
from made_report import content, evil_content, sample, table, volume
from playwright.sync_api import expect
from seen_page import filters, listed, opened, rows, scores

from tomovox.analysis.attended import Attended
from tomovox.analysis.figure_depth import depth_figure
from tomovox.analysis.figures import write_figures
from tomovox.report.drawings import figures_in

pytestmark = pytest.mark.needs_chromium

UNNAMED = """() => [...document.querySelectorAll('input, select, button, canvas, svg[role]')]
  .filter(e => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).map(e => e.outerHTML)"""


# ---- the scores ------------------------------------------------------------------------------


def test_a_table_has_its_models_with_the_controls_below(visit):
    heads = rows(visit(), "vqa_closed, protocol standard").locator("th")
    assert heads.all_text_contents() == ["blind", "med2e3", "no_image"]


def test_a_cell_has_its_interval_and_its_mark_and_the_best_is_bold(visit):
    cells = rows(visit(), "vqa_closed, protocol standard").locator("td:nth-child(2)")
    assert cells.all_text_contents() == [
        "50.0[40.0, 60.0]",
        "70.0* significantly better[60.0, 80.0]",
        "40.0† significantly worse[30.0, 50.0]",
    ]
    assert cells.locator("strong").all_text_contents() == ["70.0"]


def test_scores_are_filtered_by_task_type_and_protocol(visit):
    page = visit()
    scores(page).get_by_label("Task").select_option("vqa_closed")
    scores(page).get_by_label("Question type").select_option("plane")
    scores(page).get_by_label("Protocol").select_option("m3d")
    assert page.locator(".tables h3").all_text_contents() == ["vqa_closed, protocol m3d, plane"]


def test_question_types_stand_side_by_side(visit):
    page = visit()
    scores(page).get_by_label("Question type").select_option("each type")
    table = page.get_by_role("region", name="vqa_closed, protocol standard, accuracy")
    assert table.locator("thead button").all_text_contents() == ["all", "plane", "organ"]


def test_controls_can_be_hidden_and_all_metrics_shown(visit):
    page = visit()
    scores(page).get_by_label("Controls").uncheck()
    scores(page).get_by_label("All metrics").check()
    table = page.get_by_role("region", name="vqa_closed, protocol standard")
    assert table.locator("tbody th").all_text_contents() == ["blind", "med2e3"]
    assert table.locator("thead button").all_text_contents() == ["accuracy (%)", "parsed_rate (%)"]


def test_a_head_sorts_models_and_a_control_stays_below_its_own(visit):
    page = visit()
    head = page.get_by_role("button", name="accuracy (%)").last
    head.press("Enter")
    names = rows(page, "vqa_closed, protocol standard").locator("th")
    assert names.all_text_contents() == ["med2e3", "no_image", "blind"]
    expect(head).to_be_focused()
    assert page.locator("[aria-sort]").get_attribute("aria-sort") == "descending"


# ---- the list --------------------------------------------------------------------------------


def test_the_list_is_filtered_by_type_verdict_and_text(visit):
    page = visit()
    filters(page).get_by_label("Question type").select_option("organ")
    filters(page).get_by_label("Answers").select_option("wrong: med2e3")
    filters(page).get_by_role("searchbox").fill("NUMBER 8")
    expect(page.get_by_role("status")).to_have_text("1 to 3 of 3 samples, 120 in all")
    shown = listed(page).locator(".asked").all_text_contents()
    assert shown == [f"Which plane is number {number}?" for number in (8, 80, 88)]


def test_the_list_of_disagreements_has_no_other_sample(visit):
    page = visit()
    filters(page).get_by_label("Answers").select_option("models disagree (scores differ)")
    expect(page.get_by_role("status")).to_contain_text("of 60 samples")
    marks = {tuple(row.split()) for row in listed(page).locator(".marks").all_text_contents()}
    assert {row.count("right.") for row in marks} == {1}


def test_a_long_list_comes_in_pages(visit):
    page = visit()
    page.get_by_role("button", name="Next page").click()
    expect(page.get_by_role("status")).to_have_text("51 to 100 of 120 samples")
    expect(listed(page).first).to_contain_text("number 50?")


# ---- the whole page --------------------------------------------------------------------------


def test_hostile_text_is_shown_and_nothing_of_it_runs(visit):
    page = visit(evil_content)
    expect(listed(page).first.locator(".asked")).to_have_text(HOSTILE)
    article = opened(page)
    expect(article.get_by_role("heading", level=3)).to_have_text(HOSTILE)
    assert article.locator(".answer .text").text_content() == HOSTILE
    scores(page).get_by_label("Question type").select_option(HOSTILE)
    assert HOSTILE in page.locator(".tables").text_content()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 1  # the figure


def test_every_control_and_drawing_has_a_name(visit):
    page = visit()
    opened(page)
    assert page.evaluate(UNNAMED) == []


def few():
    """Return a page of one sample: few controls."""
    return content(1, table=table().query("task == 'report'"), volumes=[("v0.npy", volume())])


CONTROLS = """() => {
  const wanted = 'a[href], button:enabled, input, select, summary, [tabindex="0"]';
  window.controls = [...document.querySelectorAll(wanted)].filter(e => e.checkVisibility());
  return window.controls.length;
}"""
FOCUSED = """() => {
  const outline = getComputedStyle(document.activeElement).outlineStyle;
  return [window.controls.indexOf(document.activeElement), outline];
}"""


def test_tab_walks_through_every_control_once_and_shows_where_it_is(visit):
    page = visit(few, "#sample/0")
    page.wait_for_selector("canvas[data-slice]")
    walked = []
    for _ in range(count := page.evaluate(CONTROLS)):
        page.keyboard.press("Tab")
        walked.append(page.evaluate(FOCUSED))
    assert count > 20 and [place for place, _ in walked] == list(range(count))
    assert "none" not in [outline for _, outline in walked]


def background(element):
    return element.evaluate("element => getComputedStyle(element).backgroundColor")


def test_a_dark_page_is_dark_and_keeps_its_drawings_on_white(visit):
    page = visit()
    page.emulate_media(color_scheme="dark")
    assert background(page.locator("body")) == "rgb(20, 24, 28)"
    assert background(page.locator("tbody th").first) == "rgb(20, 24, 28)"
    assert background(page.get_by_role("img", name="Figure 1")) == "rgb(255, 255, 255)"
    color = page.locator("body").evaluate("body => getComputedStyle(body).color")
    assert color == "rgb(228, 232, 236)"


def test_a_drawing_of_attention_is_seen(visit, tmp_path):
    looked = [
        Attended(
            *(f"vqa_open/test/{case}", str(case), f"{case}.npy", "vqa_open", "organ", "Which?"),
            *("axial", "", (0.1, 0.2, 0.3, 0.4), (2 + case % 2,), "slice"),
        )
        for case in range(12)
    ]
    write_figures(tmp_path, {"depth": depth_figure({"med2e3": looked})})
    figures = figures_in(tmp_path)
    image = visit(lambda: content(figures=figures)).get_by_role("img", name="Figure 1")
    image.scroll_into_view_if_needed()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300


def test_a_narrow_page_does_not_scroll_sideways(visit):
    page = visit(width=400)
    opened(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def many():
    return content(samples=[sample(place) for place in range(5000)])


def test_five_thousand_samples_are_listed_and_searched(visit):
    page = visit(many)
    filters(page).get_by_role("searchbox").fill("number 4999")
    expect(page.get_by_role("status")).to_have_text("1 to 1 of 1 sample, 5,000 in all")
