"""Is a page one safe file: closed elements, a policy that fits, and nothing from outside it?"""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest
from hostile_text import HOSTILE
from made_report import content, evil_content, sample

from tomovox.report import mosaics, page
from tomovox.report.content import Answer
from tomovox.report.page import SCRIPTS, page_of, write_report
from tomovox.schema import TomovoxError

VOID = {"meta", "img"}


class Page(HTMLParser):
    """The elements of a page: `texts` holds what stands in each kind of element."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts[self.open[-1]][-1] += data

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def made():
    return Page(page_of(content()))


@pytest.fixture(scope="module")
def evil():
    return Page(page_of(evil_content()))


def policy(page):
    metas = page.all("meta")
    text = next(m["content"] for m in metas if m.get("http-equiv") == "Content-Security-Policy")
    return dict(part.strip().split(" ", 1) for part in text.split(";"))


def hashed(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_every_element_is_closed_in_its_order(made, evil):
    assert not made.open and not evil.open


def test_the_policy_names_this_script_and_this_style_and_forbids_the_rest(made):
    (style,), script = made.texts["style"], made.texts["script"][-1]
    assert policy(made) == {
        **{"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"},
        **{"script-src": hashed(script), "style-src": hashed(style), "img-src": "data:"},
    }


def test_only_the_last_script_is_one(made):
    *inert, script = made.all("script")
    assert script == {} and {each["type"] for each in inert} == {"application/octet-stream"}


def test_hostile_text_makes_no_element_and_no_attribute(made, evil):
    assert {tag for tag, _ in evil.tags} <= {tag for tag, _ in made.tags}
    assert {name for _, given in evil.tags for name in given} <= {
        name for _, given in made.tags for name in given
    }


def test_hostile_text_is_shown_as_it_is(evil):
    assert evil.texts["h1"] == [HOSTILE] and evil.texts["dd"] == [HOSTILE]


def test_nothing_lies_outside_the_file(made):
    given = [(name, value) for _, attributes in made.tags for name, value in attributes.items()]
    links = [value for name, value in given if name in ("src", "href", "srcset", "data", "action")]
    assert links and all(link.startswith(("#", "data:")) for link in links)
    assert "url(" not in made.texts["style"][0] and "@import" not in made.texts["style"][0]


def test_links_lead_to_sections_that_are_there(made):
    there = {attributes["id"] for _, attributes in made.tags if "id" in attributes}
    assert {link["href"].removeprefix("#") for link in made.all("a")} <= there


def test_a_section_without_content_has_no_link():
    page = Page(page_of(content(0, volumes=(), figures=(), sheets=(), notes=())))
    links = [link["href"] for link in page.all("a")]
    assert links == ["#main", "#scores", "#provenance"]


def test_the_page_says_how_many_volumes_it_shows():
    assert "Slices of 2 of 3 volumes are packed" in page_of(content())


def test_a_page_without_room_for_all_volumes_says_so(monkeypatch):
    monkeypatch.setattr(page, "MOST_BYTES", 1)
    told = "Slices of 0 of 3 volumes are packed in this page. More would make it too large."
    assert told in page_of(content())


def test_five_thousand_samples_and_fifty_volumes_stay_below_25_megabytes(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (32, 256, 256), dtype=np.uint8)
    once = mosaics.packed_volume("", noise)  # all volumes are alike: packing each takes seconds
    monkeypatch.setattr(mosaics, "packed_volume", lambda path, _: replace(once, path=path))
    weights = np.random.default_rng(1).dirichlet(np.ones(32), (5000, 3))
    samples = [
        sample(
            place,
            volume=f"{place % 50}.npy",
            answers={
                model: Answer(noise[place % 32].tobytes().hex()[:600], {}, tuple(mine))
                for model, mine in zip("abc", weights[place], strict=True)
            },
        )
        for place in range(5000)
    ]
    volumes = ((f"{place}.npy", noise) for place in range(50))
    assert 20e6 < len(page_of(content(samples=samples, volumes=volumes))) < 25e6


def test_a_figure_is_named_by_its_number_and_told_by_its_caption(made):
    (image,) = (each for each in made.all("img"))
    assert image["alt"] == "Figure 1"
    assert made.texts["figcaption"] == ["Figure 1. Mean weights"]


def test_every_shipped_script_is_in_the_page():
    shipped = (files("tomovox") / "report").iterdir()
    assert {part.name for part in shipped if part.name.endswith(".js")} == set(SCRIPTS)


def test_numbers_of_a_sheet_stand_right_and_words_left(made):
    heads = [head for head in made.all("th") if head.get("scope") == "col"]
    assert [head.get("class") for head in heads] == ["left", None]


def test_a_row_of_a_sheet_that_belongs_to_another_is_set_below_it(made):
    assert [row.get("class") for row in made.all("tr")] == [None, None, "below"]
    assert made.texts["th"][-2:] == ["med2e3", "no_image"]


def test_the_same_content_gives_the_same_file(tmp_path):
    for name in ("a", "b"):
        write_report(tmp_path / name, content())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_text_that_is_no_unicode_is_still_written(tmp_path):
    write_report(tmp_path / "page.html", content(notes=["half a letter: \ud83d"]))
    assert "half a letter: ?" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_volume_of_no_sample_leaves_no_file(tmp_path):
    with pytest.raises(TomovoxError):
        write_report(tmp_path / "page.html", content(volumes=[("lost", content().volumes[0][1])]))
    assert not list(tmp_path.iterdir())


def brightness(color):
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a, b):
    """Return the contrast of two colors, 1 to 21 (WCAG 2.2)."""
    dark, light = sorted((brightness(a), brightness(b)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "row"])
def test_text_stands_out_in_both_schemes(made, scheme, ground):
    style = made.texts["style"][0]
    starts = [match.start() for match in re.finditer(":root", style)] + [len(style)]
    start, stop = list(pairwise(starts))[scheme]
    colors = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", style[start:stop]))
    weak = {
        name: round(contrast(colors[name], colors[ground]), 2)
        for name in ("text", "soft", "better", "worse", "bar", "mark")
        if contrast(colors[name], colors[ground]) < 4.5
    }
    assert not weak
