"""Writes a small M3D-Seg of two data sets: what each mask shows, the listings and the words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

SEG = "M3D_Seg_npy"
SHAPE = (1, 4, 8, 16)
NAMES = {"0003": ["liver", "left kidney"], "0011": ["spleen", "liver"]}
TERMS = {
    "liver": ["The largest gland of the body.", "It makes bile."],
    "left kidney": ["The organ that filters blood, on the side of the spleen."],
    "spleen": ["An organ that sorts out old blood cells."],
}


def box_mask(*corner: int) -> np.ndarray:
    """Return a mask of SHAPE, true from (d, h, w) to (d, h, w) + 1 along each axis."""
    d, h, w = corner
    mask = np.zeros(SHAPE, bool)
    mask[0, d : d + 2, h : h + 2, w : w + 2] = True
    return mask


NOTHING = np.zeros((1, 1, 1, 1), bool)
EMPTY = np.zeros(SHAPE, bool)


def write_seg(root: Path, terms: dict[str, list[str]] | None = TERMS) -> Path:
    """Write two images of each data set to train and two to test, every class listed of each.

    The second class of every second image is absent, in both ways in which that is written.
    """
    for code, names in NAMES.items():
        listing: dict[str, list[dict[str, str]]] = {"train": [], "test": []}
        for case in range(4):
            masks = [box_mask(case % 2, case, 3 * case + k) for k in range(len(names))]
            if case % 2:
                masks[1] = NOTHING if code == "0003" else EMPTY
            listing["test" if case > 1 else "train"] += write_case(root, f"{code}/{case}", masks)
        write(root / SEG / code / f"{code}.json", listing)
    write(root / SEG / "dataset_info.json", NAMES)
    if terms is not None:
        write(root / SEG / "term_dictionary.json", terms)
    return root


def write_case(root: Path, folder: str, masks: list[np.ndarray]) -> list[dict[str, str]]:
    """Write one image with its masks; return its entries."""
    (root / SEG / folder / "masks").mkdir(parents=True, exist_ok=True)
    image = f"{folder}/image.npy"
    np.save(root / SEG / image, np.linspace(0, 1, EMPTY.size, dtype=np.float32).reshape(SHAPE))
    entries = []
    for number, mask in enumerate(masks):
        label = f"{folder}/masks/mask_{number}.npy"
        np.save(root / SEG / label, mask)
        entries.append({"image": image, "label": label})
    return entries


def write(path: Path, content: object) -> None:
    """Write a value as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
