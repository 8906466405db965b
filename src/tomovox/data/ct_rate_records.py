"""Which questions does a split of CT-RATE ask, and what are the right answers?

A report is asked for once per scan; questions name a volume. The study of a record is its scan: all
reconstructions, the one that is asked about first. The case is the patient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from tomovox.data.ct_rate import (
    DATA_SET,
    LABELS,
    METADATA,
    QUESTIONS,
    Name,
    Scan,
    Tree,
    name_of,
    path_of,
    published_split,
    read_labels,
    read_scanned,
    read_scans,
    tree_of,
)
from tomovox.data.ct_rate_questions import (
    ALL_FORMS,
    ONE_FORM,
    Asked,
    asked_in,
    items_of,
    right_choice,
    split_choices,
)
from tomovox.data.faults import DataFault, Faults
from tomovox.data.published_files import choices_text
from tomovox.data.question_templates import chosen
from tomovox.schema import Record, Task, TomovoxError

TASKS = (Task.REPORT, Task.CASE_REPORT, Task.RETRIEVAL, Task.VQA_CLOSED, Task.VQA_OPEN)
FORMS_OF = {Task.VQA_CLOSED: ("choice",), Task.VQA_OPEN: ("short", "long")}
SPLIT_OF = {"train": "train", "valid": "test"}
"""Published split -> its name in records: what papers report on is a test split."""

PREPARED = "prepare.json"


def read_ct_rate(
    root: Path,
    task: Task,
    split: str,
    faults: Faults | None = None,
    questions: Sequence[str] = ("",),
) -> list[Record]:
    """Return the records of a task and split of a prepared CT-RATE, in file order.

    The record's id decides which of `questions` asks for a report; the report of a scan is that of
    a case. A closed question gets the letters A to D that M3D-VQA has; open ones are of question
    type short or long. Raises TomovoxError, one line with file and row, for anything missing or
    malformed: no row is ever dropped, but where `faults` collects, a bad row is noted there and the
    next one read.
    """
    if task not in TASKS:
        raise TomovoxError(
            f"{root}: {DATA_SET} asks no {task}; it asks {', '.join(TASKS)}: leave the task out"
        )
    source = Source.of(root, published_split(split))
    if task in FORMS_OF:
        return list(_questions(source, task, faults or Faults()))
    scans = read_scans(source.tree, source.split, faults)
    return [source.report(scan, task, questions) for scan in scans]


class Source:
    """A published split of a prepared tree, whose tables are read once, when they are needed."""

    def __init__(self, tree: Tree, split: str) -> None:
        self.tree, self.split = tree, split

    @classmethod
    def of(cls, root: Path, split: str) -> Source:
        """Return a split of a data root; TomovoxError for one that is not prepared yet."""
        tree = tree_of(root)
        if tree is None:
            raise TomovoxError(f"{root}: no {DATA_SET}; give the folder that holds its tables")
        if not (tree.root / PREPARED).is_file():
            raw = next((tree.root / tree.volumes(split)).rglob("*.nii.gz"), None)
            if raw is not None:
                raise TomovoxError(
                    f"{root}: holds volumes as downloaded ({raw.name}); run tomovox data prepare "
                    f"{root} DIR and give DIR"
                )
        return cls(tree, split)

    @cached_property
    def studies(self) -> dict[str, tuple[str, str, tuple[str, ...]]]:
        """Each volume that has a report: patient, what that says, paths of its scan, own first.

        A million questions share these: a text of their own each would fill the memory.
        """
        found = {}
        for scan in read_scans(self.tree, self.split):
            context = scan.context
            for volume in scan.volumes:
                found[volume.volume] = scan.patient, context, self.series(scan, volume)
        return found

    @cached_property
    def folder(self) -> PurePosixPath:
        """The folder of the split's volumes."""
        return self.tree.volumes(self.split)

    def report(self, scan: Scan, task: Task, questions: Sequence[str]) -> Record:
        """Return the record of a scan's report; its id is the scan's name."""
        name = f"{task}/{SPLIT_OF[self.split]}/{scan.name}"
        return Record(
            id=name,
            task=task,
            split=SPLIT_OF[self.split],
            case=scan.patient,
            volumes=self.series(scan, scan.volumes[0]),
            question=chosen(name, questions)[0],
            reference=scan.report,
            context=scan.context,
        )

    def series(self, scan: Scan, first: Name) -> tuple[str, ...]:
        """Return the paths of a scan's volumes, one of them first."""
        others = (volume for volume in scan.volumes if volume != first)
        return tuple(path_of(volume, self.folder) for volume in (first, *others))

    def asked(self, asked: Asked, name: str, place: str) -> Record:
        """Return an open question as a record."""
        volume = name_of(asked.volume, place).volume
        if volume not in self.studies:
            raise DataFault(place, f"asks about {volume}, which has no report", "remove it")
        patient, context, series = self.studies[volume]
        return Record(
            id=name,
            task=Task.VQA_OPEN,
            split=SPLIT_OF[self.split],
            case=patient,
            volumes=series,
            question=asked.question,
            reference=asked.answer,
            question_type=asked.form,
            context=context,
        )


def closed(record: Record, place: str) -> Record:
    """Return the record of a question of choices, its choices as A to D; DataFault without any."""
    try:
        stem, choices = split_choices(record.question)
        right = right_choice(record.reference, choices)
    except ValueError as error:
        raise DataFault(place, f"no question of choices: {error}", "leave it out") from None
    return replace(
        record,
        task=Task.VQA_CLOSED,
        question=stem + choices_text(choices),
        reference=f"{'ABCD'[right]}. {choices[right]}",
        choices=choices,
    )


def asks(tree: Tree, task: Task, split: str) -> bool:
    """Return whether a tree has a file of questions of a task, for a published split."""
    folder = tree.tables / QUESTIONS
    files = (folder / ONE_FORM.format(split=split, form=form) for form in FORMS_OF[task])
    return any(file.is_file() for file in files)


def _questions(source: Source, task: Task, faults: Faults) -> Iterator[Record]:
    """Yield the records of the questions of a task; raise when no file holds any."""
    folder, found = source.tree.tables / QUESTIONS, 0
    for form in FORMS_OF[task]:
        path = folder / ONE_FORM.format(split=source.split, form=form)
        if not path.is_file():
            continue
        prefix = f"{task}/{SPLIT_OF[source.split]}" + (
            "" if len(FORMS_OF[task]) == 1 else f"/{form}"
        )
        for number, item in enumerate(items_of(path)):
            place = f"{path}: item {number} ({prefix}/{number:06d})"
            try:
                for turn, asked in enumerate(asked_in(item, form, place)):
                    name = f"{prefix}/{number:06d}" + (f"-{turn}" if turn else "")
                    record = source.asked(asked, name, place)
                    yield closed(record, place) if task == Task.VQA_CLOSED else record
                    found += 1
            except DataFault as fault:
                faults.add(fault)
    if not found and not faults.found:
        whole = folder / ALL_FORMS.format(split=source.split)
        remedy = f"leave out the task {task}, or download the questions"
        if whole.is_file():
            remedy = f"run tomovox data prepare, which takes them from {whole.name}"
        what = f"asks no {' or '.join(FORMS_OF[task])} questions of {source.split!r}"
        raise DataFault(str(folder), what, remedy)


# ---- what is known of a volume beside its voxels ---------------------------------------------


def kernels(root: Path) -> dict[str, str]:
    """Return the convolution kernel of each volume, by its path below the root."""
    tree = tree_of(root)
    found: dict[str, str] = {}
    for split in SPLIT_OF if tree else ():
        if tree and tree.table(METADATA, split).is_file():
            folder = tree.volumes(split)
            for name, scanned in read_scanned(tree, split).items():
                found[path_of(name_of(name, name), folder)] = scanned.kernel
    return found


def abnormalities(root: Path, records: Sequence[Record]) -> dict[str, tuple[bool, ...]]:
    """Return which of ct_rate.ABNORMALITIES the first volume of each record has, by record id.

    They are predicted from reports, so they stand for what the reference says, not for truth.
    Raises DataFault for a record whose volume has no row of labels.
    """
    tree = tree_of(root)
    if tree is None:
        raise TomovoxError(f"{root}: no {DATA_SET}; give the folder that holds its tables")
    tables: dict[str, dict[str, tuple[bool, ...]]] = {}
    found = {}
    for record in records:
        name = name_of(record.volumes[0], record.id)
        labels = tables.get(name.split)
        if labels is None:
            labels = tables[name.split] = read_labels(tree, name.split)
        if name.volume not in labels:
            path = tree.table(LABELS, name.split)
            raise DataFault(str(path), f"no row of {name.volume}", "download the file again")
        found[record.id] = labels[name.volume]
    return found
