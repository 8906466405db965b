"""What do the files beside the volumes of a phantom say? Splits, reports, questions, evidence.

Letters: D H W depth, height and width of a volume.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tomovox.data import phantom_body as body
from tomovox.data.phantom_case import Case
from tomovox.data.phantom_text import Question
from tomovox.schema import QUESTION_TYPES

VERSION = 1
"""Raised whenever the same arguments would give other bytes."""

CAP, VQA, SEG, CODE = "M3D_Cap_npy", "M3D-VQA", "M3D_Seg_npy", "9000"
VQA_COLUMNS = (
    "Image Path", "Text", "Question Type", "Question",
    "Choice A", "Choice B", "Choice C", "Choice D", "Answer", "Answer Choice",
)  # fmt: skip
EVIDENCE_COLUMNS = ("vqa", "image", "question_type", "scope", "slices")
SERIES_COLUMNS = ("image", "case", "plane", "phase", "kernel", "native_slices")

README = """This data set is synthetic: ellipsoids, noise and a small grammar. It shows no patient.

Layout: M3D-Cap, M3D-VQA and M3D-Seg as published by M3D (BAAI-DCAI), volumes uint8 (1, D, H, W),
0 to 255 for -200 to 400 HU. M3D-Seg code 9000 holds the masks of the training and test cases.
Splits are by case: the first ids are test, the next validation, the rest train.
Each axis of a volume is the whole extent of the patient; axial W and coronal W run from the
patient's right to the left, axial H from front to back, coronal and sagittal H from head to feet.
A finding is flattened along the slice axis of every series to 2-4 of 32 slices, so that every
plane localises it equally. The options "oblique", "both sides" and "whole length" are never right.
evidence.csv: vqa is <split>/<row of the csv, from 0>; slices are indices of D.
series.csv: what each series is. phantom.json: the arguments that give these bytes again.
"""


@dataclass(frozen=True, slots=True)
class World:
    """The arguments that decide every byte; they are phantom.json."""

    cases: int
    seed: int
    shape: tuple[int, int, int]
    difficulty: str
    test_cases: int
    val_cases: int
    series: int
    organ_masks: bool

    def manifest(self) -> str:
        """Return the text of phantom.json."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1) + "\n"

    def split(self, case: int) -> str:
        """Return train, val or test of a case id, which counts from 1."""
        if case <= self.test_cases:
            return "test"
        return "val" if case <= self.test_cases + self.val_cases else "train"


@dataclass(slots=True)
class Written:
    """What one case adds to the tables; `evidence` holds slices per series and question."""

    case: Case
    labels: list[tuple[str, str]] = field(default_factory=list)
    evidence: list[list[tuple[int, ...]]] = field(default_factory=list)


def write_tables(root: Path, world: World, written: list[Written]) -> None:
    """Write all files but volumes, masks and reports to the folder of a data set.

    They are M3D_Cap.json, the csv files of M3D-VQA, evidence.csv, the json files of M3D-Seg,
    series.csv, README.txt and, last, phantom.json. `written` is in the order of the cases.
    """
    _write_cap(root, world, written)
    _write_vqa(root, world, written)
    _write_seg(root, world, written)
    _write_table(
        root / "series.csv",
        SERIES_COLUMNS,
        [
            (w.case.image(k), f"{w.case.id:06d}", s.plane, s.phase, s.kernel, s.native_slices)
            for w in written
            for k, s in enumerate(w.case.series)
        ],
    )
    (root / "README.txt").write_text(README, encoding="utf-8")
    (root / "phantom.json").write_text(world.manifest(), encoding="utf-8")


def _write_cap(root: Path, world: World, written: list[Written]) -> None:
    names = {"train": "train", "val": "validation", "test": "test"}
    splits: dict[str, list[dict[str, str]]] = {name: [] for name in names.values()}
    for w in written:
        for index in range(len(w.case.series)):
            entry = {"image": w.case.image(index), "text": f"{w.case.folder}/text.txt"}
            splits[names[world.split(w.case.id)]].append(entry)
    pools = {"test1k": 1000, "test500": 500, "test100": 100}
    splits |= {name: splits["test"][:size] for name, size in pools.items()}
    _write_json(root / CAP / "M3D_Cap.json", splits)


def _write_vqa(root: Path, world: World, written: list[Written]) -> None:
    rows: dict[str, list[tuple]] = {"train": [], "val": [], "test": [], "yn_train": []}
    evidence = []
    for w in written:
        split = world.split(w.case.id)
        for index, questions in enumerate(w.case.questions):
            image, report = w.case.image(index), f"{w.case.folder}/text.txt"
            for question, slices in zip(questions, w.evidence[index], strict=True):
                scope = "slice" if question.local else "volume"
                name = f"{split}/{len(rows[split]):06d}"
                kind = QUESTION_TYPES[question.type]
                evidence.append((name, image, kind, scope, " ".join(map(str, slices))))
                rows[split].append(_vqa_row(image, report, question))
            if split == "train":
                rows["yn_train"] += [_vqa_row(image, report, q) for q in w.case.yes_no[index]]
    rows["test5k"] = rows["test"][:5000]
    for name, lines in rows.items():
        _write_table(root / VQA / f"M3D_VQA_{name}.csv", VQA_COLUMNS, lines)
    _write_table(root / "evidence.csv", EVIDENCE_COLUMNS, evidence)


def _vqa_row(image: str, report: str, q: Question) -> tuple:
    return (image, report, q.type, q.text, *q.choices, q.answer, q.letter)


def _write_seg(root: Path, world: World, written: list[Written]) -> None:
    splits: dict[str, list[dict[str, str]]] = {"train": [], "test": []}
    for w in written:
        for image, label in w.labels:
            splits[world.split(w.case.id)].append({"image": image, "label": label})
    _write_json(root / SEG / CODE / f"{CODE}.json", splits)
    _write_json(root / SEG / "dataset_info.json", {CODE: [*body.KINDS, *body.ORGANS]})


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _write_table(path: Path, columns: tuple[str, ...], rows: list[tuple]) -> None:
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([columns, *rows])
    path.write_text(table.getvalue(), encoding="utf-8", newline="\n")
