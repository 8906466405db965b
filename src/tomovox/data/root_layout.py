"""Which data set lies in a data root, and in which of its layouts?"""

from __future__ import annotations

from pathlib import Path

from tomovox.data.ct_rate import SPLITS, tree_of

M3D, CT_RATE = "m3d", "ct_rate"
"""The layouts of a data root: M3D-Data, or CT-RATE, prepared or as downloaded."""


def layout_of(root: Path) -> str:
    """Return the layout of a data root, as its files tell it."""
    return CT_RATE if tree_of(root) else M3D


def has_split(root: Path, split: str) -> bool:
    """Return whether a data root may have a split: CT-RATE has none beside train and test."""
    return layout_of(root) == M3D or split in SPLITS
