"""Can a mask be read beside its image, and does it show anything?"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tomovox.data.faults import DataFault
from tomovox.data.volumes import read_mask, read_target


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask of an image, both as paths below `folder`; `place` is the first row that asks for it.

    `label` is the value that counts in a file of labels; 0 for a mask of its own.
    """

    folder: Path
    image: str
    path: str
    label: int
    place: str = field(compare=False)


def is_negative(mask: Mask, shape: tuple[int, ...] | None) -> bool | DataFault:
    """Tell whether a mask shows nothing, or what keeps it from being read.

    `shape` is that of its image, None when that cannot be read: then a mask of its own is held only
    against itself, and of a label nothing can be told.
    """
    try:
        if shape is not None:
            return not read_target(mask.folder, mask.path, mask.label, shape, mask.place).any()
        if mask.label:
            return False
        return not read_mask(mask.folder, mask.path, None, mask.place).any()
    except DataFault as fault:
        return fault
