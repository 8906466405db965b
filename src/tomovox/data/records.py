"""Which questions does a split of the M3D data, or of CT-RATE, ask, and what is right?

A row of a published file becomes one Record, in file order; a row that cannot is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from tomovox.data.ct_rate_records import read_ct_rate
from tomovox.data.faults import DataFault, Faults
from tomovox.data.mask_boxes import Progress
from tomovox.data.published_files import (
    check_width,
    choices_text,
    csv_rows,
    read_json,
    read_text,
    records_of_rows,
)
from tomovox.data.question_templates import QuestionTemplates, chosen
from tomovox.data.root_layout import CT_RATE, layout_of
from tomovox.data.seg_records import read_seg
from tomovox.data.volumes import resolve_inside
from tomovox.schema import LETTERS, QUESTION_TYPES, Record, Task, TomovoxError

CAP_FILE = "M3D_Cap_npy/M3D_Cap.json"
VQA_FILE = "M3D-VQA/M3D_VQA_{split}.csv"
CAP_SPLITS = ("train", "validation", "val", "test", "test1k", "test500", "test100")
VQA_SPLITS = ("train", "val", "test", "test5k", "yn_train")
PARENTS = {
    **{"validation": "val", "test1k": "test", "test500": "test", "test100": "test"},
    **{"test5k": "test", "yn_train": "train"},
}
"""Published splits that are another one's rows, and the one whose patients they may share."""

OPEN_COLUMNS = ("Image Path", "Text", "Question Type", "Question", "Answer")
CHOICE_COLUMNS = tuple(f"Choice {letter}" for letter in LETTERS)
CLOSED_COLUMNS = (*OPEN_COLUMNS, *CHOICE_COLUMNS, "Answer Choice")

REPORT_QUESTIONS = (
    "What are the findings in this scan?",
    "Write the findings section for this examination.",
    "Report what this volume shows.",
    "Describe the image as a radiologist would.",
    "Please dictate a report of this study.",
    "Which normal and abnormal findings do you see here?",
    "Go through the scan and state your findings.",
    "Give the radiology report that belongs to this image.",
)
"""Ways to ask for a report, in our own words; the record id decides which one is used."""

CASE_QUESTIONS = (
    "What are the findings of this examination, all series together?",
    "Write the findings section for this case from all of its series.",
    "Report what the series of this study show.",
    "Go through every series of this case and state your findings.",
)
"""The same for the report of a case, which all its series show."""

QUESTIONS = {Task.REPORT: REPORT_QUESTIONS, Task.CASE_REPORT: CASE_QUESTIONS}


def read_records(
    root: Path,
    task: Task,
    split: str,
    faults: Faults | None = None,
    templates: QuestionTemplates | None = None,
    progress: Progress | None = None,
) -> list[Record]:
    """Return the records of a task and split of M3D-Data, or of a prepared CT-RATE, in file order.

    'val' and 'validation' mean the same split, written 'val' in ids. `templates` word what the
    files do not; without them reports are asked for by REPORT_QUESTIONS and structures by
    Tomovox's own lists. `progress` is told of masks that are read for the first time (see
    `mask_boxes`). Raises TomovoxError, one line with file and row, when anything is missing or
    malformed: no row is ever dropped, but where `faults` collects, a bad row is noted there and the
    next one read.
    """
    questions = QUESTIONS.get(task, ("",))
    if templates and task in QUESTIONS:
        questions = templates["caption"]
    if layout_of(root) == CT_RATE:
        return read_ct_rate(root, task, split, faults, questions)
    if task in (Task.VQA_CLOSED, Task.VQA_OPEN):
        return read_vqa(root, split, task, faults)
    if task == Task.CASE_REPORT:
        return read_case_reports(root, split, faults, questions)
    if task in (Task.REPORT, Task.RETRIEVAL):
        return read_cap(root, split, faults, task, questions)
    return read_seg(root, task, split, faults, templates, progress)


def read_cap(
    root: Path,
    split: str,
    faults: Faults | None = None,
    task: Task = Task.REPORT,
    questions: Sequence[str] = REPORT_QUESTIONS,
) -> list[Record]:
    """Return a record for each volume of a split of M3D-Cap; its reference is the report.

    The record's id decides which of `questions` asks for it. Splits of the release: train,
    validation, test, test1k, test500, test100. A report keeps its line breaks, as released. Raises
    TomovoxError as `read_records`.
    """
    root = Path(root)
    path = root / CAP_FILE
    splits = cap_splits(root)
    key = "validation" if split == "val" and "val" not in splits else split
    key = "val" if split == "validation" and "validation" not in splits else key
    if key not in splits:
        raise DataFault(str(path), f"no split {split!r}", f"known: {', '.join(splits)}")
    rows = splits[key]
    if not isinstance(rows, list) or not rows:
        raise DataFault(str(path), f"split {key!r} lists no volumes", "download the file again")
    split, reports = _canonical(split), _Reports(root)
    return records_of_rows(
        rows, lambda row, n: _cap_record(row, n, split, task, questions, reports), faults
    )


def read_case_reports(
    root: Path,
    split: str,
    faults: Faults | None = None,
    questions: Sequence[str] = CASE_QUESTIONS,
) -> list[Record]:
    """Return a record for each case of a split of M3D-Cap, all its series in the listed order.

    A small pool such as test1k has the cases of its rows, with every series that the split it is
    cut from lists. Raises TomovoxError as `read_records`, and for a case with two reports.
    """
    faults = faults or Faults()
    rows = read_cap(root, split, faults, Task.CASE_REPORT, questions=("",))
    series: dict[str, list[str]] = {}
    for volume in [*listed_series(root, split), *(row.volumes[0] for row in rows)]:
        series.setdefault(case_of(volume), []).append(volume)
    first: dict[str, Record] = {}
    for row in rows:
        if first.setdefault(row.case, row).reference != row.reference:
            what = f"the report is not that of {first[row.case].volumes[0]}, of the same case"
            place = f"{Path(root) / CAP_FILE}: {row.volumes[0]}"
            faults.add(DataFault(place, what, "give the series of a case one report"))
    names = (f"{Task.CASE_REPORT}/{_canonical(split)}/{n:06d}" for n in range(len(first)))
    return [
        replace(
            row,
            id=name,
            volumes=tuple(dict.fromkeys(series[case])),
            question=chosen(name, questions)[0],
            context=" ".join(row.reference.split()),
        )
        for name, (case, row) in zip(names, first.items(), strict=True)
    ]


def listed_series(root: Path, split: str) -> list[str]:
    """Return the series that M3D-Cap lists for a split, or for the split that a pool is cut from.

    They stand in the order of the file; entries that name no image are passed over.
    """
    rows = [
        row
        for name, listed in cap_splits(root).items()
        if PARENTS.get(name, name) == PARENTS.get(split, split) and isinstance(listed, list)
        for row in listed
    ]
    images = [row.get("image") for row in rows if isinstance(row, dict)]
    return [str(PurePosixPath(image)) for image in images if isinstance(image, str)]


def cap_splits(root: Path) -> dict[str, Any]:
    """Return what M3D_Cap.json lists for each split; TomovoxError when it is no such file."""
    path = root / CAP_FILE
    splits = read_json(path)
    if not isinstance(splits, dict):
        raise DataFault(str(path), "not an object of splits", "download the file again")
    return splits


def read_vqa(root: Path, split: str, task: Task, faults: Faults | None = None) -> list[Record]:
    """Return the records of a split of M3D-VQA, seen as closed or as open questions.

    Cells are the text of the file: a choice "NA" or "None" stays that word. Splits: train, val,
    test, test5k, yn_train (yes/no questions, open only). A missing report leaves only the series
    name as context. Raises TomovoxError as `read_records`.
    """
    split = _canonical(split)
    if split not in VQA_SPLITS:
        raise TomovoxError(f"M3D-VQA has no split {split!r}; known: {', '.join(VQA_SPLITS)}")
    if split == "yn_train" and task == Task.VQA_CLOSED:
        raise TomovoxError("split 'yn_train' has no choices to pick from; read it as vqa_open")
    root = Path(root)
    path = root / VQA_FILE.format(split=split)
    columns = CLOSED_COLUMNS if task == Task.VQA_CLOSED else OPEN_COLUMNS
    reports = _Reports(root, optional=True)
    noted = len(faults.found) if faults else 0
    records = records_of_rows(
        csv_rows(path, columns),
        lambda row, n: _vqa_record(row, n, split, task, path, reports),
        faults,
    )
    if not records and (faults is None or len(faults.found) == noted):
        raise DataFault(str(path), "holds no questions", "download the file again")
    return records


def case_of(image: str) -> str:
    """Return the patient study of an image path: "ct_case/000123", or else its folder."""
    parts = PurePosixPath(image).parts
    for place, part in enumerate(parts[:-2]):
        if part in ("ct_case", "ct_quizze"):
            return f"{part}/{parts[place + 1]}"
    return str(PurePosixPath(image).parent)


def _canonical(split: str) -> str:
    return "val" if split == "validation" else split


class _Reports:
    """The reports of a data root, each read once, and the contexts made of them."""

    def __init__(self, root: Path, optional: bool = False) -> None:
        self.root, self.optional = root, optional
        self._reports: dict[str, str] = {}
        self._contexts: dict[tuple[str, str], str] = {}

    def text(self, relative: str, place: str) -> str:
        """Return a report as it stands; an optional one that does not exist is empty."""
        if relative not in self._reports:
            path = resolve_inside(self.root, relative, place)
            absent = self.optional and not path.exists()
            self._reports[relative] = "" if absent else read_text(path, f" (named by {place})")
        return self._reports[relative]

    def context(self, image: str, relative: str, place: str) -> str:
        """Return series name and report on one line; rows of one image share the string."""
        key = (image, relative)
        if key not in self._contexts:
            series = " ".join(PurePosixPath(image).stem.replace("_", " ").split())
            report = " ".join(self.text(relative, place).split()) if relative else ""
            self._contexts[key] = f"{series}. {report}" if report else series
        return self._contexts[key]


def _cap_record(
    row: object, number: int, split: str, task: Task, questions: Sequence[str], reports: _Reports
) -> Record:
    name = f"{task}/{split}/{number:06d}"
    place = f"{reports.root / CAP_FILE}: row {number} ({name})"
    image = row.get("image") if isinstance(row, dict) else None
    text = row.get("text") if isinstance(row, dict) else None
    if not (isinstance(image, str) and image and isinstance(text, str) and text):
        raise DataFault(place, 'needs "image" and "text", two paths', "mend the entry")
    image = _image_path(image, place, reports.root)
    return Record(
        id=name,
        task=task,
        split=split,
        case=case_of(image),
        volumes=(image,),
        question=chosen(name, questions)[0],
        reference=reports.text(text, place),
        context=reports.context(image, text, place),
    )


def _vqa_record(
    row: dict[str, str], number: int, split: str, task: Task, path: Path, reports: _Reports
) -> Record:
    name = f"{task}/{split}/{number:06d}"
    place = f"{path}: row {number} ({name})"
    _check_cells(row, task, place)
    image = _image_path(row["Image Path"], place, reports.root)
    question, reference = row["Question"], row["Answer"]
    choices: tuple[str, ...] = ()
    if task == Task.VQA_CLOSED:
        choices = tuple(row[column] for column in CHOICE_COLUMNS)
        question += choices_text(choices)
        reference = f"{row['Answer Choice']}. {reference}"
    return Record(
        id=name,
        task=task,
        split=split,
        case=case_of(image),
        volumes=(image,),
        question=question,
        reference=reference,
        question_type=QUESTION_TYPES[int(row["Question Type"])],
        choices=choices,
        context=reports.context(image, row["Text"], place),
    )


def _check_cells(row: dict[str, str], task: Task, place: str) -> None:
    """Raise TomovoxError for a row that lacks cells or whose type or letter is none of ours."""
    check_width(row, place)
    for column in ("Image Path", "Question"):
        if not row[column].strip():
            raise DataFault(place, f"column {column!r} is empty", "fill it in")
    kind = row["Question Type"]
    if kind not in {str(number) for number in QUESTION_TYPES}:
        raise DataFault(place, f"Question Type {kind!r} is not a number from 1 to 5", "mend it")
    letter = row.get("Answer Choice", "")
    if task == Task.VQA_CLOSED and (len(letter) != 1 or letter not in LETTERS):
        raise DataFault(place, f"Answer Choice {letter!r} is not A, B, C or D", "mend it")


def _image_path(image: str, place: str, root: Path) -> str:
    resolve_inside(root, image, place)
    return str(PurePosixPath(image))  # "./a" and "a" are one volume, so one study
