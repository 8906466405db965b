import os

import numpy as np
import pytest
from seg_tree import SEG, box_mask, write_seg

from tomovox.boxes import box_of_mask
from tomovox.data import mask_boxes as module
from tomovox.data.check_seg import seg_entries
from tomovox.data.faults import Faults
from tomovox.data.mask_boxes import mask_boxes
from tomovox.schema import TomovoxError

CODE, CLASSES = "0003", ["liver", "left kidney"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TOMOVOX_CACHE", str(tmp_path / "cache"))
    return write_seg(tmp_path / "data")


def listing_of(root):
    return root / SEG / CODE / f"{CODE}.json"


def boxes(root, faults=None, split="train"):
    """Return the boxes of a split, and (read, to read) of each step."""
    entries = seg_entries(root, CODE, CLASSES, Faults(), (split,))
    steps = []
    found = mask_boxes(
        root, listing_of(root), entries, faults or Faults(), lambda *step: steps.append(step)
    )
    return found, steps


def test_the_box_is_that_of_the_mask(root):
    assert boxes(root)[0]["0003/0/masks/mask_1.npy"] == box_of_mask(box_mask(0, 0, 1)[0])


def test_an_empty_mask_has_no_box(root):
    assert boxes(root)[0]["0003/1/masks/mask_1.npy"] is None


def test_a_step_is_told_of_every_mask(root):
    assert boxes(root)[1] == [(n, 4) for n in range(1, 5)]


def test_no_mask_is_read_twice(root):
    first, _ = boxes(root)
    second, steps = boxes(root)
    assert (second, steps) == (first, [])


def test_another_split_adds_to_what_is_kept(root):
    boxes(root)
    boxes(root, split="test")
    assert boxes(root)[1] == []


def test_a_new_listing_is_read_again(root):
    boxes(root)
    state = listing_of(root).stat()
    os.utime(listing_of(root), ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert len(boxes(root)[1]) == 4


def test_a_file_that_is_no_cache_is_replaced(root, tmp_path):
    boxes(root)
    for file in (tmp_path / "cache" / "mask_boxes").iterdir():
        file.write_text("[]")
    assert len(boxes(root)[1]) == 4


def test_what_cannot_be_read_is_a_fault_each_time(root):
    (root / SEG / "0003/0/masks/mask_0.npy").write_bytes(b"")
    for _ in range(2):
        faults = Faults(collect=True)
        found, _ = boxes(root, faults)
        assert "0003/0/masks/mask_0.npy" not in found
        assert [fault.place.count("train row 0") for fault in faults.found] == [1]


def test_a_killed_run_keeps_what_was_read(root, monkeypatch):
    monkeypatch.setattr(module, "BETWEEN_SAVES", 2)
    broken = root / SEG / "0003/1/masks/mask_1.npy"
    broken.write_bytes(b"")
    with pytest.raises(TomovoxError):
        boxes(root)
    np.save(broken, box_mask(0, 0, 0))
    assert boxes(root)[1] == [(1, 1)]


def test_nothing_is_written_beside_the_data(root):
    before = sorted(root.rglob("*"))
    boxes(root)
    assert sorted(root.rglob("*")) == before


def test_a_cache_that_cannot_be_written_is_told_before_any_mask_is_read(root, tmp_path):
    (tmp_path / "cache").write_text("a file")
    steps = []
    entries = seg_entries(root, CODE, CLASSES, Faults())
    with pytest.raises(TomovoxError, match="TOMOVOX_CACHE"):
        mask_boxes(root, listing_of(root), entries, Faults(), lambda *step: steps.append(step))
    assert steps == []
