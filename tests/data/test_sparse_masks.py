"""Are the sparse masks of M3D-Seg those that scipy wrote, and is nothing else believed?"""

import numpy as np
import pytest
from raw_sets import SIDES, raw_masks, save_masks

from tomovox.data.faults import DataFault
from tomovox.data.sparse_masks import classes_and_shape, read_sparse_masks


@pytest.fixture
def path(tmp_path):
    return tmp_path / save_masks(tmp_path, raw_masks())


def test_every_class_is_the_one_that_was_saved(path):
    masks = read_sparse_masks(path)
    read = np.stack([masks.of_class(number) for number in range(3)])
    assert np.array_equal(read, raw_masks() != 0)


def test_a_stored_zero_is_not_part_of_a_mask(path):
    arrays = dict(np.load(path))
    arrays["data"][0] = 0
    np.savez(path, **arrays)
    assert read_sparse_masks(path).of_class(0).sum() == raw_masks()[0].sum() - 1


@pytest.mark.parametrize("name", ["mask_(3, 9, 7, 6).npz", "mask_(3,9,7,6).npz"])
def test_a_name_says_classes_and_shape(name):
    assert classes_and_shape(name, "x") == (3, SIDES)


@pytest.mark.parametrize(
    "name",
    [
        *("mask.npz", "mask_(9, 7, 6).npz", "mask_(3, 9, 7, 6).npy", "mask_(3, 9, 7, 0).npz"),
        *("mask_(0, 9, 7, 6).npz", "mask_(3, 99999, 99999, 99999).npz"),
        "mask_(99999999, 9, 7, 6).npz",
    ],
)
def test_a_name_without_a_credible_shape_is_refused(name):
    with pytest.raises(DataFault, match="row 3: 'mask"):
        classes_and_shape(name, "row 3")


CHANGES = {
    "another format": {"format": np.array(b"csc")},
    "another shape": {"shape": np.array([3, 5])},
    "a column outside": {"indices": np.full(int(raw_masks().sum()), 378)},
    "a column below 0": {"indices": np.full(int(raw_masks().sum()), -1)},
    "starts that fall": {"indptr": np.array([0, 300, 2, int(raw_masks().sum())])},
    "too few starts": {"indptr": np.array([0, int(raw_masks().sum())])},
    "too few values": {"data": np.ones(3)},
    "values that are text": {"data": np.full(int(raw_masks().sum()), "a")},
    "pickled values": {"data": np.full(int(raw_masks().sum()), {}, object)},
    "far too many values": {"data": np.zeros(2**20)},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_arrays_that_are_no_such_masks_are_refused(path, change):
    np.savez_compressed(path, **(dict(np.load(path)) | change))
    with pytest.raises(DataFault, match="mask_"):
        read_sparse_masks(path)


@pytest.mark.parametrize("kind", ["missing", "cut", "text", "an array", "an array is missing"])
def test_a_file_that_is_no_such_archive_is_refused(path, kind):
    whole, arrays = path.read_bytes(), dict(np.load(path))
    path.unlink()
    if kind == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "text":
        path.write_text("no masks")
    elif kind == "an array":
        with path.open("wb") as stream:
            np.save(stream, raw_masks())
    elif kind == "an array is missing":
        del arrays["indptr"]
        np.savez(path, **arrays)
    with pytest.raises(DataFault, match="mask_"):
        read_sparse_masks(path)
