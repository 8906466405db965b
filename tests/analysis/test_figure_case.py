"""Does a sheet show slices above their scores, the evidence, and text from outside as text?"""

import numpy as np
import pytest
from made_attended import attended

from tomovox.analysis.figure_case import PIXELS, case_sheet, ranges, smaller
from tomovox.analysis.figures import write_figures
from tomovox.schema import TomovoxError

GREY = np.random.default_rng(0).integers(0, 256, (8, 20, 16)).astype(np.uint8)


def record(kind="organ", n=8, **known):
    """Return a record whose scores rise towards the last slice."""
    return attended(0, kind, np.arange(1, n + 1) / (n * (n + 1) / 2), **known)


def sheet(records, slices=GREY, answer="liver", reference="liver"):
    answers = {model: {each.id: answer for each in mine} for model, mine in records.items()}
    return case_sheet(
        records, slices, answers, {each.id: reference for mine in records.values() for each in mine}
    )


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def bars(figure):
    """Return the panels of scores."""
    return [axes for axes in figure.axes if axes.get_ylabel() == "Score"]


def hatched(axes):
    """Return the places of the hatched bars."""
    return sorted(
        round((bar.get_x() + bar.get_width() / 2) * 8 - 0.5)
        for bar in axes.patches
        if bar.get_hatch()
    )


def test_every_question_stands_once_with_the_scores_of_every_model():
    both = [record("organ"), record("plane")]
    figure = sheet({"a": both, "b": both})
    heads = [text for text in texts(figure) if text.startswith("Question")]
    assert heads == [f"Question (vqa_open, {kind}): which {kind}?" for kind in ("organ", "plane")]
    assert len(bars(figure)) == 4


def test_a_question_that_one_model_was_not_asked_has_the_scores_of_the_other():
    figure = sheet({"a": [record("organ"), record("plane")], "b": [record("plane")]})
    assert [text for text in texts(figure) if text.startswith("b:")] == ["b: liver"]
    assert len(bars(figure)) == 3


@pytest.mark.parametrize("count", [1, 5, 16, 17, 32])
def test_each_slice_is_centred_above_its_score(count):
    slices = np.zeros((count, 8, 8), np.uint8)
    figure = sheet({"a": [attended(0, scores=[1 / count] * count)]}, slices)
    middles = [np.mean(image.get_extent()[:2]) for image in figure.axes[0].images]
    own = [bar.get_x() + bar.get_width() / 2 for bar in bars(figure)[0].patches]
    assert np.allclose(middles, own)
    assert {axes.get_xlim() for axes in figure.axes} == {figure.axes[0].get_xlim()}


def test_images_of_one_row_do_not_overlap():
    images = sheet({"a": [record()]}, np.zeros((32, 30, 40), np.uint8)).axes[0].images
    for row in (images[::2], images[1::2]):
        edges = [edge for image in row for edge in image.get_extent()[:2]]
        assert edges == sorted(edges)


def test_of_many_slices_32_evenly_chosen_ones_are_shown_with_their_numbers():
    figure = sheet({"a": [record()]}, np.zeros((96, 4, 4)))
    assert [int(text) for text in texts(figure)[:32]] == list(range(1, 96, 3))


def test_evidence_is_hatched_and_written():
    figure = sheet({"a": [record(evidence=(2, 3), scope="slice")]})
    assert hatched(bars(figure)[0]) == [2, 3]
    assert "Evidence: slices 2–3" in texts(figure)


def test_evidence_that_is_anywhere_is_not_marked():
    figure = sheet({"a": [record(evidence=tuple(range(8)), scope="volume")]})
    assert hatched(bars(figure)[0]) == []
    assert not any("Evidence" in text for text in texts(figure))


def test_models_that_score_other_numbers_of_slices_share_one_scale():
    figure = sheet({"a": [record(n=8)], "b": [record(n=4)]})
    assert len({axes.get_ylim() for axes in bars(figure)}) == 1
    assert [round(1 / axes.lines[0].get_ydata()[0]) for axes in bars(figure)] == [8, 4]


def test_text_from_outside_is_shown_and_never_run(tmp_path):
    strange = "cost $5 or $\\frac{1}{0}$ \x1b[31m <b>&\ud800 " * 40
    figure = sheet({"$m$": [record(question=strange)]}, answer=strange, reference="$x_1$")
    drawn = write_figures(tmp_path, {"case": figure})[0].read_text("utf-8")
    assert "$\\frac{1}{0}$" in drawn and ">Reference: $x_1$<" in drawn
    assert "\x1b" not in drawn and "<b>" not in drawn


def test_long_text_is_cut_after_three_lines():
    figure = sheet({"a": [record()]}, answer="word " * 500)
    lines = [text for text in texts(figure) if "word" in text]
    assert len(lines) == 3 and lines[-1].endswith("…")


def test_an_empty_answer_says_so():
    assert "a: (an empty answer)" in texts(sheet({"a": [record()]}, answer=""))


def test_the_same_sheet_is_the_same_bytes(tmp_path):
    once, again = (
        [path.read_bytes() for path in write_figures(tmp_path, {"case": sheet({"a": [record()]})})]
        for _ in range(2)
    )
    assert once == again


@pytest.mark.parametrize("records", [[], [record(), record("plane", volume=1)]])
def test_records_that_are_not_of_one_volume_are_refused(records):
    with pytest.raises(TomovoxError, match=f"records are of {len(records)} volumes"):
        sheet({"a": records})


@pytest.mark.parametrize("shape", [(5, 7), (PIXELS, 1), (3 * PIXELS - 5, 2 * PIXELS + 1)])
def test_a_large_image_is_averaged_and_keeps_its_range_and_a_small_one_all_pixels(shape):
    image = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    found = smaller(image)
    assert max(found.shape) <= PIXELS and 0 <= found.min() <= found.max() <= 1
    assert np.isclose(found.mean(), image.mean() / 255, atol=0.01)
    if max(shape) <= PIXELS:
        assert np.allclose(found, image / 255)


def test_floats_and_bytes_give_one_image():
    assert np.allclose(smaller(GREY[0]), smaller(GREY[0] / 255))


@pytest.mark.parametrize(
    ("places", "text"),
    [((4,), "slice 4"), ((2, 1), "slices 1–2"), ((9, 3, 4, 5, 5), "slices 3–5, 9")],
)
def test_slices_are_written_as_ranges(places, text):
    assert ranges(places) == text
