"""Which findings does M3D-RefSeg ask to draw, and in which words?

A file of labels holds all findings of a volume; a record names the file and the label of one.
Source: M3D (Bai et al. 2024), section on M3D-RefSeg.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from tomovox.data.faults import DataFault, Faults
from tomovox.data.published_files import check_width, csv_rows, records_of_rows
from tomovox.data.volumes import resolve_inside
from tomovox.schema import Record, Task

REFSEG = "M3D_RefSeg_npy"
FILES = {"train": "M3D_RefSeg.csv", "test": "M3D_RefSeg_test.csv"}
COLUMNS = ("Image", "Mask", "Mask_ID", "Question_Type", "Question", "Answer")
TYPES = {"0": "description", "1": "reasoning"}
"""Column `Question_Type` -> its name in tables."""


def read_refseg(root: Path, split: str, faults: Faults | None = None) -> list[Record]:
    """Return the records of a split of M3D-RefSeg, train or test, in file order.

    The id is "seg_referring/<split>/refseg/<row>". Question and answer are the text of the file, so
    an answer may lack [SEG]. Raises TomovoxError with file and row, but where `faults` collects, a
    bad row is noted there and the next one read.
    """
    path = Path(root) / REFSEG / FILES[split]
    rows = csv_rows(path, COLUMNS)
    return records_of_rows(rows, lambda row, n: _record(row, n, split, path), faults)


def _record(row: dict[str, str], number: int, split: str, path: Path) -> Record:
    name = f"{Task.SEG_REFERRING}/{split}/refseg/{number:06d}"
    place = f"{path}: row {number} ({name})"
    check_width(row, place)
    for column in ("Question", "Answer"):
        if not row[column].strip():
            raise DataFault(place, f"column {column!r} is empty", "fill it in")
    for column in ("Image", "Mask"):
        resolve_inside(path.parents[1], row[column], place)
    label, kind = row["Mask_ID"], row["Question_Type"]
    if not re.fullmatch(r"[0-9]{1,9}", label) or not int(label):
        raise DataFault(place, f"Mask_ID {label!r} is not a whole number from 1", "mend it")
    if kind not in TYPES:
        raise DataFault(place, f"Question_Type {kind!r} is neither 0 nor 1", "mend it")
    image = PurePosixPath(row["Image"])
    return Record(
        id=name,
        task=Task.SEG_REFERRING,
        split=split,
        case=str(image.parent),
        volumes=(str(image),),
        question=row["Question"],
        reference=row["Answer"],
        question_type=TYPES[kind],
        mask=str(PurePosixPath(row["Mask"])),
        mask_label=int(label),
    )
