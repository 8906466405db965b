"""What do the files beside the volumes of a phantom say? Splits, reports, questions, evidence.

Letters: D H W depth, height and width of a volume.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from tomovox.data import phantom_body as body
from tomovox.data.phantom_case import Case
from tomovox.data.phantom_refseg import refer
from tomovox.data.phantom_terms import TERMS
from tomovox.data.published_tables import (
    SEG,
    SERIES_COLUMNS,
    Referred,
    SeriesTexts,
    write_cap,
    write_json,
    write_refseg,
    write_table,
    write_vqa,
)

VERSION = 1
"""Raised whenever the same arguments would give other bytes in a file that is read as data."""

CODE = "9000"
"""The code of M3D-Seg that holds the phantom's masks; no published set has it."""

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
M3D_Seg_npy/term_dictionary.json: class -> descriptions in words of our own; none holds the last
word of its class name. The boxes of positioning are those of the masks of M3D-Seg.
"""
SHIFT_README = """
Organs lie about {shift} of the side (standard deviation per axis, cut off where an organ
would leave the body) from their usual place, the same in all series of a case. Parts of one organ
move together, aorta and spine only across their length; smaller organs cover larger ones. Side,
level and all answers follow from the moved places. A report names the organs that moved farthest,
up to four and from 0.05 of the side on, with the main way: upward is to the head, forward to the
front, leftward to the patient's left. It calls no organ normal.
"""
REFSEG_README = """
M3D_RefSeg_npy: the first series of every training and test case with a finding; ct.npy is the
volume, mask.npy holds 1 + the class number of the finding in dataset_info.json, else 0. Question
types: 0 description, 1 reasoning. M3D_RefSeg.csv is the training split alone.
"""
NATIVE_README = """
Volumes keep the slices that they were scanned with (native_slices of series.csv): D differs from
series to series. A finding fills 2-4 slices per 32.
"""
VISIBLE_README = """
A finding is visible in one series of its case only; the others, of another plane or phase, show the
organ without it. Report and questions speak of the case: the answer is right for each of its
series, also for one that does not show it. Such a series has no evidence (no slices in
evidence.csv), and the mask of the finding is empty (1, 1, 1, 1). M3D-RefSeg, if there, asks about
the series that shows the finding.
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
    organ_shift: float = 0.0
    refseg: bool = False
    native: bool = False
    visible_in: str = "all"

    def manifest(self) -> str:
        """Return the text of phantom.json; options that came later stand there only when used."""
        arguments = asdict(self)
        for later in LATER:
            if arguments[later.name] == later.default:
                del arguments[later.name]
        return json.dumps({"version": VERSION, **arguments}, indent=1) + "\n"

    def readme(self) -> str:
        """Return the text of README.txt."""
        used = (
            (self.organ_shift, SHIFT_README.format(shift=self.organ_shift)),
            (self.refseg, REFSEG_README),
            (self.native, NATIVE_README),
            (self.visible_in == "one", VISIBLE_README),
        )
        return README + "".join(text for option, text in used if option)

    def split(self, case: int) -> str:
        """Return train, val or test of a case id, which counts from 1."""
        if case <= self.test_cases:
            return "test"
        return "val" if case <= self.test_cases + self.val_cases else "train"


LATER = [f for f in fields(World) if f.name in ("organ_shift", "refseg", "native", "visible_in")]
"""Options that stand in the manifest only when used: they came after the first experiments."""


@dataclass(slots=True)
class Written:
    """What one case adds to the tables; `evidence` holds slices per series and question."""

    case: Case
    labels: list[tuple[str, str]] = field(default_factory=list)
    evidence: list[list[tuple[int, ...]]] = field(default_factory=list)


def write_tables(root: Path, world: World, written: list[Written]) -> None:
    """Write all files but volumes, masks and reports to the folder of a data set.

    They are M3D_Cap.json, the csv files of M3D-VQA, evidence.csv, the json files of M3D-Seg, those
    of M3D-RefSeg when asked for, series.csv, README.txt and, last, phantom.json. `written` is in
    the order of the cases.
    """
    texts = [s for w in written for s in _texts(world, w)]
    write_cap(root, texts)
    write_vqa(root, texts)
    _write_seg(root, world, written)
    if world.refseg:
        write_refseg(root, list(_referred(world, written)))
    write_table(
        root / "series.csv",
        SERIES_COLUMNS,
        [
            (w.case.image(k), f"{w.case.id:06d}", s.plane, s.phase, s.kernel, s.native_slices)
            for w in written
            for k, s in enumerate(w.case.series)
        ],
    )
    (root / "README.txt").write_text(world.readme(), encoding="utf-8")
    (root / "phantom.json").write_text(world.manifest(), encoding="utf-8")


def _texts(world: World, w: Written) -> Iterator[SeriesTexts]:
    """Yield what is said about each series of a case."""
    for k, (questions, yes_no) in enumerate(zip(w.case.questions, w.case.yes_no, strict=True)):
        yield SeriesTexts(
            split=world.split(w.case.id),
            image=w.case.image(k),
            report=f"{w.case.folder}/text.txt",
            questions=questions,
            evidence=w.evidence[k],
            yes_no=yes_no,
        )


def _referred(
    world: World, written: list[Written]
) -> Iterator[tuple[str, str, Sequence[Referred]]]:
    """Yield split, folder and questions of every case that M3D-RefSeg holds."""
    for w in written:
        if w.case.finding and world.split(w.case.id) != "val":
            yield world.split(w.case.id), f"{w.case.id:06d}", refer(w.case.finding)


def _write_seg(root: Path, world: World, written: list[Written]) -> None:
    splits: dict[str, list[dict[str, str]]] = {"train": [], "test": []}
    for w in written:
        for image, label in w.labels:
            splits[world.split(w.case.id)].append({"image": image, "label": label})
    write_json(root / SEG / CODE / f"{CODE}.json", splits)
    write_json(root / SEG / "dataset_info.json", {CODE: [*body.KINDS, *body.ORGANS]})
    write_json(root / SEG / "term_dictionary.json", TERMS)
