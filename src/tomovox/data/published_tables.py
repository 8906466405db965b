"""How are the files beside the volumes written in the published layout, and evidence.csv?

Phantom and sample both come here, so that one reader serves both.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from tomovox.data.phantom_text import Question
from tomovox.schema import QUESTION_TYPES

CAP, VQA, SEG = "M3D_Cap_npy", "M3D-VQA", "M3D_Seg_npy"
REFSEG = "M3D_RefSeg_npy"
VQA_COLUMNS = (
    "Image Path", "Text", "Question Type", "Question",
    "Choice A", "Choice B", "Choice C", "Choice D", "Answer", "Answer Choice",
)  # fmt: skip
EVIDENCE_COLUMNS = ("vqa", "image", "question_type", "scope", "slices")
REFSEG_COLUMNS = ("Image", "Mask", "Mask_ID", "Question_Type", "Question", "Answer")
DESCRIPTION, REASONING = 0, 1
"""Column `Question_Type` of M3D-RefSeg."""
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


@dataclass(frozen=True, slots=True)
class Referred:
    """A question of M3D-RefSeg; its answer is the region of mask.npy that holds `number`."""

    number: int
    type: int
    question: str
    answer: str


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


def write_refseg(root: Path, cases: Iterable[tuple[str, str, Sequence[Referred]]]) -> None:
    """Write the csv files of M3D-RefSeg from (split, folder below its root, questions).

    M3D_RefSeg.csv is the training split and shares no row with M3D_RefSeg_test.csv.
    """
    rows: dict[str, list[tuple]] = {"train": [], "test": []}
    for split, folder, questions in cases:
        image, mask = (f"{REFSEG}/{folder}/{name}.npy" for name in ("ct", "mask"))
        rows[split] += [(image, mask, q.number, q.type, q.question, q.answer) for q in questions]
    for split, name in (("train", "M3D_RefSeg"), ("test", "M3D_RefSeg_test")):
        write_table(root / REFSEG / f"{name}.csv", REFSEG_COLUMNS, rows[split])


def write_refseg_case(
    root: Path, folder: str, image: str, labels: UInt8[np.ndarray, "1 D H W"]
) -> None:
    """Write the image (a path below the data root) and the labels of one case of M3D-RefSeg."""
    (root / REFSEG / folder).mkdir(parents=True)
    write_twin(root / image, root / REFSEG / folder / "ct.npy")
    np.save(root / REFSEG / folder / "mask.npy", labels, allow_pickle=False)


def write_twin(image: Path, twin: Path) -> None:
    """Give an image a second name; a copy where the file system has no hard links."""
    try:
        twin.hardlink_to(image)
    except OSError:
        shutil.copyfile(image, twin)


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
