"""Where does a structure lie on average? The floor that boxes and masks must clear.

Letters: D H W depth, height and width of a mask in voxels.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Bool, Float

from tomovox.boxes import Box, box_of_mask
from tomovox.data.volumes import read_target
from tomovox.schema import Record

Class = tuple[str, str]


def class_of(record: Record) -> Class:
    """Return what a record with a mask asks for: data set and class, or the finding of RefSeg."""
    if record.mask_label:
        return "refseg", str(record.mask_label)
    return record.id.split("/")[2], PurePosixPath(record.mask).stem


class MeanPlace:
    """Mean box and mean mask of every class over the training masks that show something.

    The mean mask is the share of masks that hold a voxel; drawn are as many of the most frequent
    voxels as a training mask has on average. It looks at no image.
    """

    def __init__(self, root: Path, records: Iterable[Record], shape: tuple[int, int, int]):
        """Read each training mask once; TomovoxError for one that is not readable or `shape`."""
        masks = {(r.mask, r.mask_label): r for r in records if r.mask}
        self.shape = shape
        self._sums: dict[Class, np.ndarray] = {}
        self._boxes: dict[Class, list[Box]] = defaultdict(list)
        for (path, label), record in masks.items():
            mask = read_target(root, path, label, (1, *shape), record.id)[0]
            box = box_of_mask(mask)
            if box is None:
                continue
            key = class_of(record)
            self._sums.setdefault(key, np.zeros(shape, np.float32))
            self._sums[key] += mask
            self._boxes[key].append(box)

    def box(self, record: Record) -> Box | None:
        """Return the mean training box of the record's class, to three digits; None if unseen."""
        boxes = self._boxes.get(class_of(record))
        if not boxes:
            return None
        return tuple(round(float(side), 3) for side in np.mean(boxes, axis=0))  # type: ignore[return-value]

    def mask(self, record: Record) -> tuple[Float[np.ndarray, "D H W"], Bool[np.ndarray, "D H W"]]:
        """Return probabilities and drawn voxels of the record's class; none where it is unseen."""
        key = class_of(record)
        if key not in self._sums:
            return np.zeros(self.shape, np.float32), np.zeros(self.shape, bool)
        p = self._sums[key] / len(self._boxes[key])
        size = max(1, round(float(p.sum())))
        drawn = np.zeros(p.size, bool)
        drawn[np.argsort(-p, axis=None, kind="stable")[:size]] = True
        return p, drawn.reshape(self.shape)
