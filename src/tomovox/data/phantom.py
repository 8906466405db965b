"""How do we test the suite where no CT may be downloaded? A synthetic set, published layout.

`write_phantom` writes M3D-Cap, M3D-VQA and M3D-Seg as M3D lays them out, and three files more:
`evidence.csv` (which slices hold the answer), `series.csv` and `phantom.json`.
Letters: D H W depth, height and width of a volume.
"""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from tomovox.data import phantom_body as body
from tomovox.data.phantom_case import Case, describe_case, render_series
from tomovox.data.phantom_render import Rendered
from tomovox.data.phantom_text import Question
from tomovox.schema import QUESTION_TYPES, TomovoxError

VERSION = 1
"""Raised whenever the same arguments would give other bytes."""

CAP, VQA, SEG, CODE = "M3D_Cap_npy", "M3D-VQA", "M3D_Seg_npy", "9000"
VQA_COLUMNS = (
    "Image Path", "Text", "Question Type", "Question",
    "Choice A", "Choice B", "Choice C", "Choice D", "Answer", "Answer Choice",
)  # fmt: skip
EVIDENCE_COLUMNS = ("vqa", "image", "question_type", "scope", "slices")
SERIES_COLUMNS = ("image", "case", "plane", "phase", "kernel", "native_slices")

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

    def manifest(self) -> str:
        """Return the text of phantom.json."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1) + "\n"

    def split(self, case: int) -> str:
        """Return train, val or test of a case id, which counts from 1."""
        if case <= self.test_cases:
            return "test"
        return "val" if case <= self.test_cases + self.val_cases else "train"


@dataclass(slots=True)
class Written:
    """What one case adds to the tables; `evidence` holds slices per series and question."""

    case: Case
    labels: list[tuple[str, str]] = field(default_factory=list)
    evidence: list[list[tuple[int, ...]]] = field(default_factory=list)


def write_phantom(
    root: Path,
    cases: int,
    seed: int,
    shape: tuple[int, int, int] = (32, 64, 64),
    difficulty: str = "base",
    test_cases: int | None = None,
    val_cases: int | None = None,
    series: int = 2,
    organ_masks: bool = False,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> None:
    """Write a synthetic data set of `cases` cases with `series` series each to the folder `root`.

    The bytes follow from all arguments but `progress` and `workers`. The first `test_cases` ids are
    test, the next `val_cases` validation, the rest train; both default to a tenth, at least one.
    `progress` is called with (cases done, cases in all). The folder appears whole or not at all.

    Raises TomovoxError on arguments out of range, and when `root` holds anything but the same set;
    where it holds the same set (by its phantom.json) nothing is written.
    """
    tenth = max(1, cases // 10)
    world = World(
        cases,
        seed,
        shape,
        difficulty,
        tenth if test_cases is None else test_cases,
        tenth if val_cases is None else val_cases,
        series,
        organ_masks,
    )
    _check(world, workers)
    root = Path(root)
    if _already_there(root, world):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = root.with_name(f".{root.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        _write_tree(temporary, world, progress, workers)
        _move(temporary, root, world)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check(world: World, workers: int) -> None:
    """Raise TomovoxError on the first argument that is out of range."""
    pairs = len(body.PLANES) * len(body.PHASES)
    depth, *plane = world.shape if len(world.shape) == 3 else (0, 0, 0)
    rules = (
        (world.cases >= 1, f"cases={world.cases}: give at least 1"),
        (world.cases < 10**6, f"cases={world.cases}: ids have six digits, give fewer than 1000000"),
        (world.seed >= 0, f"seed={world.seed}: give 0 or more"),
        (depth >= 8 and min(plane) >= 16, f"shape={world.shape}: give (D, H, W) of 8, 16, 16 up"),
        (
            world.difficulty in body.DIFFICULTIES,
            f"difficulty={world.difficulty!r}: give one of {', '.join(body.DIFFICULTIES)}",
        ),
        (
            min(world.test_cases, world.val_cases) >= 0
            and world.test_cases + world.val_cases <= world.cases,
            f"test_cases={world.test_cases}, val_cases={world.val_cases}: "
            f"give numbers from 0 whose sum is at most cases={world.cases}",
        ),
        (1 <= world.series <= pairs, f"series={world.series}: give 1 to {pairs}"),
        (workers >= 1, f"workers={workers}: give at least 1"),
    )
    for holds, message in rules:
        if not holds:
            raise TomovoxError(f"phantom: {message}")


def _already_there(root: Path, world: World) -> bool:
    """Return whether `root` holds this very set; raise TomovoxError when it holds another."""
    if not root.exists():
        return False
    manifest = root / "phantom.json"
    if manifest.is_file():
        if manifest.read_text(encoding="utf-8") == world.manifest():
            return True
        raise TomovoxError(
            f"{manifest}: a phantom of other arguments; remove it or choose another folder"
        )
    if not root.is_dir() or any(root.iterdir()):
        raise TomovoxError(f"{root}: exists and is no phantom data set; choose another folder")
    return False


def _move(temporary: Path, root: Path, world: World) -> None:
    """Give the finished folder its name; a twin that another process finished first is as good."""
    try:
        temporary.replace(root)
    except OSError as error:
        if not _already_there(root, world):
            raise TomovoxError(f"{root}: cannot be written ({error.strerror})") from None


def _write_tree(
    root: Path, world: World, progress: Callable[[int, int], None] | None, workers: int
) -> None:
    """Write volumes case by case, then the tables in the order of the cases."""
    for folder in (CAP, VQA, f"{SEG}/{CODE}"):
        (root / folder).mkdir(parents=True)
    written = []
    for done, case in enumerate(_written_cases(root, world, workers), 1):
        written.append(case)
        if progress:
            progress(done, world.cases)
    _write_cap(root, world, written)
    _write_vqa(root, world, written)
    _write_seg(root, world, written)
    _write_table(
        root / "series.csv",
        SERIES_COLUMNS,
        [
            (w.case.image(k), f"{w.case.id:06d}", s.plane, s.phase, s.kernel, s.native_slices)
            for w in written
            for k, s in enumerate(w.case.series)
        ],
    )
    (root / "README.txt").write_text(README, encoding="utf-8")
    (root / "phantom.json").write_text(world.manifest(), encoding="utf-8")


def _written_cases(root: Path, world: World, workers: int) -> Iterator[Written]:
    jobs = ((root, world, case) for case in range(1, world.cases + 1))
    if workers == 1:
        yield from map(_write_case, jobs)
        return
    # A forked worker starts at once: it runs numpy alone and need not import torch again.
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(workers, context) as pool:
        yield from pool.map(_write_case, jobs, chunksize=16)


def _write_case(job: tuple[Path, World, int]) -> Written:
    """Write report, volumes and masks of one case; return what it adds to the tables."""
    root, world, number = job
    case = describe_case(world.seed, number, world.shape[0], world.difficulty, world.series)
    (root / case.folder).mkdir(parents=True)
    (root / case.folder / "text.txt").write_text(case.report, encoding="utf-8")
    written = Written(case)
    everywhere = tuple(range(world.shape[0]))
    for index, questions in enumerate(case.questions):
        rendered = render_series(
            case, index, world.seed, world.shape, world.difficulty, world.organ_masks
        )
        np.save(root / case.image(index), rendered.image, allow_pickle=False)
        found = everywhere
        if rendered.finding is not None:
            found = tuple(np.flatnonzero(rendered.finding.any(axis=(0, 2, 3))).tolist())
        written.evidence.append([found if q.local else everywhere for q in questions])
        if world.split(number) != "val":  # M3D-Seg has no validation split.
            written.labels += _write_masks(root, case, index, rendered)
    return written


def _write_masks(root: Path, case: Case, index: int, rendered: Rendered) -> list[tuple[str, str]]:
    """Write one folder of M3D-Seg; return its pairs of image and mask below the M3D-Seg root."""
    masks: dict[int, Bool[np.ndarray, "1 D H W"]] = {
        body.KINDS.index(case.absent): np.zeros((1, 1, 1, 1), bool)
    }
    if case.finding and rendered.finding is not None:
        masks[body.KINDS.index(case.finding.kind)] = rendered.finding
    for organ, mask in rendered.organs.items():
        masks[len(body.KINDS) + body.ORGANS.index(organ)] = mask
    folder = f"{CODE}/{case.id:06d}_{index}"
    (root / SEG / folder / "masks").mkdir(parents=True)
    image = root / SEG / folder / "image.npy"
    try:
        image.hardlink_to(root / case.image(index))
    except OSError:  # A file system without hard links.
        shutil.copyfile(root / case.image(index), image)
    pairs = []
    for k, mask in sorted(masks.items()):
        label = f"{folder}/masks/mask_{k}.npy"
        np.save(root / SEG / label, mask, allow_pickle=False)
        pairs.append((f"{folder}/image.npy", label))
    return pairs


def _write_cap(root: Path, world: World, written: list[Written]) -> None:
    names = {"train": "train", "val": "validation", "test": "test"}
    splits: dict[str, list[dict[str, str]]] = {name: [] for name in names.values()}
    for w in written:
        for index in range(len(w.case.series)):
            entry = {"image": w.case.image(index), "text": f"{w.case.folder}/text.txt"}
            splits[names[world.split(w.case.id)]].append(entry)
    pools = {"test1k": 1000, "test500": 500, "test100": 100}
    splits |= {name: splits["test"][:size] for name, size in pools.items()}
    _write_json(root / CAP / "M3D_Cap.json", splits)


def _write_vqa(root: Path, world: World, written: list[Written]) -> None:
    rows: dict[str, list[tuple]] = {"train": [], "val": [], "test": [], "yn_train": []}
    evidence = []
    for w in written:
        split = world.split(w.case.id)
        for index, questions in enumerate(w.case.questions):
            image, report = w.case.image(index), f"{w.case.folder}/text.txt"
            for question, slices in zip(questions, w.evidence[index], strict=True):
                scope = "slice" if question.local else "volume"
                name = f"{split}/{len(rows[split]):06d}"
                kind = QUESTION_TYPES[question.type]
                evidence.append((name, image, kind, scope, " ".join(map(str, slices))))
                rows[split].append(_vqa_row(image, report, question))
            if split == "train":
                rows["yn_train"] += [_vqa_row(image, report, q) for q in w.case.yes_no[index]]
    rows["test5k"] = rows["test"][:5000]
    for name, lines in rows.items():
        _write_table(root / VQA / f"M3D_VQA_{name}.csv", VQA_COLUMNS, lines)
    _write_table(root / "evidence.csv", EVIDENCE_COLUMNS, evidence)


def _vqa_row(image: str, report: str, q: Question) -> tuple:
    return (image, report, q.type, q.text, *q.choices, q.answer, q.letter)


def _write_seg(root: Path, world: World, written: list[Written]) -> None:
    splits: dict[str, list[dict[str, str]]] = {"train": [], "test": []}
    for w in written:
        for image, label in w.labels:
            splits[world.split(w.case.id)].append({"image": image, "label": label})
    _write_json(root / SEG / CODE / f"{CODE}.json", splits)
    _write_json(root / SEG / "dataset_info.json", {CODE: [*body.KINDS, *body.ORGANS]})


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _write_table(path: Path, columns: tuple[str, ...], rows: list[tuple]) -> None:
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([columns, *rows])
    path.write_text(table.getvalue(), encoding="utf-8", newline="\n")
