"""Which rows of a prepared CT-RATE are there to be checked, and to be compared across splits?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tomovox.data.ct_rate import (
    DATA_SET,
    LABELS,
    METADATA,
    REPORTS,
    SPLITS,
    Tree,
    not_chest,
    read_labels,
    read_scanned,
    read_scans,
    tree_of,
)
from tomovox.data.ct_rate_records import SPLIT_OF, asks, read_ct_rate
from tomovox.data.faults import DataFault, Faults
from tomovox.schema import Record, Task

Warn = Callable[[str, str, str], None]
"""Called with place, what and remedy of what can be used but may mislead."""

NAMES = {Task.REPORT: "reports", Task.VQA_CLOSED: "choices", Task.VQA_OPEN: "questions"}


def splits_of(root: Path, faults: Faults) -> Iterator[tuple[str, str, list[Record]]]:
    """Yield name, split and readable records of each table of reports and questions.

    Raises TomovoxError for a tree that is not prepared yet.
    """
    tree = tree_of(root)
    for split, name in SPLIT_OF.items():
        if tree is None or not tree.table(REPORTS, split).is_file():
            continue
        for task, told in NAMES.items():
            if task == Task.REPORT or asks(tree, task, split):
                try:
                    records = read_ct_rate(root, task, name, faults)
                except DataFault as fault:
                    faults.add(fault)
                    continue
                yield f"{DATA_SET} {told}", name, records


def compared(root: Path, faults: Faults) -> Iterator[tuple[Record, tuple[str, ...]]]:
    """Yield what an audit compares: a record of one volume, and the ids of all that it speaks for.

    A report is that of every volume of its scan: one that leaked speaks against all of it.
    """
    for _, _, records in splits_of(root, faults):
        for record in records:
            if record.task != Task.REPORT:
                yield replace(record, volumes=record.volumes[:1]), (record.id,)
                continue
            end = record.id.removeprefix(Task.REPORT)
            ids = (record.id, f"{Task.RETRIEVAL}{end}", f"{Task.CASE_REPORT}{end}")
            for volume in record.volumes:
                yield replace(record, volumes=(volume,)), ids


def check_tables(root: Path, faults: Faults, warn: Warn) -> None:
    """Read metadata and labels; warn of volumes that lack a row or show no chest."""
    tree = tree_of(root)
    for split in dict.fromkeys(SPLITS.values()):
        if tree and tree.table(REPORTS, split).is_file():
            _check_split(tree, split, faults, warn)


def _check_split(tree: Tree, split: str, faults: Faults, warn: Warn) -> None:
    quiet = Faults(collect=True)  # what is wrong with the reports is said where records are read
    volumes = [name.volume for scan in read_scans(tree, split, quiet) for name in scan.volumes]
    for kind, read in ((METADATA, read_scanned), (LABELS, read_labels)):
        path = tree.table(kind, split)
        if not path.is_file():
            warn(str(path), "is not there", "download it: kernels and label metrics need it")
            continue
        try:
            known = read(tree, split, faults)
        except DataFault as fault:
            faults.add(fault)
            continue
        if missing := [volume for volume in volumes if volume not in known]:
            what = f"has no row of {len(missing)} volumes, such as {missing[0]}"
            warn(str(path), what, "download the table again")
    if other := sorted(not_chest(tree, split).intersection(volumes)):
        what = f"{len(other)} volumes show no chest, such as {other[0]}, as the authors list"
        warn(str(tree.tables / METADATA), what, "leave them out, or say that they are in")
