"""Is the mean box and mask of a class that of its training masks, and of nothing else?"""

from pathlib import Path

import numpy as np
import pytest

from tomovox.data.mean_place import MeanPlace, class_of
from tomovox.schema import Record, Task

SHAPE = (4, 8, 8)


def record(number: int, mask: str, label: int = 0) -> Record:
    name = f"seg_semantic/train/9000/{number:06d}"
    case = f"9000/{number}"
    return Record(
        name, Task.SEG_SEMANTIC, "train", case, ("i.npy",), "?", "!", mask=mask, mask_label=label
    )


def write(root: Path, folder: str, name: str, where: tuple[slice, slice, slice] | None) -> str:
    mask = np.zeros((1, *SHAPE), bool)
    if where is not None:
        mask[0][where] = True
    path = root / folder / f"{name}.npy"
    path.parent.mkdir(exist_ok=True)
    np.save(path, mask, allow_pickle=False)
    return f"{folder}/{name}.npy"


@pytest.fixture
def mean(tmp_path: Path) -> MeanPlace:
    """Class 0 in two places, class 1 in one, an empty mask of class 0."""
    low, high = slice(0, 4), slice(4, 8)
    records = [
        record(0, write(tmp_path, "a", "mask_0", (slice(0, 2), low, low))),
        record(1, write(tmp_path, "b", "mask_0", (slice(0, 2), low, high))),
        record(2, write(tmp_path, "c", "mask_0", None)),
        record(3, write(tmp_path, "c", "mask_1", (slice(3, 4), high, high))),
    ]
    return MeanPlace(tmp_path, records, SHAPE)


def test_the_mean_mask_is_the_share_of_masks_that_show_the_class(mean):
    p, drawn = mean.mask(record(9, "x/mask_0.npy"))
    assert set(np.unique(p)) == {0.0, 0.5} and p[:2, :4].min() == 0.5
    assert drawn.sum() == 32 and p[drawn].min() == 0.5


def test_the_mean_box_is_the_mean_of_the_boxes(mean):
    assert mean.box(record(9, "x/mask_0.npy")) == (0.0, 0.0, 0.25, 0.25, 0.375, 0.625)
    assert mean.box(record(9, "x/mask_1.npy")) == (0.75, 0.5, 0.5, 0.75, 0.875, 0.875)


def test_a_class_that_was_never_seen_has_neither(mean):
    p, drawn = mean.mask(record(9, "x/mask_7.npy"))
    assert not p.any() and not drawn.any() and mean.box(record(9, "x/mask_7.npy")) is None


def test_the_findings_of_refseg_are_classes_by_their_label():
    assert class_of(record(0, "a/mask.npy", 3)) == ("refseg", "3")
    assert class_of(record(0, "a/mask_2.npy")) == ("9000", "mask_2")
