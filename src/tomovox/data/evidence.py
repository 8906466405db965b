"""Which slices hold the answer to a question, and what series is it asked about?

Two sources: evidence.csv beside phantoms and samples, and the masks of M3D-Seg and M3D-RefSeg.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tomovox.data.faults import DataFault
from tomovox.data.published_files import check_width, csv_rows
from tomovox.data.published_tables import EVIDENCE_COLUMNS
from tomovox.data.volumes import open_array, read_target, read_volume, resolve_inside
from tomovox.schema import Record, Task

LOCAL, ANYWHERE = "slice", "volume"
"""Scope of a question: its answer lies in some slices, or shows in every one of them."""

EVIDENCE = "evidence.csv"
MOST_DIGITS = 9

PLANES = ("axial", "coronal", "sagittal")
PHASES = {
    "non contrast": "noncontrast",
    "noncontrast": "noncontrast",
    "unenhanced": "noncontrast",
    "without contrast": "noncontrast",
    "without intravenous contrast": "noncontrast",
    "without iv contrast": "noncontrast",
    "arterial": "arterial",
    "portal venous": "portal venous",
    "venous": "portal venous",
    "delayed": "delayed",
    "excretory": "delayed",
}
"""Words of a series name in M3D-Cap -> phase; the first that is found counts."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the data say of a record; `slices` are indices of D, empty where nothing is known.

    `plane` and `phase` are those of the first series, empty where its name does not tell them.
    """

    volume: str
    plane: str
    phase: str
    scope: str = ""
    slices: tuple[int, ...] = ()


def facts_of(root: Path, records: Iterable[Record]) -> dict[str, Facts]:
    """Return what the data root says of each record, by record id.

    The answer of a record with a mask lies in the slices that its structure touches; one whose
    structure is absent has no evidence. Raises TomovoxError for a bad line of evidence.csv, or a
    mask that cannot be read.
    """
    listed = _listed(root)
    facts = {}
    for record in records:
        volume = record.volumes[0]
        plane, phase = plane_and_phase(volume)
        scope, slices = listed.get(_question_of(record), ("", ()))
        if record.mask:
            scope, slices = LOCAL, _touched(root, record)
        facts[record.id] = Facts(volume, plane, phase, scope, slices)
    return facts


def depth_of(root: Path, record: Record) -> int:
    """Return D of the first series of a record, of whose file the header alone is read.

    Raises TomovoxError for a file that is no volume.
    """
    path = resolve_inside(root, record.volumes[0], record.id)
    shape = open_array(path, f"{path} (record {record.id})", "buif", "numbers").shape
    return int((1, 1, *shape)[-3])


def plane_and_phase(volume: str) -> tuple[str, str]:
    """Return plane and phase that the name of a series tells, as "Axial_C__portal_venous_phase"."""
    words = " ".join(re.split(r"[^a-z]+", PurePosixPath(volume).stem.lower())).strip()
    plane = next((plane for plane in PLANES if plane in words.split()), "")
    # Between spaces, for whole words only: "intravenous" is no venous phase.
    phase = next((phase for said, phase in PHASES.items() if f" {said} " in f" {words} "), "")
    return plane, phase


def _question_of(record: Record) -> str:
    """Return the row of M3D-VQA that a record comes from; closed and open records share it."""
    if record.task not in (Task.VQA_CLOSED, Task.VQA_OPEN):
        return ""
    return "/".join(record.id.split("/")[1:3])


def _listed(root: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return scope and slices by row of M3D-VQA; nothing where the root has no evidence.csv."""
    path = root / EVIDENCE
    if not path.is_file():
        return {}
    listed: dict[str, tuple[str, tuple[int, ...]]] = {}
    for number, row in enumerate(csv_rows(path, EVIDENCE_COLUMNS), 2):
        check_width(row, f"{path}:{number}")
        scope, slices = row["scope"], row["slices"].split()
        whole = all(place.isdecimal() and len(place) <= MOST_DIGITS for place in slices)
        if scope not in (LOCAL, ANYWHERE) or not whole:
            raise DataFault(
                f"{path}:{number}",
                f"scope {scope!r} and slices {row['slices']!r} are no evidence",
                "write slice or volume, and indices of slices parted by spaces",
            )
        listed[row["vqa"]] = scope, tuple(int(place) for place in slices)
    return listed


def _touched(root: Path, record: Record) -> tuple[int, ...]:
    shape = read_volume(root, record.volumes[0], record.id).shape
    mask = read_target(root, record.mask, record.mask_label, shape, record.id)
    return tuple(np.flatnonzero(mask[0].any(axis=(1, 2))).tolist())
