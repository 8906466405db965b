"""Which rows of which splits does a leakage audit compare, and which records stand on each?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from tomovox.data.check_seg import SEG, seg_codes, seg_entries
from tomovox.data.ct_rate_rows import compared
from tomovox.data.faults import DataFault, Faults
from tomovox.data.records import (
    CAP_SPLITS,
    PARENTS,
    VQA_FILE,
    VQA_SPLITS,
    cap_splits,
    read_cap,
    read_case_reports,
    read_vqa,
)
from tomovox.data.refseg_records import FILES, REFSEG, read_refseg
from tomovox.data.root_layout import CT_RATE, layout_of
from tomovox.data.seg_records import BENCH, FORMS, POSITIONING_CODES, SEGMENTATION_CODES, TERMS
from tomovox.schema import Record, Task

RANK = {"train": 0, "val": 1, "test": 2}
"""Of two splits that share something, the one of higher rank has the leak."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a published table and the ids of the records that ask it.

    `split` is train, val or test; `table` tells the pools of a split apart (test1k is test).
    `asked` is what makes a question the same on one volume; empty where nothing is asked in words.
    """

    split: str
    table: str
    ids: tuple[str, ...]
    volume: str
    case: str
    report: str = ""
    asked: tuple[str, ...] = ()


@dataclass
class Rows:
    """All rows of a data tree; `faults` are those that cannot be read."""

    root: Path
    rows: list[Row] = field(default_factory=list)
    faults: list[DataFault] = field(default_factory=list)


def read_rows(root: Path) -> Rows:
    """Return the rows of M3D-Cap and, where they are there, of M3D-VQA, M3D-Seg and M3D-RefSeg.

    Or those of a prepared CT-RATE. Rows that cannot be read are kept as faults. Raises TomovoxError
    when M3D_Cap.json is not there or is no listing of splits.
    """
    root, faults = Path(root), Faults(collect=True)
    if layout_of(root) == CT_RATE:
        return Rows(root, list(_ct_rate_rows(root, faults)), faults.found)
    listed = cap_splits(root)
    found = Rows(root, faults=faults.found)
    for read in (_cap_rows(root, list(listed), faults), _vqa_rows(root, faults)):
        found.rows += read
    for read in (_seg_rows(root, faults), _refseg_rows(root, faults)):
        found.rows += read
    return found


def _cap_rows(root: Path, splits: list[str], faults: Faults) -> Iterator[Row]:
    for split in splits:
        if split not in CAP_SPLITS:
            faults.add(_unknown(root, "M3D-Cap", split))
            continue
        try:
            records = read_cap(root, split, faults)
        except DataFault as fault:
            faults.add(fault)
            continue
        for r in records:
            twin = f"{Task.RETRIEVAL}{r.id.removeprefix(Task.REPORT)}"
            yield _row(r, "M3D-Cap", (r.id, twin), report=r.reference)
        quiet = Faults(collect=True)  # what is wrong with the rows has been said
        for r in read_case_reports(root, split, quiet):
            for volume in r.volumes:  # one that has leaked speaks against the whole case
                one = replace(r, volumes=(volume,))
                yield _row(one, "M3D-Cap cases", (r.id,), report=r.reference)


def _vqa_rows(root: Path, faults: Faults) -> Iterator[Row]:
    """Yield the rows of M3D-VQA, read as open questions: the closed ones are the same rows."""
    reports: dict[str, str] = {}  # context -> report: one string for all rows of an image
    for path in sorted(root.glob(VQA_FILE.format(split="*"))):
        split = path.stem.removeprefix("M3D_VQA_")
        if split not in VQA_SPLITS:
            faults.add(_unknown(root, "M3D-VQA", split))
            continue
        try:
            records = read_vqa(root, split, Task.VQA_OPEN, faults)
        except DataFault as fault:
            faults.add(fault)
            continue
        for r in records:
            closed = f"{Task.VQA_CLOSED}{r.id.removeprefix(Task.VQA_OPEN)}"
            ids = (r.id,) if split == "yn_train" else (closed, r.id)
            if r.context not in reports:
                series = " ".join(PurePosixPath(r.volumes[0]).stem.replace("_", " ").split())
                reports[r.context] = r.context.removeprefix(series).removeprefix(". ")
            yield _row(r, "M3D-VQA", ids, reports[r.context], (r.question, r.reference))


def _seg_rows(root: Path, faults: Faults) -> Iterator[Row]:
    """Yield the rows of M3D-Seg, each with the records that `seg_records` makes of it."""
    described = (root / SEG / TERMS).exists()
    for code, names in seg_codes(root, faults).items():
        for entry in seg_entries(root, code, names, faults):
            parts = PurePosixPath(entry.image).parts
            yield Row(
                split=entry.split,
                table=f"M3D-Seg {code} {entry.split}",
                ids=tuple(_seg_ids(code, entry.split, entry.number, described)),
                volume=f"{SEG}/{entry.image}",
                case="/".join(parts[:-1][:2]),
            )


def _seg_ids(code: str, split: str, number: int, described: bool) -> Iterator[str]:
    for task, forms in FORMS.items():
        positioning = task in (Task.REC, Task.REG)
        bench = POSITIONING_CODES if positioning else SEGMENTATION_CODES
        for name in (split, BENCH) if split == "test" and code in bench else (split,):
            for form in forms:
                if described or form == "class":
                    end = f"/{form}" if positioning else ""
                    yield f"{task}/{name}/{code}/{number:06d}{end}"


def _refseg_rows(root: Path, faults: Faults) -> Iterator[Row]:
    for split, name in FILES.items():
        if (root / REFSEG / name).exists():
            try:
                records = read_refseg(root, split, faults)
            except DataFault as fault:
                faults.add(fault)
                continue
            for r in records:
                asked = (r.question, r.reference, r.mask, str(r.mask_label))
                yield _row(r, "M3D-RefSeg", (r.id,), asked=asked)


def _ct_rate_rows(root: Path, faults: Faults) -> Iterator[Row]:
    for r, ids in compared(root, faults):
        report = r.reference if r.task == Task.REPORT else ""
        asked = () if r.task == Task.REPORT else (r.question, r.reference)
        yield _row(r, f"CT-RATE {r.task}", ids, report, asked)


def _row(
    r: Record,
    data_set: str,
    ids: tuple[str, ...],
    report: str = "",
    asked: tuple[str, ...] = (),
) -> Row:
    split = PARENTS.get(r.split, r.split)
    return Row(split, f"{data_set} {r.split}", ids, r.volumes[0], r.case, report, asked)


def _unknown(root: Path, data_set: str, split: str) -> DataFault:
    what = f"unknown split {split!r} of {data_set}, not audited"
    return DataFault(str(root), what, "name it as the published data do")
