"""Can every row and file of a data tree be used, and what must be mended where not?

The rows are read by `records` and the files by `volumes`, as in training: a tree without an error
here is read without one there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from tomovox.data.check_masks import Mask, is_negative
from tomovox.data.check_report import Problem, Report, SplitCount
from tomovox.data.check_seg import SEG, check_terms, seg_codes, seg_entries
from tomovox.data.ct_rate import DATA_SET
from tomovox.data.ct_rate_rows import check_tables, splits_of
from tomovox.data.faults import DataFault, Faults
from tomovox.data.records import (
    CAP_FILE,
    CAP_SPLITS,
    PARENTS,
    VQA_FILE,
    VQA_SPLITS,
    cap_splits,
    read_records,
)
from tomovox.data.refseg_records import FILES, REFSEG, read_refseg
from tomovox.data.root_layout import CT_RATE, layout_of
from tomovox.data.seg_records import TERMS
from tomovox.data.volumes import read_volume
from tomovox.schema import Record, Task, TomovoxError

Progress = Callable[[int, int], None]

FEW = 3
"""Up to so many numbers of slices, every volume of another size than most is named."""


def check_tree(root: Path, progress: Progress | None = None, workers: int = 1) -> Report:
    """Read every row, volume and mask below a data root and report what is wrong with them.

    Each volume and mask is read once, `workers` at a time, a file of labels once for each of them;
    `progress` is called with (done, in all). Raises TomovoxError only when `root` holds none of
    M3D-Cap, M3D-VQA, M3D-Seg, M3D-RefSeg and CT-RATE, or CT-RATE that is not prepared.
    """
    root = Path(root)
    check = _Check(root)
    found = [check.cap(), check.vqa(), check.seg(), check.refseg(), check.ct_rate()]
    if not any(found):
        raise TomovoxError(
            f"{root}: no data tree: neither {CAP_FILE} nor M3D-VQA/*.csv nor {SEG} nor {REFSEG} is "
            f"there; give the folder that holds them, or make one (tomovox data phantom)"
        )
    check.files(progress, workers)
    check.across_splits()
    negatives = check.negatives
    check.report.counts = [
        replace(count, negatives=negatives[count.data_set, count.split])
        for count in check.report.counts
    ]
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
        self.masks: dict[Mask, list[tuple[str, str]]] = defaultdict(list)  # -> (data, split)
        self.negatives: Counter[tuple[str, str]] = Counter()
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
        classes: dict[str, str] = {}
        codes = seg_codes(self.root, self.faults)
        for code, names in codes.items():
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
                mask = Mask(self.root / SEG, entry.image, entry.label, 0, entry.place)
                self.masks[mask].append((f"M3D-Seg {code}", entry.split))
                classes.setdefault(entry.structure, f"{code}/{code}.json")
        path = self.root / SEG / TERMS
        if codes and path.exists():
            known = {name for names in codes.values() for name in names}
            if unknown := check_terms(path, known, classes, self.faults):
                some = ", ".join(map(repr, unknown[:3])) + (", ..." if len(unknown) > 3 else "")
                what = f"describes {len(unknown)} names that are no class of any data set: {some}"
                self.warn(str(path), what, "name them as dataset_info.json does, or remove them")
        return (self.root / SEG).is_dir()

    def refseg(self) -> bool:
        """Read M3D-RefSeg; return whether it is there."""
        folder = self.root / REFSEG
        if not folder.is_dir():
            return False
        splits = [split for split, name in FILES.items() if (folder / name).exists()]
        if not splits:
            what = f"holds neither {' nor '.join(FILES.values())}"
            self.faults.add(DataFault(str(folder), what, "download the file of questions"))
        for split in splits:
            records = read_refseg(self.root, split, self.faults)
            self.count("M3D-RefSeg", split, records, patients="M3D-RefSeg")
            for r in records:
                mask = Mask(self.root, r.volumes[0], r.mask, r.mask_label, r.id)
                self.masks[mask].append(("M3D-RefSeg", split))
        return True

    def ct_rate(self) -> bool:
        """Read a prepared CT-RATE; return whether it is there."""
        if layout_of(self.root) != CT_RATE:
            return False
        for data_set, split, records in splits_of(self.root, self.faults):
            self.count(data_set, split, records, patients=DATA_SET)
        check_tables(self.root, self.faults, self.warn)
        return True

    def records(self, task: Task, split: str) -> list[Record]:
        """Return the readable records of a split."""
        try:
            return read_records(self.root, task, split, self.faults)
        except DataFault as fault:
            self.faults.add(fault)
            return []

    def count(
        self,
        data_set: str,
        split: str,
        records: list[Record],
        patients: str = "M3D-Cap and M3D-VQA",
    ) -> None:
        """Note a split's records: their volumes to open, their ids, cases and repetitions.

        `patients` names the data sets that share theirs.
        """
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
            self.cases[patients, record.case].add(PARENTS.get(split, split))
            for volume in record.volumes:
                self.volumes.setdefault(volume, record.id)
        # A report is asked for once per volume, a question once per wording, choices and finding.
        keys: list[tuple[str, object]] = []
        for r in records:
            asked = () if r.task == Task.REPORT else (r.question, r.reference, r.mask_label)
            keys.append((r.id, (r.volumes, *asked)))
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
        images = {(self.root, volume): place for volume, place in self.volumes.items()}
        for mask in self.masks:
            images.setdefault((mask.folder, mask.image), mask.place)
        total, done = len(images) + len(self.masks), 0
        shapes: dict[tuple[Path, str], tuple[int, ...]] = {}
        with ThreadPoolExecutor(workers) as pool:
            found = pool.map(_shape_of, images.items())
            for image, shape in zip(images, found, strict=True):
                done += 1
                if isinstance(shape, DataFault):
                    self.faults.add(shape)
                else:
                    shapes[image] = shape
                if progress:
                    progress(done, total)
            beside = [shapes.get((mask.folder, mask.image)) for mask in self.masks]
            results = pool.map(is_negative, self.masks, beside)
            for mask, result in zip(self.masks, results, strict=True):
                done += 1
                if isinstance(result, DataFault):
                    self.faults.add(result)
                elif result:
                    self.negative(mask)
                if progress:
                    progress(done, total)
        self.shapes = {name: shape for (root, name), shape in shapes.items() if root == self.root}

    def negative(self, mask: Mask) -> None:
        """Count the rows of a mask that shows nothing; warn where a file lacks their label."""
        rows = self.masks[mask]
        self.negatives.update(rows)
        if mask.label:
            what = (
                f"{mask.path!r} holds no voxel of Mask_ID {mask.label}, which {len(rows)} rows ask"
            )
            self.warn(mask.place, what, "remove them, or mend Mask_ID")

    def across_splits(self) -> None:
        """Warn of patients in two splits and of volumes of several sizes."""
        for (data_set, case), splits in self.cases.items():
            if len(splits) > 1:
                self.warn(
                    f"{self.root}: case {case}",
                    f"is in the splits {', '.join(sorted(splits))} of {data_set}",
                    "split by case, or report the overlap: what is learnt by heart is no skill",
                )
        planes = {shape[-2:] for shape in self.shapes.values()}
        depths = sorted({shape[-3] for shape in self.shapes.values()})
        if len(planes) == 1 and len(depths) > FEW:  # native lengths, not a stray volume
            self.warn(
                f"{self.root}: {len(self.shapes)} volumes",
                f"have {len(depths)} numbers of slices, from {depths[0]} to {depths[-1]}",
                "read them with ms_vlm, or prepare the data to one size for 3D encoders",
            )
            return
        sizes = Counter(self.shapes.values()).most_common()
        else_read = ", or read other depths with ms_vlm" if len(planes) == 1 else ""
        for size, number in sizes[1:]:
            example = next(name for name, shape in self.shapes.items() if shape == size)
            self.warn(
                f"{self.root}: {example}",
                f"{number} volumes are {size}, {sizes[0][1]} are {sizes[0][0]}",
                f"prepare the data to one size (tomovox data prepare){else_read}",
            )

    def warn(self, place: str, what: str, remedy: str) -> None:
        """Note what can be used but may mislead."""
        self.report.problems.append(Problem("warning", place, what, remedy))


def _shape_of(job: tuple[tuple[Path, str], str]) -> tuple[int, ...] | DataFault:
    (root, relative), place = job
    try:
        return tuple(np.shape(read_volume(root, relative, place)))
    except DataFault as fault:
        return fault
