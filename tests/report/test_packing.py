"""Does a comparison come out of the blocks of a page as it went in?"""

import base64
import gzip
import json
import re

import numpy as np
import pytest
from made_report import DEPTH, content, evil_content, row, sample, table

from tomovox.report.content import Answer
from tomovox.report.mosaics import packed_volumes
from tomovox.report.packing import CHUNK, blocks_of, in_order, packed, sample_blocks

BLOCK = re.compile(r'<script type="application/octet-stream" id="([a-z0-9-]+)">([^<]*)</script>')


def unpacked(text):
    return json.loads(gzip.decompress(base64.b64decode(text)))


def blocks(made):
    known = {sample.volume for sample in made.samples}
    volumes, _ = packed_volumes(made.volumes, known, 10**6)
    there = [*blocks_of(made, volumes), *sample_blocks(made)]
    parts = [BLOCK.fullmatch(part) for part in there]
    return dict(part.groups() for part in parts)


def test_a_value_comes_out_as_it_went_in():
    value = {"é 中 </script>": [1, 0.25, None, True, {"\ud800": "x"}]}
    assert unpacked(packed(value)) == value


def test_the_same_value_gives_the_same_text():
    assert packed({"a": [1, 2]}) == packed({"a": [1, 2]})


def test_no_block_can_close_its_tag_whatever_it_holds():
    assert all(re.fullmatch(r"[A-Za-z0-9+/=]+", text) for text in blocks(evil_content()).values())


def test_every_sample_lies_in_one_chunk_at_its_place():
    found = blocks(content(2 * CHUNK + 1))
    sizes = [len(unpacked(found[f"samples-{part}"])) for part in range(3)]
    assert sizes == [CHUNK, CHUNK, 1] and "samples-3" not in found
    assert unpacked(found["samples-1"])[0]["question"] == f"Which plane is number {CHUNK}?"


def test_the_index_has_a_place_for_every_sample():
    index = unpacked(blocks(content(7))["content"])["samples"]
    assert {len(index[name]) for name in ("id", "task", "kind", "volume")} == {7}
    assert index["models"] == ["blind", "med2e3"]
    assert index["primary"] == [[1, 0, 1, 0, 1, 0, 1], [1, 0, 0, 1, 0, 0, 1]]


def test_a_model_that_did_not_answer_has_no_answer_and_no_score():
    alone = sample(0, answers={"blind": Answer("A. axial", {"accuracy.standard": 1.0})})
    found = blocks(content(samples=[alone, sample(1)]))
    assert unpacked(found["samples-0"])[0]["answers"][1] is None
    assert unpacked(found["content"])["samples"]["primary"][1] == [None, 0]


def test_what_is_no_number_is_null():
    made = content(2, table=table([row("blind", "none", "new.m3d", "report", "all", np.inf)]))
    found = unpacked(blocks(made)["content"])["table"]
    assert found["value"][-1] is None and found["difference"][0] is None


def values(*given):
    """Return what a page has of so many values of a table."""
    rows = [row("blind", "none", "new.m3d", "report", "all", value) for value in given]
    return unpacked(blocks(content(2, table=table(rows)))["content"])["table"]["value"][
        -len(given) :
    ]


def test_what_differs_past_six_digits_is_the_same_table():
    assert values(0.75821834, -1e-9) == values(0.75821835, 1e-9) == [0.758218, 0]


@pytest.mark.parametrize("series", [0, 1, 2])
def test_weights_are_shown_of_one_series_alone(series):
    found = blocks(content(samples=[sample(0, series=series)], volumes=()))
    shown = unpacked(found["samples-0"])[0]["answers"][1]["weights"]
    assert len(shown) == (DEPTH if series == 1 else 0)


def test_a_metric_without_a_scale_has_a_place_behind_the_known_ones():
    made = content(2, table=table([row("blind", "none", "new.m3d", "report", "all", 0.5)]))
    scales = unpacked(blocks(made)["content"])["scales"]
    assert list(scales)[-1] == "new.m3d" and scales["new.m3d"]["headline"]


def test_known_names_come_first_and_in_their_order():
    assert in_order(["z", "b", "a", "b"], ["b", "q"]) == ["b", "a", "z"]
