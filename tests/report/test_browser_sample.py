"""Does an opened sample work in a real browser: its slices, its weights, and its neighbours?"""

import pytest
from made_report import DEPTH, content, sample, volume
from playwright.sync_api import expect
from seen_page import filters, listed, opened, slices

pytestmark = pytest.mark.needs_chromium

V0 = [("v0.npy", volume())]


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
    assert slices(page) == (4, 4)
    told = f"Slice 4 (0 to {DEPTH - 1}), holds the answer"
    expect(page.locator(".slice")).to_have_text(told)
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuetext", told)


def test_keys_move_through_the_slices(visit):
    page = visit()
    opened(page)
    seen = []
    for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown", "End", "ArrowRight", "Home"):
        page.get_by_role("slider").press(key)
        seen.append(slices(page))
    assert seen == [(n, n) for n in (5, 6, 5, 4, DEPTH - 1, DEPTH - 1, 0)]


def test_a_wheel_moves_one_slice_a_notch(visit):
    page = visit()
    opened(page)
    page.locator("canvas").hover()
    for step, expected in ((100, "5"), (100, "6"), (-100, "5")):
        page.mouse.wheel(0, step)
        expect(page.locator(f"canvas[data-slice='{expected}']")).to_be_visible()
    assert slices(page) == (5, 5)


def test_a_strip_tells_of_the_evidence_and_leads_to_a_slice(visit):
    page = visit()
    opened(page)
    strip = page.get_by_role("img", name="Weights of the slices by med2e3")
    expect(page.get_by_role("figure").filter(has=strip)).to_contain_text(
        "Most on 11 (0 to 11). On the evidence 11.5 % (even: 16.7 %)."
    )
    assert strip.locator(".bar").count() == DEPTH and strip.locator(".mark").count() == 2
    box = strip.bounding_box()
    strip.click(position={"x": box["width"] * 0.99, "y": 20})
    assert slices(page) == (DEPTH - 1, DEPTH - 1)


def others():
    """Return a page whose samples have evidence anywhere, and several series."""
    anywhere = sample(0, scope="volume", evidence=(3, 4))
    return content(samples=[anywhere, sample(1, volume="v0.npy", series=3)], volumes=V0)


def test_evidence_that_lies_anywhere_marks_no_slice(visit):
    page = visit(others)
    article = opened(page)
    expect(article).to_contain_text("Evidence: anywhere in the volume.")
    assert article.locator(".held, .mark").count() == 0


def test_weights_of_several_series_are_not_drawn_over_the_first(visit):
    page = visit(others)
    listed(page).nth(1).click()
    article = page.get_by_role("article", name="vqa_closed/test/000001")
    expect(article).to_contain_text("Asked about 3 series")
    assert article.locator("canvas").count() == 1 and article.locator(".strip").count() == 0


def test_a_volume_that_is_not_packed_is_told(visit):
    page = visit()
    listed(page).nth(2).click()
    article = page.get_by_role("article", name="vqa_closed/test/000002")
    expect(article).to_contain_text("Of 3 volumes the slices of 2 are in this page")
    assert article.locator("canvas").count() == 0


def test_the_address_of_a_page_may_name_a_sample(visit):
    page = visit(address="#sample/110")
    expect(page.get_by_role("article", name="vqa_closed/test/000110")).to_be_visible()
    expect(page.locator("[aria-current]")).to_contain_text("number 110?")


@pytest.mark.parametrize("name", ["120", "-1", "1.5", "", "%E0%A4%A", "constructor"])
def test_an_address_of_no_sample_is_an_ordinary_page(visit, name):
    expect(visit(address=f"#sample/{name}").get_by_text("Choose a sample.")).to_be_visible()


def halved():
    samples = [sample(0), sample(1, id="half a letter: \ud83d")]
    return content(samples=samples, volumes=V0)


def test_an_id_that_no_address_can_hold_opens_as_any_other(visit):
    page = visit(halved)
    listed(page).nth(1).click()
    expect(page.get_by_role("article", name="half a letter")).to_contain_text("number 1?")
    page.get_by_role("button", name="Previous", exact=True).click()
    expect(page.get_by_role("article", name="vqa_closed/test/000000")).to_be_visible()


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
