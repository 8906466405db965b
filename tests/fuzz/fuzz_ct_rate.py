"""The readers of CT-RATE: its tables, questions and scans."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
from damage import csv_bytes, damaged_bytes, damaged_csv, damaged_json, json_bytes
from fuzz_data import put
from fuzz_images import damaged_nifti_gz
from fuzz_target import Target

from tomovox.data.ct_rate import (
    ABNORMALITIES,
    LABELS,
    METADATA,
    METADATA_COLUMNS,
    NO_CHEST,
    QUESTIONS,
    REPORT_COLUMNS,
    REPORTS,
    TABLES,
    VOLUME,
    Tree,
    not_chest,
    read_labels,
    read_scanned,
    read_scans,
)
from tomovox.data.ct_rate_questions import ALL_FORMS, ONE_FORM, asked_in, items_of
from tomovox.data.ct_rate_scan import ScanSettings, prepare_scan
from tomovox.data.records import read_records
from tomovox.schema import Task

ROOT = Path("ct_rate")
NAMES = ("valid_1_a_1.nii.gz", "valid_1_a_2.nii.gz")
FILES = {kind: ROOT / kind / files["valid"] for kind, files in TABLES.items()}
REPORT_ROWS = [REPORT_COLUMNS, *((name, "", "CT", "No nodule.", "Not given.") for name in NAMES)]
LABEL_ROWS = [(VOLUME, *ABNORMALITIES), *((name, *"10" * 9) for name in NAMES)]
METADATA_ROWS = [METADATA_COLUMNS, *((name, "B30f", "[2, 2]", "0", "1", "2") for name in NAMES)]
QUESTION = {"vision3d": NAMES[0], "question": "Where? (a) right lung (b) left lung"}
CHOICES = [QUESTION | {"answer": "(a) right lung"}, QUESTION | {"answer": "(b) left lung"}]
TURNS = [
    {"from": "human", "value": "<image>\nIs it large? <short_answer>", "type": "short_answer"},
    {"from": "gpt", "value": "No."},
]
CONVERSATIONS = [{"id": "q_0", "image": NAMES[0], "conversations": TURNS}] * 2
WHOLE = ROOT / QUESTIONS / ALL_FORMS.format(split="valid")
CHOICE = ROOT / QUESTIONS / ONE_FORM.format(split="valid", form="choice")
LISTED = ROOT / NO_CHEST.format(split="valid")
SCAN = ROOT / NAMES[0]


def write_tree(folder: Path) -> None:
    """Write the tables, questions and a scan of two reconstructions: the first is there."""
    for kind, rows in ((REPORTS, REPORT_ROWS), (LABELS, LABEL_ROWS), (METADATA, METADATA_ROWS)):
        put(folder / FILES[kind], csv_bytes(rows))
    put(folder / WHOLE, json_bytes(CONVERSATIONS))
    put(folder / CHOICE, json_bytes(CHOICES))
    put(folder / LISTED, "".join(f"{name}\n" for name in NAMES))
    put(folder / SCAN, _scan())


def _scan() -> bytes:
    import nibabel

    values = np.full((6, 7, 8), -1000, np.int16)
    values[2:4, 2:5] = 40
    return gzip.compress(nibabel.Nifti1Image(values, np.eye(4)).to_bytes(), mtime=0)


def _tree(folder: Path) -> Tree:
    return Tree(folder / ROOT, folder / ROOT)


def _asked(folder: Path) -> object:
    items = enumerate(items_of(folder / WHOLE), 1)
    return [list(asked_in(item, "", f"{folder / WHOLE}: item {number}")) for number, item in items]


def _prepared(folder: Path) -> object:
    scanned = read_scanned(_tree(folder), "valid")["valid_1_a_1"]
    return prepare_scan(folder / SCAN, scanned, ScanSettings(shape=(4, 8, 8)))


def _table(kind: str, rows: list, read: Callable[[Path], object], name: str = "") -> Target:
    # A volume may be refused for its row: then the scan is named.
    names = (NAMES[0],) if name else ()
    drawn = damaged_csv(rows)
    title = f"CT-RATE, {kind}{name}"
    return Target(title, str(FILES[kind]), write_tree, lambda content: drawn, read, names)


CT_RATE = [
    _table(REPORTS, REPORT_ROWS, lambda folder: read_scans(_tree(folder), "valid")),
    _table(LABELS, LABEL_ROWS, lambda folder: read_labels(_tree(folder), "valid")),
    _table(METADATA, METADATA_ROWS, lambda folder: read_scanned(_tree(folder), "valid")),
    _table(METADATA, METADATA_ROWS, _prepared, " of a scan"),
    Target("CT-RATE, scan", str(SCAN), write_tree, damaged_nifti_gz, _prepared),
    Target(
        "CT-RATE, volumes of no chest",
        str(LISTED),
        write_tree,
        damaged_bytes,
        lambda folder: not_chest(_tree(folder), "valid"),
    ),
    Target(
        "CT-RATE, questions of all forms",
        str(WHOLE),
        write_tree,
        lambda content: damaged_json(CONVERSATIONS),
        _asked,
    ),
    Target(
        "CT-RATE, questions of one form",
        str(CHOICE),
        write_tree,
        lambda content: damaged_json(CHOICES),
        lambda folder: read_records(folder / ROOT, Task.VQA_CLOSED, "test"),
        (str(ROOT / QUESTIONS),),
    ),
]
