"""Writes tiny data roots in the layout of the M3D release, on the fly."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

COLUMNS = [
    "Image Path", "Text", "Question Type", "Question",
    "Choice A", "Choice B", "Choice C", "Choice D", "Answer", "Answer Choice",
]  # fmt: skip

QUESTIONS = [
    ("1", "Which plane is it?", ("Axial", "Coronal", "Sagittal", "Oblique"), "A"),
    ("2", "Which phase is it?", ("Plain", "Arterial", "Portal", "NA"), "B"),
    ("4", "What is abnormal, if anything?", ("Cyst", "Mass", "Stone", "None"), "D"),
]


class M3DFolder:
    """A data root that a test fills with volumes, reports and questions."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def image(self, case: int, series: str = "Axial_C__arterial_phase", kind: str = "ct_case"):
        return f"M3D_Cap_npy/{kind}/{case:06d}/{series}.npy"

    def text(self, case: int) -> str:
        return f"M3D_Cap_npy/ct_case/{case:06d}/text.txt"

    def write_volume(self, relative: str, array: np.ndarray | None = None, seed: int = 0) -> str:
        path = self.root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        if array is None:
            array = np.random.default_rng(seed).random((1, 2, 4, 4), dtype=np.float32)
        np.save(path, array)
        return relative

    def write_text(self, relative: str, content: str) -> str:
        path = self.root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return relative

    def row(self, case: int, kind: int = 0, **cells: str) -> dict[str, str]:
        number, question, choices, letter = QUESTIONS[kind]
        row = dict(zip(COLUMNS[4:8], choices, strict=True))
        row |= {"Image Path": self.image(case), "Text": self.text(case), "Question Type": number}
        row |= {"Question": question, "Answer": choices["ABCD".index(letter)]}
        return row | {"Answer Choice": letter} | cells

    def write_vqa(self, split: str, rows: list[dict[str, str]], columns=COLUMNS) -> Path:
        path = self.root / "M3D-VQA" / f"M3D_VQA_{split}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        return path

    def write_cap(self, splits: object) -> Path:
        path = self.root / "M3D_Cap_npy" / "M3D_Cap.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(splits), encoding="utf-8")
        return path

    def fill(self, **cases: int) -> M3DFolder:
        """Write splits of so many one-volume studies, with three questions and a report each."""
        cap, first = {}, 1
        for split, count in cases.items():
            studies = range(first, first + count)
            first += count
            for case in studies:
                self.write_volume(self.image(case), seed=case)
                self.write_text(self.text(case), f"Finding number {case}.\nNo fluid.")
            name = "validation" if split == "val" else split
            cap[name] = [{"image": self.image(c), "text": self.text(c)} for c in studies]
            self.write_vqa(split, [self.row(c, kind) for c in studies for kind in range(3)])
        self.write_cap(cap)
        return self


@pytest.fixture
def m3d(tmp_path: Path) -> M3DFolder:
    return M3DFolder(tmp_path)
