"""How do the images and sparse masks of M3D-Seg, as distributed, become those that training reads?

Steps and their order: M3D (Bai et al. 2024), released preprocessing of M3D-Seg. Letters: C classes,
x y z axes as stored, D H W depth, height and width of the output.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float

from tomovox.data.check_seg import INFO, MEND, SEG_SPLITS
from tomovox.data.faults import DataFault, Faults
from tomovox.data.images import SHAPE, resized
from tomovox.data.prepare import Outcome
from tomovox.data.prepare_cases import (
    Progress,
    claim_target,
    foreground,
    is_finished,
    nearest,
    run_cases,
)
from tomovox.data.published_files import read_json
from tomovox.data.seg_records import TERMS
from tomovox.data.sparse_masks import classes_and_shape, read_sparse_masks
from tomovox.data.stored import check_size
from tomovox.data.volumes import open_array, resolve_inside
from tomovox.data.written import write_array, write_inside
from tomovox.schema import TomovoxError

NOTHING = np.zeros((1, 1, 1, 1), bool)
"""The mask of a class that the image does not show."""


@dataclass(frozen=True, slots=True)
class SegCase:
    """An image with the masks of C classes, as paths below the source."""

    image: str
    label: str
    classes: int

    @property
    def masks(self) -> tuple[str, ...]:
        """Return the mask of each class, as paths below the target."""
        folder = PurePosixPath(self.label).parent / "masks"
        return tuple(str(folder / f"mask_{number}.npy") for number in range(self.classes))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the files of the finished case, as paths below the target."""
        return (*self.masks, self.image)


@dataclass(frozen=True, slots=True)
class _Listing:
    """What a data set lists: the whole file, and the cases of each split in file order."""

    content: dict[str, Any]
    splits: dict[str, list[SegCase]]


def prepare_seg(
    source: Path,
    target: Path,
    shape: tuple[int, int, int] = SHAPE,
    workers: int = 1,
    progress: Progress | None = None,
) -> Outcome:
    """Prepare M3D-Seg: image.npy, float32 (1, D, H, W) in [0, 1], and a mask of each class.

    `source` holds <data set>/<data set>.json and what that lists. A mask is bool (1, D, H, W), or
    (1, 1, 1, 1) where nothing of its class is left. The listings are written again with an entry
    for each mask, paths below `target`; their classes are named as in dataset_info.json, or by the
    listings' `labels`. Finished cases are skipped, so a stopped run goes on; a case that cannot be
    prepared is left out and listed in not_prepared.tsv.

    Raises TomovoxError as `claim_target`, when there is no listing at all, and when
    dataset_info.json cannot be read.
    """
    source, target = Path(source), Path(target)
    claim_target(source, target, "M3D-Seg", shape)
    faults = Faults(collect=True)
    listings = _listings(source, faults)
    names = _class_names(source, listings, faults)
    listed = (c for one in listings.values() for cases in one.splits.values() for c in cases)
    cases = list(dict.fromkeys(listed))
    work = partial(_prepare_case, source=source, target=target, shape=shape)
    outcome = run_cases(cases, work, target, faults, workers, progress)
    finished = {case for case in cases if is_finished(case, target)}
    for code, listing in listings.items():
        splits = {
            split: _entries([case for case in own if case in finished])
            for split, own in listing.splits.items()
        }
        write_inside(target, f"{code}/{code}.json", _json({**listing.content, **splits}))
    write_inside(target, INFO, _json(names))
    if (source / TERMS).is_file():
        write_inside(target, TERMS, (source / TERMS).read_bytes())
    return outcome


def _entries(cases: Sequence[SegCase]) -> list[dict[str, str]]:
    return [{"image": case.image, "label": mask} for case in cases for mask in case.masks]


def _json(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _listings(source: Path, faults: Faults) -> dict[str, _Listing]:
    """Return what each data set lists; rows that cannot be prepared go to `faults`."""
    found = {}
    folders = [p for p in sorted(source.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    if not any((folder / f"{folder.name}.json").is_file() for folder in folders):
        raise TomovoxError(
            f"{source}: no <data set>/<data set>.json in it; give the folder M3D_Seg"
        )
    for folder in folders:
        path = folder / f"{folder.name}.json"
        try:
            content = read_json(path)
            if not isinstance(content, dict):
                raise DataFault(str(path), "not an object that lists train and test", MEND)
            found[folder.name] = _Listing(content, _splits(path, content, faults))
        except DataFault as fault:
            faults.add(fault)
    return found


def _splits(path: Path, content: dict[str, Any], faults: Faults) -> dict[str, list[SegCase]]:
    splits: dict[str, list[SegCase]] = {}
    first: dict[str, SegCase] = {}
    for split in SEG_SPLITS:
        splits[split] = []
        rows = content.get(split, [])
        if not isinstance(rows, list):
            raise DataFault(str(path), f"split {split!r} is no list", MEND)
        for number, row in enumerate(rows):
            place = f"{path}: {split} row {number}"
            try:
                case = _case(path, row, place)
                if first.setdefault(str(PurePosixPath(case.image).parent), case) != case:
                    what = f"another case lies beside {case.image!r}"
                    raise DataFault(place, what, "give each case a folder of its own")
                splits[split].append(case)
            except DataFault as fault:
                faults.add(fault)
    return splits


def _case(path: Path, row: object, place: str) -> SegCase:
    image = row.get("image") if isinstance(row, dict) else None
    label = row.get("label") if isinstance(row, dict) else None
    if not (isinstance(image, str) and isinstance(label, str)):
        raise DataFault(place, 'needs "image" and "label", two paths', "mend the entry")
    resolve_inside(path.parents[1], image, place)
    resolve_inside(path.parents[1], label, place)
    scan, masks = PurePosixPath(image), PurePosixPath(label)
    code = path.parent.name
    beside = scan.parent == masks.parent and len(scan.parts) > 2 and scan.parts[0] == code
    if not beside or scan.suffix != ".npy":
        what = f"{image!r} and {label!r} are not {code}/<case>/image.npy and its masks"
        raise DataFault(place, what, "lay them out as in M3D-Seg")
    return SegCase(str(scan), str(masks), classes_and_shape(masks.name, place)[0])


def _class_names(
    source: Path, listings: dict[str, _Listing], faults: Faults
) -> dict[str, list[str]]:
    """Return the class names of each listed data set: dataset_info.json, else its labels."""
    given = read_json(source / INFO) if (source / INFO).is_file() else {}
    if not isinstance(given, dict):
        raise DataFault(str(source / INFO), "not an object of class lists", MEND)
    found = {}
    for code, listing in listings.items():
        labels = listing.content.get("labels")
        labels = labels if isinstance(labels, dict) else {}
        numbers = [str(number) for number in range(1, len(labels))]
        if code in given:
            found[code] = given[code]
        elif numbers and all(number in labels for number in numbers):
            found[code] = [str(labels[number]) for number in numbers]
        else:
            what = 'its "labels" do not name the classes from "1" on, "0" being the background'
            remedy = f"mend them, or put {INFO} beside the data sets"
            faults.add(DataFault(f"{source / code / code}.json", what, remedy))
    return found


def _prepare_case(
    case: SegCase, source: Path, target: Path, shape: tuple[int, int, int]
) -> DataFault | None:
    """Write the files of a case, or return what is wrong with it."""
    try:
        voxels = _read_image(source / case.image)
        masks = read_sparse_masks(source / case.label)
        if masks.shape != voxels.shape[::-1]:
            what = f"masks of shape {masks.shape} for an image of shape {voxels.shape[::-1]}"
            raise DataFault(str(source / case.label), what, "download the case again")
    except DataFault as fault:
        return fault
    box = foreground(voxels)
    for number, output in enumerate(case.masks):
        mask = nearest(masks.of_class(number).swapaxes(-1, -3)[box], shape)
        write_array(target, output, mask[None] if mask.any() else NOTHING)
    write_array(target, case.image, resized(voxels[box].astype(np.float32), shape)[None])
    return None


def _read_image(path: Path) -> Float[np.ndarray, "z y x"]:
    """Return an image (1 x y z) as (z y x), its least value 0 and its greatest 1."""
    place = str(path)
    stored = open_array(path, place, "iuf", "numbers")
    check_size(stored.shape, stored.dtype.itemsize, path.stat().st_size, place)
    # Floats keep their own precision, so that what is 0, and thus cropped, is what was published.
    voxels = np.array(stored, dtype=np.result_type(stored.dtype, np.float32))
    low, high = float(voxels.min()), float(voxels.max())  # a NaN anywhere makes both NaN
    if not (math.isfinite(low) and math.isfinite(high)):
        raise DataFault(place, "holds NaN or infinite voxels", "download the case again")
    if low == high:
        raise DataFault(place, f"every voxel is {low:g}, there is nothing to see", "leave it out")
    voxels -= voxels.min()
    voxels /= max(voxels.max(), 1e-8)
    return voxels.reshape(stored.shape[-3:]).swapaxes(-1, -3)
