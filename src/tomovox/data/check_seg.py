"""Which masks does M3D-Seg list for which images, and which of its entries cannot be read?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tomovox.data.faults import DataFault, Faults
from tomovox.data.published_files import read_json
from tomovox.data.volumes import resolve_inside

SEG = "M3D_Seg_npy"
SEG_SPLITS = ("train", "test")
MEND = "give the file of M3D-Seg"


@dataclass(frozen=True, slots=True)
class SegEntry:
    """One mask of one image, as paths below the folder of M3D-Seg, and where it is listed.

    `structure` is the class name; `number` is the row in its split, from 0.
    """

    split: str
    number: int
    image: str
    label: str
    structure: str
    place: str


def seg_codes(root: Path, faults: Faults) -> dict[str, list[str]]:
    """Return the class names of each data set of M3D-Seg; empty when M3D-Seg is not there."""
    folder = Path(root) / SEG
    if not folder.is_dir():
        return {}
    path = folder / "dataset_info.json"
    try:
        if not path.exists():
            remedy = 'write it: {"<data set>": ["<class of mask_0.npy>", ...]}'
            raise DataFault(str(path), "not there, so that no mask has a name", remedy)
        names = read_json(path)
        whole = isinstance(names, dict) and all(
            isinstance(classes, list) and all(isinstance(name, str) for name in classes)
            for classes in names.values()
        )
        if not whole:
            raise DataFault(str(path), "not an object of class lists", MEND)
        for code in names:
            resolve_inside(folder, code, str(path))
    except DataFault as fault:
        faults.add(fault)
        return {}
    listed = {p.stem for p in folder.glob("*/*.json") if p.stem == p.parent.name}
    for code in sorted(listed - set(names)):
        remedy = "add its class names there, or remove the folder"
        faults.add(DataFault(str(path), f"does not know the data set {code}", remedy))
    return names


def seg_entries(
    root: Path, code: str, names: list[str], faults: Faults, splits: Sequence[str] = SEG_SPLITS
) -> list[SegEntry]:
    """Return the readable entries of `splits` of one data set; other entries go to `faults`."""
    folder = Path(root) / SEG
    path = folder / code / f"{code}.json"
    try:
        listed = read_json(path)
        if not isinstance(listed, dict) or not any(split in listed for split in SEG_SPLITS):
            raise DataFault(str(path), "lists neither train nor test", MEND)
    except DataFault as fault:
        faults.add(fault)
        return []
    found = []
    for split in splits:
        rows = listed.get(split, [])
        if not isinstance(rows, list):
            faults.add(DataFault(str(path), f"split {split!r} is no list", MEND))
            continue
        for number, row in enumerate(rows):
            try:
                found.append(_entry(path, split, number, row, names))
            except DataFault as fault:
                faults.add(fault)
    return found


def _entry(path: Path, split: str, number: int, row: object, names: list[str]) -> SegEntry:
    place, folder = f"{path}: {split} row {number}", path.parents[1]
    image = row.get("image") if isinstance(row, dict) else None
    label = row.get("label") if isinstance(row, dict) else None
    if not (isinstance(image, str) and isinstance(label, str)):
        raise DataFault(place, 'needs "image" and "label", two paths', "mend the entry")
    resolve_inside(folder, image, place)
    resolve_inside(folder, label, place)
    of_class = re.fullmatch(r"mask_(\d+)", PurePosixPath(label).stem)
    if of_class is None or int(of_class[1]) >= len(names):
        raise DataFault(
            place,
            f"{label!r} is not mask_<class>.npy with a class below {len(names)}",
            "name the mask by its place in dataset_info.json",
        )
    structure = names[int(of_class[1])]
    image, label = str(PurePosixPath(image)), str(PurePosixPath(label))
    return SegEntry(split, number, image, label, structure, place)
