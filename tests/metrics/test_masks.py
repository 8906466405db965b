"""Do mask metrics agree with the released code, with counting by hand, and with their files?"""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tomovox.metrics import masks
from tomovox.metrics.masks import (
    Overlap,
    dice_of,
    read_mask_file,
    surface_dice_1,
    surface_dice_2,
    write_mask_file,
)
from tomovox.schema import Prediction, Task, TomovoxError

GOLDEN = json.loads((Path(__file__).parent / "mask_metrics.json").read_text(encoding="utf-8"))
EMPTY = np.zeros((3, 4, 5), bool)
SHAPES = [(3, 4, 5), (1, 6, 6), (5, 7, 3)]


def drawn_pairs(count=12):
    """Yield pairs of small masks of any density; some are empty, some touch every border."""
    draw = np.random.default_rng(0)
    for i in range(count):
        shape = SHAPES[i % len(SHAPES)]
        yield tuple(draw.random(shape) < density for density in draw.choice([0, 0.1, 0.5, 1], 2))


def voxels(mask) -> set[tuple[int, ...]]:
    return set(map(tuple, np.argwhere(mask).tolist()))


def border(mask) -> set[tuple[int, ...]]:
    """The voxels that miss one of their six neighbours, by looking at each."""
    inside = voxels(mask)
    steps = [s for s in product((-1, 0, 1), repeat=3) if sum(map(abs, s)) == 1]
    return {
        v
        for v in inside
        if any(tuple(a + b for a, b in zip(v, s, strict=True)) not in inside for s in steps)
    }


def brute_surface_dice(drawn, true, tolerance) -> float:
    one, other = border(drawn), border(true)
    if not one or not other:
        return float(one == other)
    near = sum(
        min(sum((a - b) ** 2 for a, b in zip(v, w, strict=True)) for w in theirs) <= tolerance**2
        for mine, theirs in ((one, other), (other, one))
        for v in mine
    )
    return near / (len(one) + len(other))


# ---- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize("row", GOLDEN["rows"], ids=lambda row: row["reason"])
def test_the_published_dice_is_that_of_the_golden_file(row):
    found = masks.soft_dice_m3d(*row["sums"])
    assert found == pytest.approx(row["output"], abs=GOLDEN["tolerance"])


def test_dice_is_that_of_sets_of_voxels():
    for drawn, true in drawn_pairs():
        one, other = voxels(drawn), voxels(true)
        wanted = 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0
        assert masks.dice(drawn, true) == pytest.approx(wanted, abs=1e-12)


def test_a_surface_is_what_looking_at_six_neighbours_finds():
    for mask, _ in drawn_pairs():
        assert voxels(masks.surface(mask)) == border(mask)


def test_surface_dice_is_that_of_all_distances():
    tolerances = (0.0, 1.0, 1.5, 2.0)
    for drawn, true in drawn_pairs(24):
        wanted = [brute_surface_dice(drawn, true, t) for t in tolerances]
        assert masks.surface_dice(drawn, true, tolerances) == pytest.approx(wanted, abs=1e-12)


def test_a_cube_that_is_off_by_two_is_found_at_two_voxels_only():
    true = np.zeros((8, 8, 8), bool)
    true[2:4, 2:4, 2:4] = True
    moved = np.roll(true, 2, axis=2)
    one, two = masks.surface_dice(moved, true)
    assert (one, two) == (0.5, 1.0)  # the near half of each cube is one voxel away


@pytest.mark.parametrize(("drawn", "true", "wanted"), [
    (EMPTY, EMPTY, 1.0), (EMPTY, ~EMPTY, 0.0), (~EMPTY, EMPTY, 0.0), (~EMPTY, ~EMPTY, 1.0),
])  # fmt: skip
def test_empty_masks_agree_with_each_other_only(drawn, true, wanted):
    assert masks.dice(drawn, true) == wanted
    assert masks.surface_dice(drawn, true) == (wanted, wanted)


@pytest.mark.parametrize(("drawn", "true", "wanted"), [
    (EMPTY, EMPTY, 0.0), (~EMPTY, EMPTY, 1.0), (EMPTY, ~EMPTY, None), (~EMPTY, ~EMPTY, None),
])  # fmt: skip
def test_only_a_negative_can_be_drawn_for_nothing(drawn, true, wanted):
    assert masks.false_positive(masks.overlap_of(drawn, true)) == wanted


# ---- records and files -----------------------------------------------------------------------


def record(folder, name="r0", drawn=EMPTY, true=EMPTY, soft=(0.0, 0.0, 0.0)) -> Prediction:
    path = folder / f"{name}.npz"
    write_mask_file(path, drawn, true)
    row = Prediction(name, Task.SEG_SEMANTIC, "c", "q", "[SEG]", "[SEG]")
    return replace(row, mask=str(path), soft=soft)


def test_masks_are_read_as_they_were_written(tmp_path):
    for i, (drawn, true) in enumerate(drawn_pairs()):
        path = tmp_path / f"{i}.npz"
        write_mask_file(path, drawn, true)
        found = read_mask_file(path, "r")
        assert np.array_equal(found[0], drawn) and np.array_equal(found[1], true)


def test_equal_masks_give_equal_bytes(tmp_path):
    for name in "ab":
        write_mask_file(tmp_path / name, EMPTY, ~EMPTY)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("content", [
    None,
    b"",
    b"no zip",
    b"PK\x03\x04 torn",
    {"drawn": np.zeros(8, np.uint8)},
    {"drawn": np.zeros(7, np.uint8), "true": np.zeros(8, np.uint8), "shape": np.array([3, 4, 5])},
    {"drawn": np.zeros(8, np.uint8), "true": np.zeros(8, np.uint8), "shape": np.array([-3, -4, 5])},
    {"drawn": np.zeros(8), "true": np.zeros(8), "shape": np.array([3, 4, 5])},
    {"drawn": np.array([{}]), "true": np.zeros(8, np.uint8), "shape": np.array([3, 4, 5])},
])  # fmt: skip
def test_a_file_that_holds_no_masks_names_the_record(tmp_path, content):
    path = tmp_path / "r.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.savez(path, **content)
    with pytest.raises(TomovoxError, match=r"^r0: .*r\.npz is no file of masks \([^\n]+\); pred"):
        read_mask_file(path, "r0")


def test_a_plain_array_is_no_file_of_masks(tmp_path):
    np.save(tmp_path / "r.npy", EMPTY)
    with pytest.raises(TomovoxError, match="is no file of masks"):
        read_mask_file(tmp_path / "r.npy", "r0")


def test_a_record_without_masks_among_others_is_named(tmp_path):
    rows = [record(tmp_path), replace(record(tmp_path, "r1"), mask="")]
    with pytest.raises(TomovoxError, match=r"^r1: no mask"):
        masks.overlaps(rows)


@pytest.mark.parametrize("soft", [(), (1.0, 2.0), (1.0, 2.0, -1.0), (float("nan"), 1.0, 1.0)])
def test_sums_that_are_missing_or_none_name_the_record(tmp_path, soft):
    with pytest.raises(TomovoxError, match=r"^r1: .*predict again"):
        masks.soft_dices([record(tmp_path), record(tmp_path, "r1", soft=soft)])


def test_a_negative_leaves_dice_and_surface_dice_alone():
    """A model that never draws would else be right wherever nothing is to be seen."""
    nothing = Overlap(dice=1.0, surface_dice=(1.0, 1.0), drew=False, negative=True)
    assert [f(nothing) for f in (dice_of, surface_dice_1, surface_dice_2)] == [None] * 3
