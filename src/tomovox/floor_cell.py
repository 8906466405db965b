"""How does the row of a floor come about? From the training records, without any training."""

from functools import partial
from pathlib import Path

import numpy as np

from tomovox.boxes import box_to_text
from tomovox.cell import Cell
from tomovox.configuration import instantiate
from tomovox.data.asked import FROM_MASKS, REPORTS
from tomovox.data.datamodule import M3DDataModule
from tomovox.data.dataset import DRAWN, about_first, group_by_study, without_unreadable
from tomovox.data.mean_place import MeanPlace
from tomovox.data.nearest_report import nearest_reports
from tomovox.data.tokenizer import SEG
from tomovox.data.volumes import read_target, read_volume
from tomovox.files import append_lines
from tomovox.left_out import LEFT_OUT, write_left_out
from tomovox.metrics.masks import write_mask_file
from tomovox.models.floors import MajorityAnswer
from tomovox.predict import PARTIAL, finish, list_left_out, mask_name
from tomovox.progress import say
from tomovox.schema import Prediction, Record, Task, TomovoxError, to_line

FLOORS = ("majority", "mean_place", "nearest_report")
"""The most frequent training answer; the mean box and mask of each class in training; the report
of the training volume that looks most alike. Only the last one looks at images."""


def make_floor(cell: Cell) -> None:
    """Answer every record that the floor has an answer to."""
    data: M3DDataModule = instantiate(cell.config, cell.name).datamodule
    data.setup("predict")
    list_left_out(cell.folder, data)
    records = [record for study in data.predict_studies() for record in study]
    (cell.folder / PARTIAL).unlink(missing_ok=True)
    if cell.model == "majority":
        floor = MajorityAnswer(data.train_records())
        answers = [Prediction.of(record, floor.answer(record)) for record in records]
    elif cell.model == "mean_place":
        records = [r for r in records if r.task in DRAWN or r.task == Task.REC]
        answers = _mean_places(cell.folder, data, records)
    else:
        records = [r for r in records if r.task in REPORTS]
        answers = _nearest_reports(cell, data, records)
    append_lines(cell.folder / PARTIAL, [to_line(answer) for answer in answers])
    finish(cell.folder, records)
    say(f"{cell.name} predict: {len(records)} records")


def _nearest_reports(cell: Cell, data: M3DDataModule, records: list[Record]) -> list[Prediction]:
    """Return for each record the report of the training volume that looks most like its own."""
    studies = group_by_study(about_first(data.train_records(), data.limit))
    reported = [found for s in studies if (found := [r for r in s if r.task in REPORTS])]
    if data.on_bad_volume == "list":
        reported, unread = without_unreadable(data.root, reported)
        write_left_out(cell.folder, [("train", *row) for row in unread], ["train"])
        if unread:
            say(f"{cell.name}: {len(unread)} training reports left out; see {LEFT_OUT}")
    if not records or not reported:
        raise TomovoxError(
            "floor nearest_report: there is no report to answer or none in training to answer "
            "with; add report to data.tasks, or take the floor out"
        )
    reports = nearest_reports(
        data.root,
        (record for study in reported for record in study),
        {record.volumes[0]: record.id for record in records},
        partial(_say_quarter, cell.name),
        max(1, data.num_workers),
    )
    return [Prediction.of(record, reports[record.volumes[0]]) for record in records]


def _say_quarter(name: str, done: int, total: int) -> None:
    """Print a line at each quarter of the volumes, as training does of its steps."""
    if total >= 40 and done % (total // 4) == 0 and done < total:
        say(f"  {name}: volume {done} of {total}")


def _mean_places(folder: Path, data: M3DDataModule, records: list[Record]) -> list[Prediction]:
    """Return mean boxes and masks of the records' classes; masks lie in files of the folder."""
    training = [r for r in data.train_records() if r.task in FROM_MASKS]
    if not records or not training:
        raise TomovoxError(
            "floor mean_place: no task has masks to average; add rec, seg_semantic or "
            "seg_referring to data.tasks, or take the floor out"
        )
    first = read_volume(data.root, training[0].volumes[0], training[0].id)
    mean = MeanPlace(data.root, training, first.shape[1:])
    answers = []
    for record in records:
        if record.task == Task.REC:
            box = mean.box(record)
            answers.append(Prediction.of(record, box_to_text(box) if box else ""))
            continue
        answer = Prediction.of(record, SEG)
        p, drawn = mean.mask(record)
        true = read_target(data.root, record.mask, record.mask_label, (1, *p.shape), record.id)[0]
        answer.soft = tuple(round(float(s), 4) for s in (p.sum(), true.sum(), p[true].sum()))
        answer.mask = mask_name(record.id)
        write_mask_file(folder / answer.mask, np.asarray(drawn), true)
        answers.append(answer)
    return answers
