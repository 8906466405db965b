"""Which masks does M3D-Seg list for which images, and which of its entries cannot be read?"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tomovox.data.faults import DataFault, Faults
from tomovox.data.volumes import resolve_inside

SEG = "M3D_Seg_npy"
SEG_SPLITS = ("train", "test")
MEND = "give the file of M3D-Seg"


@dataclass(frozen=True, slots=True)
class SegEntry:
    """One mask of one image, as paths below the folder of M3D-Seg, and where it is listed."""

    split: str
    image: str
    label: str
    place: str


def seg_codes(root: Path, faults: Faults) -> dict[str, list[str]]:
    """Return the class names of each data set of M3D-Seg; empty when M3D-Seg is not there."""
    folder = Path(root) / SEG
    if not folder.is_dir():
        return {}
    path = folder / "dataset_info.json"
    try:
        names = _read_json(path)
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


def seg_entries(root: Path, code: str, names: list[str], faults: Faults) -> list[SegEntry]:
    """Return the readable entries of one data set; what is wrong with others goes to `faults`."""
    folder = Path(root) / SEG
    path = folder / code / f"{code}.json"
    try:
        splits = _read_json(path)
        if not isinstance(splits, dict) or not any(split in splits for split in SEG_SPLITS):
            raise DataFault(str(path), "lists neither train nor test", MEND)
    except DataFault as fault:
        faults.add(fault)
        return []
    found = []
    for split in SEG_SPLITS:
        rows = splits.get(split, [])
        if not isinstance(rows, list):
            faults.add(DataFault(str(path), f"split {split!r} is no list", MEND))
            continue
        for number, row in enumerate(rows):
            try:
                place = f"{path}: {split} row {number}"
                found.append(_entry(folder, split, row, names, place))
            except DataFault as fault:
                faults.add(fault)
    return found


def _entry(folder: Path, split: str, row: object, names: list[str], place: str) -> SegEntry:
    image = row.get("image") if isinstance(row, dict) else None
    label = row.get("label") if isinstance(row, dict) else None
    if not (isinstance(image, str) and isinstance(label, str)):
        raise DataFault(place, 'needs "image" and "label", two paths', "mend the entry")
    resolve_inside(folder, image, place)
    resolve_inside(folder, label, place)
    number = re.fullmatch(r"mask_(\d+)", PurePosixPath(label).stem)
    if number is None or int(number[1]) >= len(names):
        raise DataFault(
            place,
            f"{label!r} is not mask_<class>.npy with a class below {len(names)}",
            "name the mask by its place in dataset_info.json",
        )
    return SegEntry(split, str(PurePosixPath(image)), str(PurePosixPath(label)), place)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataFault(str(path), f"cannot be read ({error.strerror})", MEND) from None
    except ValueError as error:  # broken JSON and broken UTF-8 alike
        raise DataFault(str(path), f"broken JSON ({error})", MEND) from None
