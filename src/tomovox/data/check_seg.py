"""Which masks does M3D-Seg list for which images, and what of its files cannot be used?"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tomovox.data.faults import DataFault, Faults
from tomovox.data.published_files import read_json
from tomovox.data.volumes import resolve_inside

SEG = "M3D_Seg_npy"
INFO = "dataset_info.json"
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
    path = folder / INFO
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
    of_class = re.fullmatch(r"mask_([0-9]{1,9})", PurePosixPath(label).stem)
    if of_class is None or int(of_class[1]) >= len(names):
        raise DataFault(
            place,
            f"{label!r} is not mask_<class>.npy with a class below {len(names)}",
            f"name the mask by its place in {INFO}",
        )
    structure = names[int(of_class[1])]
    image, label = str(PurePosixPath(image)), str(PurePosixPath(label))
    return SegEntry(split, number, image, label, structure, place)


def check_terms(
    path: Path, known: Collection[str], listed: Mapping[str, str], faults: Faults
) -> list[str]:
    """Return the names that term_dictionary.json describes though no class in `known` has them.

    `listed` are the classes that masks are listed of, each with its listing. One of them without a
    description, and a name with an empty list, go to `faults`.
    """
    try:
        terms = read_json(path)
        if not isinstance(terms, dict):
            raise DataFault(str(path), "not an object of lists of descriptions", MEND)
    except DataFault as fault:
        faults.add(fault)
        return []
    for name, texts in terms.items():
        whole = isinstance(texts, list) and all(isinstance(t, str) and t.strip() for t in texts)
        if not (texts and whole):
            what = f"the descriptions of {name!r} are {'no texts' if texts else 'an empty list'}"
            faults.add(DataFault(str(path), what, "give some, or remove the name"))
    for name, listing in listed.items():
        if name not in terms:
            what = f"no description of {name!r}, a class of {listing}"
            faults.add(DataFault(str(path), what, "add one there"))
    return [name for name in terms if name not in known]
