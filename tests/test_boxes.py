"""A box is the first and the last index of a region, and its text gives it back."""

import numpy as np
import pytest

from tomovox.boxes import box_in_text, box_of_mask, box_to_text, enclosing_iou, iou

BOX = (0.312, 0.391, 0.0, 0.344, 0.426, 1.0)
TEXT = "<bx_start>[0.312, 0.391, 0.0, 0.344, 0.426, 1.0]<bx_end>"
LOW, MIDDLE = (0.0, 0.0, 0.0, 0.5, 0.5, 0.5), (0.25, 0.25, 0.25, 0.75, 0.75, 0.75)


def drawn_boxes() -> list[tuple[float, ...]]:
    corners = np.sort(np.random.default_rng(0).random((20, 2, 3)).round(3), axis=1)
    return [tuple(row) for row in corners.reshape(20, 6).tolist()]


# ---- mask to box -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 5, 7), (4, 1, 9), (8, 16, 16)])
def test_a_box_is_the_first_and_last_index_over_the_size_of_the_axis(shape):
    generator = np.random.default_rng(0)
    for _ in range(20):
        mask = generator.random(shape) < 0.02
        mask[tuple(generator.integers(shape))] = True
        index = np.argwhere(mask)
        low, high = (
            [round(i / n, 3) for i, n in zip(corner, shape, strict=True)]
            for corner in (index.min(0).tolist(), index.max(0).tolist())
        )
        assert box_of_mask(mask) == (*low, *high)


def test_a_half_is_rounded_to_the_even_digit_when_it_is_exact():
    mask = np.zeros((16, 16, 16), bool)
    mask[9, 11, 1] = True  # 0.5625, 0.6875, 0.0625
    assert box_of_mask(mask) == (0.562, 0.688, 0.062) * 2


def test_an_empty_mask_has_no_box():
    assert box_of_mask(np.zeros((2, 3, 4), bool)) is None


def test_a_view_of_a_larger_mask_has_its_own_box():
    whole = np.zeros((4, 4, 4), bool)
    whole[2, 2, 2] = True
    assert box_of_mask(whole[::2, 1:3, ::-1]) == (0.5, 0.5, 0.25) * 2


# ---- box and text ----------------------------------------------------------------------------


def test_a_box_is_written_as_a_list_between_its_tokens():
    assert box_to_text(BOX) == TEXT


@pytest.mark.parametrize("box", drawn_boxes())
def test_a_written_box_is_read_back(box):
    assert box_in_text(f"It is at {box_to_text(box)}.") == box


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("[1, 2, 3, 4, 5, 6]", (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)),
        ("[-0.1, .5, +3, -4, +.5, 06]", (-0.1, 0.5, 3.0, -4.0, 0.5, 6.0)),
        (f"[1, 2] {TEXT} [1, 2, 3, 4, 5, 6]", BOX),
        ("[[1, 2, 3, 4, 5, 6]]", (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)),
    ],
)
def test_the_first_six_numbers_in_brackets_are_the_box(text, box):
    assert box_in_text(text) == box


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no box",
        "[1,2,3,4,5,6]",
        "[1,  2, 3, 4, 5, 6]",
        "[ 1, 2, 3, 4, 5, 6]",
        "[1, 2, 3, 4, 5]",
        "[1, 2, 3, 4, 5, 6, 7]",
        "[1, 2, 3, 4, 5, 6.]",
        "[1, 2, 3, 4, 5, 1e-3]",
        "[1, 2, 3, 4, 5, - 6]",
        "(1, 2, 3, 4, 5, 6)",
    ],
)
def test_anything_else_is_no_box(text):
    assert box_in_text(text) is None


# ---- overlap ---------------------------------------------------------------------------------


def test_the_published_overlap_divides_by_the_box_around_both():
    assert enclosing_iou(LOW, MIDDLE) == pytest.approx(0.25**3 / (0.75**3 + 1e-6), abs=1e-12)


def test_the_overlap_divides_by_the_union():
    assert iou(LOW, MIDDLE) == pytest.approx(1 / 15)


def test_a_small_perfect_box_stays_below_one_as_published():
    box = (0.0, 0.0, 0.0, 1 / 32, 9 / 256, 9 / 256)
    assert enclosing_iou(box, box) == pytest.approx(0.975, abs=5e-4)
    assert iou(box, box) == 1


def test_a_flat_box_overlaps_nothing_not_even_itself():
    flat = (0.5, 0.1, 0.1, 0.5, 0.9, 0.9)
    assert enclosing_iou(flat, flat) == iou(flat, flat) == 0


@pytest.mark.parametrize("overlap", [enclosing_iou, iou])
def test_overlap_is_symmetric_and_a_share(overlap):
    boxes = drawn_boxes()
    for a in boxes:
        for b in boxes:
            assert 0 <= overlap(a, b) == overlap(b, a) <= 1


@pytest.mark.parametrize("overlap", [enclosing_iou, iou])
def test_boxes_apart_in_one_axis_do_not_overlap(overlap):
    assert overlap(LOW, (0.0, 0.0, 0.6, 0.5, 0.5, 0.9)) == 0
