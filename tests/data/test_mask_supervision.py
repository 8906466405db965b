"""Does a mask head learn from masks that show something, each with the class it is of?"""

from pathlib import Path

import numpy as np
import pytest

from tomovox.data.mask_supervision import MaskDataset
from tomovox.data.phantom import write_phantom
from tomovox.data.volumes import read_mask
from tomovox.schema import TomovoxError


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("masks") / "data"
    write_phantom(folder, 5, 0, (8, 32, 32), "easy", 1, 1, series=1, organ_masks=True)
    return folder


def test_a_volume_comes_with_its_own_masks_and_their_classes(root):
    dataset = MaskDataset(root, "train", most=3)
    for row, study in enumerate(dataset.studies):
        _, classes, masks = dataset[row, 7]
        assert len(set(classes)) == len(masks) == 3
        for k, mask in zip(classes, masks, strict=True):
            named = [r for r in study if Path(r.mask).stem == dataset.classes[k][1]]
            assert (mask == read_mask(root, named[0].mask, mask.shape, "")).all()


def test_no_mask_without_a_voxel_is_drawn(root):
    dataset = MaskDataset(root, "train", most=99)
    assert all(mask.any() for row in range(len(dataset)) for mask in dataset[row, 0][2])


def test_the_same_seed_draws_the_same_masks(root):
    dataset = MaskDataset(root, "train", most=2)
    assert dataset[0, 5][1] == dataset[0, 5][1]
    assert len({tuple(dataset[0, seed][1]) for seed in range(20)}) > 1


def test_a_split_whose_masks_show_nothing_is_refused(root, tmp_path):
    copied = tmp_path / "data"
    write_phantom(copied, 3, 0, (8, 32, 32), "easy", 1, 1, series=1)
    for path in copied.glob("M3D_Seg_npy/*/*/masks/*.npy"):
        np.save(path, np.zeros((1, 1, 1, 1), bool), allow_pickle=False)
    with pytest.raises(TomovoxError, match=r"shows anything: leave out shared\.mask_head"):
        MaskDataset(copied, "train", most=2)
