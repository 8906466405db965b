"""Can every row and file of a data tree be used, and what must be mended where not?

The rows are read by `records` and the files by `volumes`, as in training: a tree without an error
here is read without one there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tomovox.data.check_seg import SEG, SegEntry, seg_codes, seg_entries
from tomovox.data.faults import DataFault, Faults
from tomovox.data.records import (
    CAP_FILE,
    CAP_SPLITS,
    VQA_FILE,
    VQA_SPLITS,
    cap_splits,
    read_records,
)
from tomovox.data.volumes import read_mask, read_volume
from tomovox.schema import Record, Task, TomovoxError

Progress = Callable[[int, int], None]

PARENTS = {
    **{"validation": "val", "test1k": "test", "test500": "test", "test100": "test"},
    **{"test5k": "test", "yn_train": "train"},
}
"""Published splits that are another one's rows, and the one whose patients they may share."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of the report; severity is `error` (it cannot be used) or `warning`."""

    severity: str
    place: str
    what: str
    remedy: str

    def line(self) -> str:
        """Return the four parts, each without tabs or line breaks, parted by tabs."""
        parts = (self.severity, self.place, self.what, self.remedy)
        return "\t".join(" ".join(part.split()) for part in parts)


@dataclass(frozen=True, slots=True)
class SplitCount:
    """What a split of a data set holds: readable rows, distinct volumes and distinct cases."""

    data_set: str
    split: str
    records: int
    volumes: int
    cases: int


@dataclass
class Report:
    """The splits of a tree and its problems, errors first."""

    counts: list[SplitCount] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """Number of problems that are errors."""
        return sum(problem.severity == "error" for problem in self.problems)

    def table(self) -> str:
        """Return all problems as tab-separated text with a first line of names."""
        head = "severity\tplace\twhat\twhat to do\n"
        return head + "".join(f"{problem.line()}\n" for problem in self.problems)


def check_tree(root: Path, progress: Progress | None = None, workers: int = 1) -> Report:
    """Read every row, volume and mask below a data root and report what is wrong with them.

    Each file is opened once, `workers` at a time; `progress` is called with (files done, files in
    all). Raises TomovoxError only when `root` holds none of M3D-Cap, M3D-VQA and M3D-Seg.
    """
    root = Path(root)
    check = _Check(root)
    found = [check.cap(), check.vqa(), check.seg()]
    if not any(found):
        raise TomovoxError(
            f"{root}: no data tree: neither {CAP_FILE} nor M3D-VQA/*.csv nor {SEG} is there; "
            f"give the folder that holds them, or make one (tomovox data phantom)"
        )
    check.files(progress, workers)
    check.across_splits()
    errors = [Problem("error", f.place, f.what, f.remedy) for f in check.faults.found]
    check.report.problems[:0] = errors
    return check.report


class _Check:
    """The state of one check: what was read so far and which files are still to be opened."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.report = Report()
        self.faults = Faults(collect=True)  # what keeps a row or file from being used
        self.volumes: dict[str, str] = {}  # volume -> the first record that names it
        self.masks: list[SegEntry] = []
        self.ids: set[str] = set()
        self.cases: dict[tuple[str, str], set[str]] = defaultdict(set)  # (data, case) -> splits
        self.shapes: dict[str, tuple[int, ...]] = {}

    def cap(self) -> bool:
        """Read M3D-Cap; return whether it is there."""
        path = self.root / CAP_FILE
        if not path.is_file():
            return False
        try:
            splits = cap_splits(self.root)
        except DataFault as fault:
            self.faults.add(fault)
            return True
        for split in splits:
            if split not in CAP_SPLITS:
                known = ", ".join(CAP_SPLITS)
                self.warn(f"{path}", f"unknown split {split!r}", f"known: {known}")
            self.count("M3D-Cap", split, self.records(Task.REPORT, split))
        return True

    def vqa(self) -> bool:
        """Read M3D-VQA; return whether it is there."""
        paths = sorted(self.root.glob(VQA_FILE.format(split="*")))
        for path in paths:
            split = path.stem.removeprefix("M3D_VQA_")
            if split not in VQA_SPLITS:
                known = ", ".join(VQA_SPLITS)
                self.warn(f"{path}", f"unknown split {split!r}, not read", f"known: {known}")
                continue
            # The closed view asks of a row all that the open one does.
            task = Task.VQA_OPEN if split == "yn_train" else Task.VQA_CLOSED
            self.count("M3D-VQA", split, self.records(task, split))
        return bool(paths)

    def seg(self) -> bool:
        """Read the listings of M3D-Seg; return whether it is there."""
        for code, names in seg_codes(self.root, self.faults).items():
            entries = seg_entries(self.root, code, names, self.faults)
            for split in dict.fromkeys(entry.split for entry in entries):
                own = [entry for entry in entries if entry.split == split]
                images = {entry.image for entry in own}
                self.report.counts.append(
                    SplitCount(f"M3D-Seg {code}", split, len(own), len(images), len(images))
                )
                self.repeated((e.place, (e.image, e.label)) for e in own)
            for entry in entries:
                self.cases["M3D-Seg", str(Path(entry.image).parent)].add(entry.split)
            self.masks += entries
        return (self.root / SEG).is_dir()

    def records(self, task: Task, split: str) -> list[Record]:
        """Return the readable records of a split."""
        try:
            return read_records(self.root, task, split, self.faults)
        except DataFault as fault:
            self.faults.add(fault)
            return []

    def count(self, data_set: str, split: str, records: list[Record]) -> None:
        """Note a split's records: their volumes to open, their ids, cases and repetitions."""
        volumes = {volume for record in records for volume in record.volumes}
        cases = {record.case for record in records}
        self.report.counts.append(
            SplitCount(data_set, split, len(records), len(volumes), len(cases))
        )
        for record in records:
            if record.id in self.ids:
                what = f"two records of {data_set} have this id, one in split {split!r}"
                remedy = "keep one of the splits 'val' and 'validation'"
                self.faults.add(DataFault(f"{self.root}: {record.id}", what, remedy))
            self.ids.add(record.id)
            self.cases["M3D-Cap and M3D-VQA", record.case].add(PARENTS.get(split, split))
            for volume in record.volumes:
                self.volumes.setdefault(volume, record.id)
        # A report is asked for once per volume, a question once per wording and choices.
        keys = (
            (r.id, r.volumes if r.task == Task.REPORT else (r.volumes, r.question, r.reference))
            for r in records
        )
        self.repeated(keys)

    def repeated(self, rows: Iterable[tuple[str, object]]) -> None:
        """Warn of each row whose key an earlier row has."""
        first: dict[object, str] = {}
        for place, key in rows:
            if key in first:
                self.warn(place, f"repeats {first[key]}", "remove one: it counts twice")
            first.setdefault(key, place)

    def files(self, progress: Progress | None, workers: int) -> None:
        """Open every volume once, then every mask beside its image's shape."""
        seg = self.root / SEG
        images = {entry.image: entry.place for entry in reversed(self.masks)}
        jobs = [(self.root, volume, place) for volume, place in self.volumes.items()]
        jobs += [(seg, image, place) for image, place in images.items()]
        total, done = len(jobs) + len(self.masks), 0
        shapes: dict[str, tuple[int, ...]] = {}
        with ThreadPoolExecutor(workers) as pool:
            for (folder, relative, _), shape in zip(jobs, pool.map(_shape_of, jobs), strict=True):
                done += 1
                if isinstance(shape, DataFault):
                    self.faults.add(shape)
                elif folder == seg:
                    shapes[relative] = shape
                else:
                    self.shapes[relative] = shape
                if progress:
                    progress(done, total)
            checks = [(seg, entry, shapes.get(entry.image)) for entry in self.masks]
            for fault in pool.map(_mask_fault, checks):
                done += 1
                if fault:
                    self.faults.add(fault)
                if progress:
                    progress(done, total)

    def across_splits(self) -> None:
        """Warn of patients in two splits and of volumes of several sizes."""
        for (data_set, case), splits in self.cases.items():
            if len(splits) > 1:
                self.warn(
                    f"{self.root}: case {case}",
                    f"is in the splits {', '.join(sorted(splits))} of {data_set}",
                    "split by case, or report the overlap: what is learnt by heart is no skill",
                )
        sizes = Counter(self.shapes.values()).most_common()
        for size, number in sizes[1:]:
            example = next(name for name, shape in self.shapes.items() if shape == size)
            self.warn(
                f"{self.root}: {example}",
                f"{number} volumes are {size}, {sizes[0][1]} are {sizes[0][0]}",
                "prepare the data to one size (tomovox data prepare)",
            )

    def warn(self, place: str, what: str, remedy: str) -> None:
        """Note what can be used but may mislead."""
        self.report.problems.append(Problem("warning", place, what, remedy))


def _shape_of(job: tuple[Path, str, str]) -> tuple[int, ...] | DataFault:
    root, relative, place = job
    try:
        return tuple(np.shape(read_volume(root, relative, place)))
    except DataFault as fault:
        return fault


def _mask_fault(job: tuple[Path, SegEntry, tuple[int, ...] | None]) -> DataFault | None:
    root, entry, shape = job
    try:
        # A mask whose image cannot be read is only held against itself.
        read_mask(root, entry.label, shape, entry.place)
    except DataFault as fault:
        return fault
    return None
