"""Which masks of a training volume teach a mask head, and of which class is each?

Letters: D H W depth, height and width of a volume in voxels.
"""

from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from tomovox.data.dataset import group_by_study
from tomovox.data.mean_place import class_of
from tomovox.data.records import read_records
from tomovox.data.tokenizer import SEG
from tomovox.data.volumes import read_target, read_volume
from tomovox.schema import Task, TomovoxError

MaskItem = tuple[np.ndarray, list[int], list[np.ndarray]]
"""Voxels (1 D H W), then class and mask (1 D H W) of each structure drawn from the volume."""


class MaskDataset(Dataset[MaskItem]):
    """Volumes of M3D-Seg with up to `most` of their masks; an index is (row, draw seed).

    Masks that show nothing are left out: there is nothing to learn where to draw.
    """

    def __init__(self, root: Path, split: str, most: int, limit: int | None = None):
        """Read the records of a split; TomovoxError when none of its masks shows anything."""
        self.root, self.most = root, most
        records = read_records(root, Task.SEG_SEMANTIC, split)
        self.studies = group_by_study([r for r in records if SEG in r.reference])[:limit]
        if not self.studies:
            raise TomovoxError(
                f"{root}: no mask of split {split!r} of M3D-Seg shows anything: leave out "
                f"shared.mask_head"
            )
        self.classes = sorted({class_of(record) for study in self.studies for record in study})

    def __len__(self) -> int:
        """Number of volumes."""
        return len(self.studies)

    def __getitem__(self, index: tuple[int, int]) -> MaskItem:
        """Return a volume and the masks that the seed draws from it."""
        row, seed = index
        records = self.studies[row]
        voxels = read_volume(self.root, records[0].volumes[0], records[0].id)
        places = np.random.default_rng(seed).permutation(len(records))[: self.most]
        drawn = [records[place] for place in places.tolist()]
        return (
            voxels,
            [self.classes.index(class_of(r)) for r in drawn],
            [read_target(self.root, r.mask, r.mask_label, voxels.shape, r.id) for r in drawn],
        )
