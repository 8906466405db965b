"""The readers of data sets: listings, questions, reports, templates, evidence and masks."""

from __future__ import annotations

import csv
import io
import json
from functools import partial
from pathlib import Path

import numpy as np
from damage import (
    Bytes,
    csv_bytes,
    damaged_bytes,
    damaged_csv,
    damaged_json,
    damaged_yaml,
    json_bytes,
)
from damage_arrays import damaged_npy, damaged_zip, npy_bytes, zip_bytes
from fuzz_target import Target

from tomovox.data.evidence import EVIDENCE, facts_of
from tomovox.data.published_tables import EVIDENCE_COLUMNS
from tomovox.data.question_templates import OWN, read_templates
from tomovox.data.records import CAP_FILE, CLOSED_COLUMNS, VQA_FILE, read_records
from tomovox.data.refseg_records import COLUMNS, FILES, REFSEG
from tomovox.data.sparse_masks import read_sparse_masks
from tomovox.data.supervision import finding_masks
from tomovox.data.volumes import read_mask, read_target, read_volume
from tomovox.schema import Record, Task

IMAGE = "M3D_Cap_npy/ct_case/000001/Axial_C__arterial_phase.npy"
REPORT = "M3D_Cap_npy/ct_case/000001/text.txt"
VQA = VQA_FILE.format(split="test")
VOXELS = np.linspace(0, 1, 32, dtype=np.float32).reshape(1, 2, 4, 4)
MASK = (VOXELS > 0.5).astype(np.uint8)
ROOT = Path("data")
SEG = ROOT / "M3D_Seg_npy"


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def write_root(folder: Path) -> None:
    """Write a data root: two reports, three questions, a class with two masks, and evidence."""
    root = folder / ROOT
    put(root / IMAGE, npy_bytes(VOXELS))
    put(root / REPORT, "A cyst, 12 mm.\nNo fluid.")
    entry = {"image": IMAGE, "text": REPORT}
    put(root / CAP_FILE, json_bytes({"train": [entry], "test": [entry, entry]}))
    choices = ("Axial", "Coronal", "Sagittal", "Oblique")
    row = (IMAGE, REPORT, "1", "Which plane is it?", "Axial", *choices, "A")
    put(root / VQA, csv_bytes([CLOSED_COLUMNS, row, row, row]))
    put(root / EVIDENCE, csv_bytes([EVIDENCE_COLUMNS, *_evidence()]))
    case = "0003/1"
    listing = {"image": f"{case}/image.npy", "label": f"{case}/mask_0.npy"}
    put(folder / SEG / "0003/0003.json", json_bytes({"train": [listing], "test": [listing]}))
    put(folder / SEG / "dataset_info.json", json_bytes({"0003": ["liver", "spleen"]}))
    put(folder / SEG / "term_dictionary.json", json_bytes({"liver": ["A gland."], "spleen": ["x"]}))
    put(folder / SEG / listing["image"], npy_bytes(VOXELS))
    put(folder / SEG / listing["label"], npy_bytes(MASK))
    finding = ("s0/image.npy", "s0/mask.npy", "1", "0", "Where is the cyst?", "Here: [SEG].")
    for name in FILES.values():
        put(root / REFSEG / name, csv_bytes([COLUMNS, finding, finding]))


def _evidence() -> list[list[str]]:
    cells = {"vqa": "test/000000", "scope": "slice", "slices": "0 1"}
    return [[cells.get(name, "x") for name in EVIDENCE_COLUMNS]] * 2


def _rows(content: bytes) -> Bytes:
    return damaged_csv(list(csv.reader(io.StringIO(content.decode()))))


def _value(content: bytes) -> Bytes:
    return damaged_json(json.loads(content))


def _npy(content: bytes) -> Bytes:
    return damaged_npy(np.load(io.BytesIO(content)))


def _records(task: Task, split: str, folder: Path) -> object:
    return read_records(folder / ROOT, task, split)


def _facts(folder: Path) -> object:
    record = Record("vqa_closed/test/000000", Task.VQA_CLOSED, "test", "c", (IMAGE,), "?", "A. x")
    return facts_of(folder / ROOT, [record])


def _volume(folder: Path) -> object:
    return read_volume(folder / ROOT, IMAGE, "a/test/1")


def _mask(folder: Path) -> object:
    read_target(folder / SEG, "0003/1/mask_0.npy", 1, (1, 2, 4, 4), "a/test/1")
    return read_mask(folder / SEG, "0003/1/mask_0.npy", (1, 2, 4, 4), "a/test/1")


def _data(name: str, file: str | Path, contents, task: Task, split: str = "test") -> Target:
    # A class of M3D-Seg may be refused where a listing, or a description, names it.
    names = (f"{SEG}/",) if "M3D-Seg" in name else ()
    return Target(name, str(file), write_root, contents, partial(_records, task, split), names)


# ---- templates and sparse masks -----------------------------------------------------------------


def _templates(suffix: str) -> Target:
    own = OWN.read_text(encoding="utf-8")
    value, name = json.loads(own), f"templates{suffix}"
    drawn = damaged_yaml(value, own) if suffix == ".yaml" else damaged_json(value)
    return Target(
        f"question templates, {suffix}",
        name,
        lambda folder: put(folder / name, own),
        lambda content: drawn,
        lambda folder: read_templates(folder / name),
    )


SPARSE = "mask_(2, 3, 3, 2).npz"


def _sparse_members() -> dict[str, np.ndarray]:
    return {
        "indptr.npy": np.array([0, 2, 3], np.int32),
        "indices.npy": np.array([1, 5, 17], np.int32),
        "data.npy": np.array([1, 1, 1], np.int32),
        "shape.npy": np.array([2, 18]),
        "format.npy": np.array(b"csr"),
    }


def _write_sparse(folder: Path) -> None:
    put(folder / SPARSE, zip_bytes({k: npy_bytes(v) for k, v in _sparse_members().items()}))


def _sparse(content: bytes) -> Bytes:
    arrays = _sparse_members()
    drawn = {name: damaged_npy(array) for name, array in arrays.items()}
    return damaged_zip(drawn, {name: npy_bytes(array) for name, array in arrays.items()})


def _read_sparse(folder: Path) -> object:
    masks = read_sparse_masks(folder / SPARSE)
    return [masks.of_class(number) for number in range(2)]


DATA = [
    _data("M3D_Cap.json", ROOT / CAP_FILE, _value, Task.REPORT),
    _data("M3D_Cap.json, cases", ROOT / CAP_FILE, _value, Task.CASE_REPORT),
    _data("a report", ROOT / REPORT, damaged_bytes, Task.REPORT),
    _data("M3D_VQA.csv, closed", ROOT / VQA, _rows, Task.VQA_CLOSED),
    _data("M3D_VQA.csv, open", ROOT / VQA, _rows, Task.VQA_OPEN),
    _data("M3D_RefSeg.csv", ROOT / REFSEG / FILES["test"], _rows, Task.SEG_REFERRING),
    _data("M3D-Seg, listing", SEG / "0003/0003.json", _value, Task.SEG_SEMANTIC),
    _data("M3D-Seg, classes", SEG / "dataset_info.json", _value, Task.REC),
    _data("M3D-Seg, terms", SEG / "term_dictionary.json", _value, Task.SEG_REFERRING),
    Target(
        "M3D-Seg, classes of findings",
        str(SEG / "dataset_info.json"),
        write_root,
        _value,
        lambda folder: finding_masks(folder / ROOT),
        (f"{SEG}/",),
    ),
    Target(
        "M3D-Seg, listing of findings",
        str(SEG / "0003/0003.json"),
        write_root,
        _value,
        lambda folder: finding_masks(folder / ROOT),
        (f"{SEG}/",),
    ),
    Target("evidence.csv", str(ROOT / EVIDENCE), write_root, _rows, _facts),
    Target("volume .npy", str(ROOT / IMAGE), write_root, _npy, _volume),
    Target("mask .npy", str(SEG / "0003/1/mask_0.npy"), write_root, _npy, _mask),
    Target("sparse masks .npz", SPARSE, _write_sparse, _sparse, _read_sparse),
    _templates(".json"),
    _templates(".yaml"),
]
