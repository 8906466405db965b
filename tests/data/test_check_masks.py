"""Is a mask that shows nothing told from one that cannot be read?"""

import numpy as np
import pytest

from tomovox.data.check_masks import Mask, is_negative
from tomovox.data.faults import DataFault

SHAPE = (1, 2, 3, 4)


@pytest.fixture
def mask(tmp_path):
    """Return a function that writes a mask and names it, with a label or as one of its own."""

    def write(array: np.ndarray, label: int = 0) -> Mask:
        np.save(tmp_path / "mask.npy", array)
        return Mask(tmp_path, "image.npy", "mask.npy", label, "row 1")

    return write


def test_a_mask_with_one_voxel_is_not_negative(mask):
    voxels = np.zeros(SHAPE, bool)
    voxels[0, 1, 2, 3] = True
    assert is_negative(mask(voxels), SHAPE) is False


@pytest.mark.parametrize("size", [SHAPE, (1, 1, 1, 1)])
@pytest.mark.parametrize("shape", [SHAPE, None])
def test_a_mask_without_voxels_is_negative(mask, size, shape):
    assert is_negative(mask(np.zeros(size, bool)), shape) is True


@pytest.mark.parametrize(("label", "negative"), [(3, False), (2, True)])
def test_only_the_label_that_is_asked_for_counts(mask, label, negative):
    assert is_negative(mask(np.full(SHAPE, 3, np.float32), label), SHAPE) is negative


def test_of_a_label_beside_no_image_nothing_is_told(mask):
    assert is_negative(mask(np.zeros(SHAPE, np.float32), 3), None) is False


@pytest.mark.parametrize("label", [0, 3])
def test_a_mask_of_another_shape_is_a_fault(mask, label):
    assert isinstance(is_negative(mask(np.ones((1, 9, 3, 4), bool), label), SHAPE), DataFault)


def test_the_row_that_asks_does_not_make_two_masks(mask):
    one = mask(np.zeros(SHAPE, bool))
    assert one == Mask(one.folder, one.image, one.path, one.label, "row 2")
