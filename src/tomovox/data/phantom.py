"""How do we test the suite where no CT may be downloaded? A synthetic set, published layout.

`write_phantom` writes M3D-Cap, M3D-VQA and M3D-Seg, on request M3D-RefSeg, as M3D lays them out,
and three files more:
`evidence.csv` (which slices hold the answer), `series.csv` and `phantom.json`.
Letters: D H W depth, height and width of a volume.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from tomovox.data import phantom_body as body
from tomovox.data.phantom_case import Case, describe_case, render_series
from tomovox.data.phantom_refseg import mask_number
from tomovox.data.phantom_render import Rendered
from tomovox.data.phantom_tables import CODE, World, Written, write_tables
from tomovox.data.published_tables import CAP, SEG, VQA, write_refseg_case, write_twin
from tomovox.moments import reached
from tomovox.schema import TomovoxError
from tomovox.workers import end_with_parent

VISIBLE_IN = ("all", "one")
"""The series of a case that show its finding."""


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
    organ_shift: float = 0.0,
    refseg: bool = False,
    native: bool = False,
    visible_in: str = "all",
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> None:
    """Write a synthetic data set of `cases` cases with `series` series each to the folder `root`.

    The bytes follow from all arguments but `progress` and `workers`. The first `test_cases` ids are
    test, the next `val_cases` validation, the rest train; both default to a tenth, at least one.
    `organ_shift` is the sd, as a fraction of the side, by which organs lie elsewhere than usual.
    `native` keeps the slices of every series as they were scanned, 20 to 48 where D is 32. With
    `visible_in` "one" a single series of a case shows its finding, in "all" each one does.
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
        organ_shift,
        refseg,
        native,
        visible_in,
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
        reached("before", root)
        _move(temporary, root, world)
        reached("after", root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check(world: World, workers: int) -> None:
    """Raise TomovoxError on the first argument that is out of range."""
    pairs = len(body.PLANES) * len(body.PHASES)
    depth, *plane = world.shape
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
        (
            0.0 <= world.organ_shift <= 0.3,
            f"organ_shift={world.organ_shift}: give 0 to 0.3, a fraction of the side",
        ),
        (
            world.visible_in in VISIBLE_IN,
            f"visible_in={world.visible_in!r}: give one of {', '.join(VISIBLE_IN)}",
        ),
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
        if manifest.read_bytes() == world.manifest().encode():
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
    write_tables(root, world, written)


def _written_cases(root: Path, world: World, workers: int) -> Iterator[Written]:
    jobs = ((root, world, case) for case in range(1, world.cases + 1))
    if workers == 1:
        yield from map(_write_case, jobs)
        return
    # A forked worker starts at once: it runs numpy alone and need not import torch again.
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(workers, context, initializer=end_with_parent) as pool:
        yield from pool.map(_write_case, jobs, chunksize=16)


def _write_case(job: tuple[Path, World, int]) -> Written:
    """Write report, volumes and masks of one case; return what it adds to the tables."""
    root, world, number = job
    case = describe_case(
        world.seed,
        number,
        world.shape[0],
        world.difficulty,
        world.series,
        world.organ_shift,
        world.visible_in,
    )
    (root / case.folder).mkdir(parents=True)
    (root / case.folder / "text.txt").write_text(case.report, encoding="utf-8")
    written = Written(case)
    for index, questions in enumerate(case.questions):
        rendered = render_series(
            case, index, world.seed, world.shape, world.difficulty, world.organ_masks, world.native
        )
        np.save(root / case.image(index), rendered.image, allow_pickle=False)
        everywhere = tuple(range(rendered.image.shape[1]))
        found: tuple[int, ...] = ()  # no slice of a series that does not show what is asked for
        if rendered.finding is not None:
            found = tuple(np.flatnonzero(rendered.finding.any(axis=(0, 2, 3))).tolist())
        written.evidence.append([found if q.local else everywhere for q in questions])
        if world.split(number) != "val":  # M3D-Seg has no validation split.
            written.labels += _write_masks(root, case, index, rendered)
            referred = world.refseg and index == (case.visible or 0)
            if referred and case.finding and rendered.finding is not None:
                labels = rendered.finding * np.uint8(mask_number(case.finding))
                write_refseg_case(root, f"{case.id:06d}", case.image(index), labels)
    return written


def _write_masks(root: Path, case: Case, index: int, rendered: Rendered) -> list[tuple[str, str]]:
    """Write one folder of M3D-Seg; return its pairs of image and mask below the M3D-Seg root."""
    masks: dict[int, Bool[np.ndarray, "1 D H W"]] = {
        body.KINDS.index(case.absent): np.zeros((1, 1, 1, 1), bool)
    }
    if case.finding:
        shown = rendered.finding
        masks[body.KINDS.index(case.finding.kind)] = (
            np.zeros((1, 1, 1, 1), bool) if shown is None else shown
        )
    for organ, mask in rendered.organs.items():
        masks[len(body.KINDS) + body.ORGANS.index(organ)] = mask
    folder = f"{CODE}/{case.id:06d}_{index}"
    (root / SEG / folder / "masks").mkdir(parents=True)
    write_twin(root / case.image(index), root / SEG / folder / "image.npy")
    pairs = []
    for k, mask in sorted(masks.items()):
        label = f"{folder}/masks/mask_{k}.npy"
        np.save(root / SEG / label, mask, allow_pickle=False)
        pairs.append((f"{folder}/image.npy", label))
    return pairs
