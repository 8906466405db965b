"""How does CT-RATE as downloaded become a tree that is read as it stands, and what is left out?

The prepared tree has the layout of the release: volumes as .npy, tables without the rows of volumes
that were not downloaded, and questions in files of one form each. Whatever is left out is counted
and listed.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tomovox.data.ct_rate import (
    DATA_SET,
    METADATA,
    NO_CHEST,
    REPORTS,
    SUFFIX,
    TABLES,
    VOLUME,
    Scanned,
    Tree,
    name_of,
    path_of,
    read_scanned,
    read_scans,
    tree_of,
)
from tomovox.data.ct_rate_question_files import write_questions
from tomovox.data.ct_rate_scan import ScanSettings, prepare_scan
from tomovox.data.faults import DataFault, Faults
from tomovox.data.prepare import (
    DEPTHS,
    FORMATS,
    SETTINGS,
    TABLE,
    Outcome,
    check_places,
    finished_rows,
    keep_settings,
    write_tables,
)
from tomovox.data.published_files import check_width, csv_rows, read_text
from tomovox.data.written import in_processes, write_array, write_inside
from tomovox.schema import TomovoxError

COLUMNS = (
    *("source", "output", "source_shape", "spacing_mm", "source_orientation", "axes"),
    *("hu", "air_hu", "resampled", "slices"),
)
ABSENT = "not_downloaded.tsv"
"""Volumes that the reports name and the source has not: no fault, but no record either."""


@dataclass(frozen=True, slots=True)
class Job:
    """A volume to prepare: its file, its place in the prepared tree, how it was reconstructed."""

    path: Path
    output: str
    scanned: Scanned


@dataclass(frozen=True, slots=True)
class CtRateOutcome:
    """What became of volumes and questions; `absent` volumes were never downloaded."""

    volumes: Outcome
    absent: int
    questions: Counter[str]


def prepare_ct_rate(
    source: Path,
    target: Path,
    settings: ScanSettings | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> CtRateOutcome:
    """Prepare what was downloaded of CT-RATE below `source` into the folder `target`.

    A volume, row or question that cannot be prepared is left out and listed in not_prepared.tsv.
    Volumes that are there already, made with the same settings, are skipped, so a stopped run goes
    on, and what was prepared may be deleted from `source` to make room for more. `progress` is
    called with (volumes done, volumes to do). Raises TomovoxError when `source` is no CT-RATE or
    holds none of its volumes, or `target` holds anything else.
    """
    source, target, settings = Path(source), Path(target), settings or ScanSettings()
    settings.check()
    if settings.format not in FORMATS or settings.depth not in DEPTHS:
        known = f"{', '.join(FORMATS)}; {', '.join(DEPTHS)}"
        raise TomovoxError(f"format {settings.format!r}, depth {settings.depth!r}: known: {known}")
    check_places(source, target)
    tree = tree_of(source)
    if tree is None:
        raise TomovoxError(f"{source}: no {DATA_SET}: it has no folder {REPORTS}; check the path")
    faults = Faults(collect=True)
    splits = [split for split in ("train", "valid") if tree.table(REPORTS, split).is_file()]
    earlier: Collection[str] = ()
    if (target / SETTINGS).is_file():
        keep_settings(source, target, settings)  # before anything is written to another's folder
        earlier = finished_rows(target, COLUMNS)
    found = {split: _Split(tree, split, target, earlier, faults) for split in splits}
    jobs = [job for part in found.values() for job in part.jobs]
    if not jobs and not earlier:
        raise TomovoxError(
            f"{source}: none of the volumes that its reports name is there as "
            f"{tree.volumes('valid')}/valid_1/valid_1_a/valid_1_a_1.nii.gz; download some"
        )
    keep_settings(source, target, settings)
    prepared = _volumes(jobs, target, settings, faults, workers, progress)
    absent = [name.file for part in found.values() for name in part.absent]
    write_inside(target, ABSENT, "".join(f"{name}\n" for name in ("volume", *absent)))
    questions: Counter[str] = Counter()
    for part in found.values():
        part.write_tables(target)
        questions += write_questions(tree, part.split, part.kept, target, faults)
    write_tables(target, finished_rows(target, COLUMNS), faults.found, COLUMNS)
    skipped = sum(part.skipped for part in found.values())
    volumes = Outcome(prepared, skipped, tuple(faults.found))
    return CtRateOutcome(volumes, len(absent), questions)


class _Split:
    """A published split of the source: what can be prepared of it, and what its tables become.

    `earlier` holds the outputs that are there already, whether or not their source still is.
    """

    def __init__(
        self, tree: Tree, split: str, target: Path, earlier: Collection[str], faults: Faults
    ) -> None:
        self.tree, self.split = tree, split
        folder = tree.volumes(split)
        if not (tree.root / folder).is_dir():  # all of it may be prepared and deleted
            folder = Tree(target, target).volumes(split)
        files: dict[str, Path] = {}
        for path in sorted((tree.root / folder).rglob("*" + SUFFIX)):
            if (first := files.setdefault(path.name, path)) != path:
                faults.add(DataFault(str(path), f"has the name of {first}", "remove one of them"))
        named = [name for scan in read_scans(tree, split, faults) for name in scan.volumes]
        outputs = {name: path_of(name, folder) for name in named}
        there = [name for name in named if name.file in files or outputs[name] in earlier]
        self.kept = {name.volume for name in there}
        self.absent = [name for name in named if name.volume not in self.kept]
        self.skipped = sum(outputs[name] in earlier for name in there)
        self.known = read_scanned(tree, split, faults) if there else {}
        self.jobs: list[Job] = []
        for name in there:
            file = files.pop(name.file, None)
            if file is None or outputs[name] in earlier:
                continue
            if name.volume in self.known:
                self.jobs.append(Job(file, outputs[name], self.known[name.volume]))
            else:
                remedy = "mend or download the table"
                faults.add(DataFault(str(file), "the metadata have no row of it", remedy))
        for path in files.values():
            faults.add(DataFault(str(path), "no report names it", "leave it out"))

    def write_tables(self, target: Path) -> None:
        """Write each table with the rows of the volumes that are there."""
        for kind in TABLES:
            path = self.tree.table(kind, self.split)
            if path.is_file():
                kept = self.kept.intersection(self.known) if kind == METADATA else self.kept
                write_inside(target, self._place(path), _rows(path, kept))
        path = self.tree.tables / NO_CHEST.format(split=self.split)
        if path.is_file():
            write_inside(target, self._place(path), read_text(path))

    def _place(self, path: Path) -> str:
        return path.relative_to(self.tree.root).as_posix()


def _rows(path: Path, kept: Collection[str]) -> str:
    """Return a table with the first whole row of each of the volumes `kept`, and no other."""
    text = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    left = set(kept)
    for number, row in enumerate(csv_rows(path, (VOLUME,)), 1):
        if writer is None:
            writer = csv.DictWriter(text, [c for c in row if c is not None], lineterminator="\n")
            writer.writeheader()
        try:
            check_width(row, str(path))
            volume = name_of(row[VOLUME], f"{path}: row {number}").volume
        except DataFault:  # listed where the table was read
            continue
        if volume in left:
            left.remove(volume)
            writer.writerow(row)
    return text.getvalue()


def _volumes(
    jobs: Sequence[Job],
    target: Path,
    settings: ScanSettings,
    faults: Faults,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Write volumes, each with its line of prepared.tsv; return how many could be prepared."""
    if not (target / TABLE).is_file():
        write_tables(target, {}, (), COLUMNS)
    prepared = 0
    work = partial(_prepare_one, target=target, settings=settings)
    for done, result in enumerate(in_processes(jobs, work, workers), 1):
        if isinstance(result, DataFault):
            faults.add(result)
        else:
            prepared += 1
            with (target / TABLE).open("a", encoding="utf-8", newline="\n") as stream:
                stream.write(result + "\n")
        if progress:
            progress(done, len(jobs))
    return prepared


def _prepare_one(job: Job, target: Path, settings: ScanSettings) -> str | DataFault:
    """Write one volume; return its line of prepared.tsv, or what is wrong with it."""
    try:
        scan = prepare_scan(job.path, job.scanned, settings)
    except DataFault as fault:
        return fault
    write_array(target, job.output, scan.voxels)
    cells = (
        str(job.path),
        job.output,
        "x".join(map(str, scan.source_shape)),
        "x".join(f"{size:g}" for size in scan.spacing_mm),
        scan.orientation,
        scan.axes,
        scan.hu,
        f"{scan.air_hu:.0f}",
        "x".join(map(str, scan.grid)),
        str(scan.voxels.shape[1]),
    )
    return "\t".join(" ".join(cell.split()) for cell in cells)
