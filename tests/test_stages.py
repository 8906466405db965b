"""Do volumes, answers and findings become one batch, or a complaint that names what differs?"""

import numpy as np
import pytest

from tomovox.models.pretraining import UNKNOWN
from tomovox.schema import TomovoxError
from tomovox.stages import collate_masks, collate_vision


def item(shape: tuple[int, int, int], record: str) -> tuple:
    return np.ones((1, *shape), np.float32), np.zeros(2, np.int64), None, record


def test_volumes_of_one_size_are_stacked_and_without_masks_unknown():
    batch = collate_vision([item((2, 4, 4), "a"), item((2, 4, 4), "b")])
    assert batch.voxels.shape == (2, 1, 2, 4, 4)
    assert (batch.findings == UNKNOWN).all()


def test_volumes_of_two_sizes_are_named_with_their_records():
    both = r"\(2, 4, 4\) \(record a\) and \(3, 4, 4\) \(record b\): prepare"
    with pytest.raises(TomovoxError, match=both):
        collate_vision([item((2, 4, 4), "a"), item((3, 4, 4), "b")])


def test_every_mask_knows_the_row_of_its_volume():
    def masks(*places: int) -> list[np.ndarray]:
        return [np.arange(32).reshape(1, 2, 4, 4) == place for place in places]

    volumes = [np.full((1, 2, 4, 4), k, np.float32) for k in (0, 1)]
    batch = collate_masks([(volumes[0], [5, 1], masks(3, 4)), (volumes[1], [5], masks(9))])
    assert batch.study.tolist() == [0, 0, 1] and batch.classes.tolist() == [5, 1, 5]
    assert batch.masks.flatten(1).int().argmax(1).tolist() == [3, 4, 9]
