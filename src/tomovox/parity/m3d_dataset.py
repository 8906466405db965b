"""Are prompts, ids, labels and boxes those of M3D? A small data set in its layout, item by item."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from types import UnionType
from typing import Any

import torch

from tomovox.boxes import Box, box_in_text, box_of_mask, enclosing_iou
from tomovox.data.published_prompts import M3DTemplate
from tomovox.data.records import read_records
from tomovox.data.volumes import read_mask
from tomovox.parity.cases import Case
from tomovox.parity.comparison import Pair
from tomovox.schema import QUESTION_TYPES, Record, Task

DATASET = "dataset"
"""The folder of a case that is a data root."""

TASKS = {"vqa_closed": Task.VQA_CLOSED, "vqa_open": Task.VQA_OPEN, "caption": Task.REPORT}
TYPE_NUMBERS = {name: number for number, name in QUESTION_TYPES.items()}
CAPTION_TYPE = "Caption"
"""What the release returns as question type of a caption."""


def dataset_pairs(case: Case) -> Iterator[Pair]:
    """Yield texts and rows of all items, boxes of masks and texts, and overlaps of boxes.

    An output without numbers counts, item by item, 1 where ours differs and 0 where it does not.
    """
    root = case.file.parent / DATASET
    for name in case.fact(dict, "cases"):
        yield from _item_pairs(case, name, root)
    yield _mask_pair(case, root)
    overlaps = case.fact(list, "iou")
    ones, others = (_boxes(case, _column(case, "iou", overlaps, key, list)) for key in "ab")
    ours = [enclosing_iou(a, b) for a, b in zip(ones, others, strict=True)]
    recorded = _column(case, "iou", overlaps, "m3d_iou", int | float)
    yield Pair("iou", _doubles(ours), _doubles(recorded))
    written = case.fact(list, "extract_box")
    found = [box_in_text(text) for text in _column(case, "extract_box", written, "text", str)]
    boxes = _column(case, "extract_box", written, "box", list | None)
    yield Pair("extract_box", _table(found), _table(_boxes(case, boxes)))


def _item_pairs(case: Case, name: str, root: Path) -> Iterator[Pair]:
    """Yield what the items of one task, split and tokenizer ("vqa_open_test/pad_own") hold."""
    items = case.fact(list, "cases", name)
    view, _, tokenizer = name.partition("/")
    task, _, split = view.rpartition("_")
    if task not in TASKS:
        raise case.fault(f"cases names task {task!r}, known: {', '.join(TASKS)}")
    template = M3DTemplate(
        str((case.file.parent / f"tokenizer_{tokenizer}").resolve()),
        case.count("settings", "proj_out_num"),
        case.count("settings", "max_length"),
    )
    records = [template.adapt(record) for record in read_records(root, TASKS[task], split)]
    if TASKS[task] == Task.REPORT:
        prompt = case.fact(str, "settings", "caption_prompt")
        records = [replace(record, question=prompt) for record in records]
    where = f"cases.{name}"
    texts: dict[str, list[Any]] = {
        "question": [template.question_text(record) for record in records],
        "answer": [record.reference for record in records],
        "question_type": [_type_of(record) for record in records],
    }
    if TASKS[task] != Task.REPORT:  # an open question is a view of a closed one, which has letters
        closed = read_records(root, Task.VQA_CLOSED, split)
        texts["answer_choice"] = [record.reference[:1] for record in closed]
    for key, ours in texts.items():
        recorded = _column(case, where, items, key, str | int)
        differ = [float(a != b) for a, b in zip_longest(ours, recorded)]
        yield Pair(f"{name} {key}", _doubles(differ), torch.zeros(len(differ)))
    rows = zip(*(template.released_row(record) for record in records), strict=True)
    for key, numbers in zip(("input_id", "attention_mask", "label"), rows, strict=True):
        expected = _numbers(case, f"{where} {key}", _column(case, where, items, key, list))
        yield Pair(f"{name} {key}", torch.stack(numbers), expected)


def _mask_pair(case: Case, root: Path) -> Pair:
    """Return the boxes of all masks below the data root; an empty mask is not recorded."""
    recorded = case.fact(dict, "mask2box")
    files = {f"{file.parent.name}/{file.stem}": file for file in sorted(root.rglob("mask_*.npy"))}
    if strange := recorded.keys() - files.keys():
        raise case.fault(f"mask2box names masks that are not there: {', '.join(sorted(strange))}")
    ours = []
    for name, file in files.items():
        relative = file.relative_to(root).as_posix()
        ours.append(box_of_mask(read_mask(root, relative, None, name)[0]))
    return Pair("mask2box", _table(ours), _table(_boxes(case, [recorded.get(n) for n in files])))


def _type_of(record: Record) -> str | int:
    return CAPTION_TYPE if record.task == Task.REPORT else TYPE_NUMBERS[record.question_type]


def _column(case: Case, where: str, rows: list[Any], key: str, kind: type | UnionType) -> list[Any]:
    """Return what all rows hold under `key`; TomovoxError unless each is an object with it."""
    if not all(isinstance(row, dict) and isinstance(row.get(key, ...), kind) for row in rows):
        raise case.fault(f"{where} has a row whose {key} is missing or of another type")
    return [row[key] for row in rows]


def _numbers(case: Case, where: str, rows: list[Any]) -> torch.Tensor:
    """Return rows of whole numbers as one tensor; TomovoxError unless they are as long."""
    try:
        return torch.tensor(rows, dtype=torch.long)
    except (ValueError, TypeError, RuntimeError):
        raise case.fault(f"{where}: not rows of whole numbers of one length") from None


def _boxes(case: Case, rows: Sequence[Any]) -> list[Any]:
    """Return the boxes as they are; TomovoxError unless each is None or six numbers."""
    for row in rows:
        if row is not None and not (
            isinstance(row, list) and len(row) == 6 and all(isinstance(n, int | float) for n in row)
        ):
            raise case.fault(f"{row!r} is no box of six numbers")
    return list(rows)


def _table(boxes: Sequence[Box | None]) -> torch.Tensor:
    """Return a row per box: 1 and the box, or zeros where there is none."""
    return _doubles([(0.0,) * 7 if box is None else (1.0, *box) for box in boxes])


def _doubles(values: Sequence[Any]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)
