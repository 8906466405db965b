"""What do all tests of a page in a real browser share? The browser, and what opens a page."""

import shutil
from contextlib import ExitStack
from functools import cache

import pytest
from made_report import content

from tomovox.report.page import write_report


@pytest.fixture(scope="module")
def launched():
    """Return what starts one browser for all tests, once the first of them is not skipped."""
    from playwright.sync_api import sync_playwright

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
