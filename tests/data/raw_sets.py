"""Writes small raw forms of M3D-Seg and M3D-RefSeg, as they are distributed."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import sparse

from tomovox.schema import TomovoxError

CODE = "0003"
NAMES = ["liver", "spleen", "pancreas"]
SIDES = (9, 7, 6)
"""Sizes along x, y and z: no two are alike."""


def raw_image(seed: int = 0) -> np.ndarray:
    """Return (1 x y z) float32 like a scan after z-scoring, its least value on every border."""
    values = np.random.default_rng(seed).normal(size=(1, *SIDES)).astype(np.float32)
    lowest = values.min()
    values[:, :2], values[:, :, -1], values[..., 0] = lowest, lowest, lowest
    return values


def raw_masks(seed: int = 0) -> np.ndarray:
    """Return (3 x y z) int32: two blobs that differ, and nothing of the third class."""
    masks = np.zeros((3, *SIDES), np.int32)
    masks[0] = np.random.default_rng(seed).random(SIDES) < 0.5
    masks[1, 3:6, 2:5, 1:4] = 1
    return masks


def save_masks(folder: Path, masks: np.ndarray) -> str:
    """Write masks as M3D-Seg does; return the name of the file."""
    name = f"mask_{masks.shape}.npz"
    sparse.save_npz(folder / name, sparse.csr_matrix(masks.reshape(len(masks), -1)))
    return name


def write_raw_seg(root: Path, train: int = 2, test: int = 1) -> Path:
    """Write M3D-Seg of one data set, with one case folder for each image."""
    splits: dict[str, list[dict[str, str]]] = {"train": [], "test": []}
    for case in range(train + test):
        folder = root / CODE / str(case)
        folder.mkdir(parents=True)
        np.save(folder / "image.npy", raw_image(case))
        label = save_masks(folder, raw_masks(case))
        row = {"image": f"{CODE}/{case}/image.npy", "label": f"{CODE}/{case}/{label}"}
        splits["train" if case < train else "test"].append(row)
    labels = {str(number): name for number, name in enumerate(["background", *NAMES])}
    write_listing(root, {"name": "AbdomenCT", "labels": labels, **splits})
    return root


def listing(root: Path) -> dict:
    """Return the listing of the one data set."""
    return json.loads((root / CODE / f"{CODE}.json").read_text(encoding="utf-8"))


def write_listing(root: Path, content: object) -> None:
    """Replace the listing of the one data set."""
    (root / CODE / f"{CODE}.json").write_text(json.dumps(content), encoding="utf-8")


def raw_scan() -> tuple[np.ndarray, np.ndarray]:
    """Return (x y z) int16 HU with a border of air, and labels 0, 1, 2 and 5."""
    rng = np.random.default_rng(3)
    scan = rng.integers(-200, 900, (9, 8, 7)).astype(np.int16)
    scan[:2], scan[:, -1], scan[..., 0] = -1000, -1000, -1000
    return scan, rng.choice([0, 1, 2, 5], (9, 8, 7)).astype(np.int16)


def write_raw_refseg(root: Path, cases: tuple[str, ...] = ("s0000", "s0001")) -> Path:
    """Write M3D-RefSeg: folders of a scan, its labels and the findings."""
    scan, labels = raw_scan()
    for case in cases:
        (root / case).mkdir(parents=True)
        nib.save(nib.Nifti1Image(scan, np.eye(4)), root / case / "ct.nii.gz")
        nib.save(nib.Nifti1Image(labels, np.eye(4)), root / case / "mask.nii.gz")
        (root / case / "text.json").write_text('{"1": "A cyst."}', encoding="utf-8")
    return root


def refusal(prepare, *arguments) -> str:
    """Call `prepare`; return the one line that refuses."""
    with pytest.raises(TomovoxError) as caught:
        prepare(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)
