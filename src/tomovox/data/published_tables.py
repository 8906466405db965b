"""How are the files beside the volumes written in the published layout, and evidence.csv?

Phantom and sample both come here, so that one reader serves both.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tomovox.data.phantom_text import Question
from tomovox.schema import QUESTION_TYPES

CAP, VQA, SEG = "M3D_Cap_npy", "M3D-VQA", "M3D_Seg_npy"
VQA_COLUMNS = (
    "Image Path", "Text", "Question Type", "Question",
    "Choice A", "Choice B", "Choice C", "Choice D", "Answer", "Answer Choice",
)  # fmt: skip
EVIDENCE_COLUMNS = ("vqa", "image", "question_type", "scope", "slices")
SERIES_COLUMNS = ("image", "case", "plane", "phase", "kernel", "native_slices")


@dataclass(slots=True)
class SeriesTexts:
    """A series and what is asked about it; `split` is train, val or test.

    `image` and `report` are paths below M3D_Cap_npy's root. `evidence` holds the slices that answer
    each of `questions`; `yes_no` are questions of the training split only.
    """

    split: str
    image: str
    report: str
    questions: Sequence[Question]
    evidence: Sequence[tuple[int, ...]]
    yes_no: Sequence[Question]


def write_cap(root: Path, series: Iterable[SeriesTexts]) -> None:
    """Write M3D_Cap.json: image and report of each series by split, and the pools of the test."""
    names = {"train": "train", "val": "validation", "test": "test"}
    splits: dict[str, list[dict[str, str]]] = {name: [] for name in names.values()}
    for s in series:
        splits[names[s.split]].append({"image": s.image, "text": s.report})
    pools = {"test1k": 1000, "test500": 500, "test100": 100}
    splits |= {name: splits["test"][:size] for name, size in pools.items()}
    write_json(root / CAP / "M3D_Cap.json", splits)


def write_vqa(root: Path, series: Iterable[SeriesTexts]) -> None:
    """Write the csv files of M3D-VQA, and evidence.csv: the slices that answer each question."""
    rows: dict[str, list[tuple]] = {"train": [], "val": [], "test": [], "yn_train": []}
    evidence: list[tuple] = []
    for s in series:
        for question, slices in zip(s.questions, s.evidence, strict=True):
            name = f"{s.split}/{len(rows[s.split]):06d}"
            scope = "slice" if question.local else "volume"
            listed = " ".join(map(str, slices))
            evidence.append((name, s.image, QUESTION_TYPES[question.type], scope, listed))
            rows[s.split].append(_vqa_row(s, question))
        if s.split == "train":
            rows["yn_train"] += [_vqa_row(s, question) for question in s.yes_no]
    rows["test5k"] = rows["test"][:5000]
    for name, lines in rows.items():
        write_table(root / VQA / f"M3D_VQA_{name}.csv", VQA_COLUMNS, lines)
    write_table(root / "evidence.csv", EVIDENCE_COLUMNS, evidence)


def _vqa_row(s: SeriesTexts, q: Question) -> tuple:
    return (s.image, s.report, q.type, q.text, *q.choices, q.answer, q.letter)


def write_json(path: Path, content: object) -> None:
    """Write a value as indented JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    """Write a csv file with its header and "\\n" line ends."""
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([columns, *rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table.getvalue(), encoding="utf-8", newline="\n")
