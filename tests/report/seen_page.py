"""Where do the parts of a page stand that a browser shows?"""

from made_report import STEP

GREY = """canvas => {
  const pen = new OffscreenCanvas(1, 1).getContext('2d');
  pen.drawImage(canvas, -9, -9);
  return pen.getImageData(0, 0, 1, 1).data[0];
}"""
"""The grey value of the middle of a slice."""


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
    """Return the slice that is told and the one that is seen."""
    told = int(page.get_by_role("slider").input_value())
    return told, round(page.locator("canvas").evaluate(GREY) / STEP)
