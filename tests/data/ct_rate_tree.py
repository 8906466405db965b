"""Writes a small CT-RATE as it is downloaded, row by row, so that a test can spoil any of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from tomovox.data.ct_rate import ABNORMALITIES, REPORT_COLUMNS
from tomovox.data.ct_rate_scan import ScanSettings
from tomovox.data.phantom_ct_rate_tables import METADATA_HEAD
from tomovox.data.prepare_ct_rate import CtRateOutcome, prepare_ct_rate

SETTINGS = ScanSettings(shape=(6, 8, 8))
REPORT = 'A nodule (4 mm) is seen. It is "spiculated", 5.2 mm.'


def hu(seed: int = 0, slices: int = 6, side: int = 8) -> np.ndarray:
    """Return (n H W) int16 HU: air around a body of water with noise; no two voxels are alike."""
    values = np.full((slices, side, side), -1000.0)
    values[:, 2:-2, 2:-1] = 30.0
    noise = np.random.default_rng(seed).permutation(values.size).reshape(values.shape)
    return np.rint(values + 60.0 * noise / values.size).astype(np.int16)


def stored(values: np.ndarray) -> np.ndarray:
    """Return (n H W), from head to feet and front to back, with axes to left, back and head."""
    return np.ascontiguousarray(values[::-1].transpose(2, 1, 0))


class CtRate:
    """A folder of CT-RATE that a test fills; rows become files in `write`."""

    def __init__(self, root: Path, base: str = "dataset") -> None:
        self.root, self.base = root, root / base
        self.reports: dict[str, list[Sequence[str]]] = {}
        self.metadata: dict[str, list[dict[str, Any]]] = {}
        self.labels: dict[str, list[Sequence[str]]] = {}
        self.questions: dict[str, list[Any]] = {}

    def volume(
        self,
        name: str,
        values: np.ndarray | None = None,
        intercept: int = -1024,
        fixed: bool = True,
        findings: str = REPORT,
        impressions: str = "Not given.",
        affine: np.ndarray | None = None,
        **cells: Any,
    ) -> Path:
        """Add a volume with a row in every table; its values are in HU where it is `fixed`."""
        split, patient, scan, _ = name.split("_")
        folder = f"{split}_fixed" if fixed else split
        path = self.root / "dataset" / folder / f"{split}_{patient}" / f"{split}_{patient}_{scan}"
        path.mkdir(parents=True, exist_ok=True)
        values = hu() if values is None else values
        raw = values if fixed else values - np.int16(intercept)
        affine = np.diag([-0.75, -0.75, 1.5, 1.0]) if affine is None else affine
        nib.save(nib.Nifti1Image(stored(raw), affine), path / f"{name}.nii.gz")
        file = f"{name}.nii.gz"
        row = (file, "Not given.", "Axial.", findings, impressions)
        self.reports.setdefault(split, []).append(row)
        self.labels.setdefault(split, []).append((file, *("01"[k == 9] for k in range(18))))
        told = {"VolumeName": file, "ConvolutionKernel": "['Br40f', '3']"}
        told |= {"XYSpacing": "[0.75, 0.75]", "ZSpacing": 1.5}
        told |= {"RescaleIntercept": intercept, "RescaleSlope": 1}
        self.metadata.setdefault(split, []).append(told | cells)
        return path / file

    def ask(self, name: str, kind: str, question: str, answer: str) -> None:
        """Add a question about a volume, as the release writes it."""
        turns = [
            {"from": "human", "value": f"<image>\n{question}<{kind}>", "type": kind},
            {"from": "gpt", "value": answer},
        ]
        split = name.split("_")[0]
        item = {"id": f"{kind}_1", "image": f"{name}.nii.gz", "conversations": turns}
        self.questions.setdefault(split, []).append(item)

    def write(self) -> CtRate:
        """Write the tables and questions."""
        for split, rows in self.reports.items():
            long = "validation" if split == "valid" else split
            self._table(f"radiology_text_reports/{long}_reports.csv", [REPORT_COLUMNS, *rows])
            head = ("VolumeName", *ABNORMALITIES)
            name = f"multi_abnormality_labels/{split}_predicted_labels.csv"
            self._table(name, [head, *self.labels[split]])
            columns = METADATA_HEAD.split(",")
            cells = [[row.get(column, "") for column in columns] for row in self.metadata[split]]
            self._table(f"metadata/{long}_metadata.csv", [columns, *cells])
        for split, items in self.questions.items():
            path = self.base / "vqa" / f"{split}_vqa.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(items), encoding="utf-8")
        return self

    def prepare(self, target: Path, **settings: Any) -> CtRateOutcome:
        """Write what was added and prepare it."""
        self.write()
        return prepare_ct_rate(self.root, target, ScanSettings(**{"shape": (6, 8, 8)} | settings))

    def _table(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(rows)
