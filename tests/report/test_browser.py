"""Does a page work in a real browser: by mouse, by keyboard, and whatever its texts say?"""

import shutil
from contextlib import ExitStack
from functools import cache
from urllib.parse import quote

import pytest
from made_report import DEPTH, HOSTILE, STEP, content, evil_content, sample
from playwright.sync_api import expect, sync_playwright

from tomovox.report.page import write_report

pytestmark = pytest.mark.needs_chromium

GREY = """canvas => {
  const pen = new OffscreenCanvas(1, 1).getContext('2d');
  pen.drawImage(canvas, -9, -9);
  return pen.getImageData(0, 0, 1, 1).data[0];
}"""
UNNAMED = """() => [...document.querySelectorAll('input, select, button, canvas, svg[role]')]
  .filter(e => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).map(e => e.outerHTML)"""


@pytest.fixture(scope="module")
def launched():
    """Return what starts one browser for all tests, once the first of them is not skipped."""
    with ExitStack() as stack:

        @cache
        def launch():
            driver = stack.enter_context(sync_playwright())
            path = shutil.which("chromium")
            # A container that runs tests as root has no sandbox to offer.
            return driver.chromium.launch(executable_path=path, args=["--no-sandbox"])

        yield launch


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return what writes the page of a comparison and returns its address."""

    @cache
    def write(make):
        path = tmp_path_factory.mktemp("page") / "report.html"
        write_report(path, make())
        return path.as_uri()

    return write


@pytest.fixture
def visit(present_or_skipped, launched, written):
    """Return what opens a page; at the end it has said nothing and asked for nothing."""
    said, pages, addresses = [], [], []

    def open_page(make=content, address="", width=1280):
        page = launched().new_page(viewport={"width": width, "height": 900})
        pages.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url))
        addresses.append(written(make))
        page.goto(addresses[-1] + address)
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert [line for line in said if not line.startswith("data:image/")] == addresses


def scores(page):
    return page.get_by_role("group", name="Which scores are shown")


def filters(page):
    return page.get_by_role("search")


def rows(page, title):
    return page.get_by_role("region", name=title).locator("tbody tr")


def listed(page):
    return page.get_by_role("list", name="Samples").get_by_role("link")


def opened(page):
    listed(page).first.click()
    page.wait_for_selector("canvas[data-slice]")
    return page.get_by_role("article")


def slices(page):
    """Return the slice that is told and the one that is seen, both from 1."""
    told = int(page.get_by_role("slider").input_value())
    return told, round(page.locator("canvas").evaluate(GREY) / STEP) + 1


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


# ---- one sample ------------------------------------------------------------------------------


def test_a_sample_opens_by_keyboard_with_question_answers_and_scores(visit):
    page = visit()
    listed(page).nth(1).press("Enter")
    article = page.get_by_role("article", name="vqa_closed/test/000001")
    expect(article).to_contain_text("Which plane is number 1?")
    expect(article.get_by_role("region", name="Answer of blind")).to_contain_text("✗ wrong")
    assert article.get_by_role("list", name="Choices").get_by_role("listitem").count() == 2
    article.get_by_text("All scores").click()
    expect(article.get_by_role("rowheader", name="accuracy (%), m3d")).to_be_visible()


def test_a_viewer_begins_at_the_evidence(visit):
    page = visit()
    opened(page)
    assert slices(page) == (5, 5)
    expect(page.locator("output")).to_have_text(f"Slice 5 of {DEPTH}, holds the answer")


@pytest.mark.parametrize("widget", ["canvas", "input[type=range]"])
def test_keys_move_through_the_slices(visit, widget):
    page = visit()
    opened(page)
    seen = []
    for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown", "End", "ArrowRight", "Home"):
        page.locator(widget).press(key)
        seen.append(slices(page))
    assert seen == [(n, n) for n in (6, 7, 6, 5, DEPTH, DEPTH, 1)]


def test_a_wheel_moves_one_slice_a_notch(visit):
    page = visit()
    opened(page)
    page.locator("canvas").hover()
    for step, expected in ((100, "6"), (100, "7"), (-100, "6")):
        page.mouse.wheel(0, step)
        expect(page.locator(f"canvas[data-slice='{expected}']")).to_be_visible()
    assert slices(page) == (6, 6)


def test_a_strip_tells_of_the_evidence_and_leads_to_a_slice(visit):
    page = visit()
    opened(page)
    strip = page.get_by_role("img", name="Weights of the slices by med2e3")
    told = "Most on 12 of 12. On the evidence 11.5 % (even: 16.7 %)."
    assert told in strip.get_attribute("aria-label")
    assert strip.locator(".bar").count() == DEPTH and strip.locator(".mark").count() == 2
    box = strip.bounding_box()
    strip.click(position={"x": box["width"] * 0.99, "y": 20})
    assert slices(page) == (DEPTH, DEPTH)


def test_a_volume_that_is_not_packed_is_told(visit):
    page = visit()
    listed(page).nth(2).click()
    article = page.get_by_role("article", name="vqa_closed/test/000002")
    expect(article).to_contain_text("Of 3 volumes the slices of 2 are in this page")
    assert article.locator("canvas").count() == 0


def test_the_address_of_a_page_may_name_a_sample(visit):
    page = visit(address=f"#sample/{quote('vqa_closed/test/000110', safe='')}")
    expect(page.get_by_role("article", name="vqa_closed/test/000110")).to_be_visible()
    expect(page.locator("[aria-current]")).to_contain_text("number 110?")


def test_an_address_of_no_sample_is_an_ordinary_page(visit):
    expect(visit(address="#sample/%E0%A4%A").get_by_text("Choose a sample.")).to_be_visible()


def test_previous_and_next_follow_the_list(visit):
    page = visit()
    filters(page).get_by_label("Question type").select_option("organ")
    expect(page.get_by_role("status")).to_contain_text("of 30 samples")
    opened(page)
    page.get_by_role("button", name="Next", exact=True).press("Enter")
    expect(page.get_by_role("heading", name="vqa_closed/test/000004")).to_be_focused()


def test_a_sample_that_left_the_list_has_no_neighbours(visit):
    page = visit()
    opened(page)
    expect(page.get_by_role("button", name="Next", exact=True)).to_be_enabled()
    filters(page).get_by_label("Question type").select_option("plane")
    expect(page.get_by_role("button", name="Next", exact=True)).to_be_disabled()


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
