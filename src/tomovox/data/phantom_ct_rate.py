"""How do we test on CT-RATE where it may not be downloaded? A synthetic tree in its exact layout.

Written is what one downloads: .nii.gz, reports, labels, metadata and questions. `data prepare`
makes of it what is read. Letters: n slices, H W size of a slice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16

from tomovox.data import phantom_body as body
from tomovox.data.ct_rate import QUESTIONS, TABLES
from tomovox.data.ct_rate_scan import SPACING_MM, ScanSettings
from tomovox.data.phantom_chest import Chest, draw_chest, render_chest
from tomovox.data.phantom_chest_text import NOT_GIVEN, TECHNIQUE, conversations, report_of
from tomovox.data.phantom_ct_rate_tables import (
    VENDORS,
    Vendor,
    Written,
    metadata_row,
    write_tables,
)
from tomovox.data.prepare_ct_rate import prepare_ct_rate
from tomovox.data.written import in_processes
from tomovox.files import whole_file, write_atomically
from tomovox.schema import TomovoxError

VERSION = 1
"""Raised whenever the same arguments would give other bytes in a file that is read as data."""

MANIFEST = "phantom.json"
SHAPE = (32, 64, 64)
SIZES = {"plain": 1.5, "easy": 1.25, "base": 1.0, "hard": 0.8}
"""Difficulty -> how large abnormalities are, as a multiple of their usual size."""

FOLDERS = {"train": "train", "valid": "valid_fixed"}
"""Published split -> the folder of its volumes: raw values in one, HU in the other."""

README = """This data set is synthetic: ellipsoids, noise and a small grammar. It shows no patient.

Layout: CT-RATE as published (dataset/...), volumes as .nii.gz. The volumes of dataset/train hold
raw values: value * RescaleSlope + RescaleIntercept of the metadata is in HU, and one vendor's
intercept is -8192. Those of dataset/valid_fixed are in HU. Most scans have two reconstructions, of
a sharp and a soft kernel, whose slices may be of another number and thickness. Labels say what was
drawn. To read it: tomovox data prepare DIR PREPARED
"""


@dataclass(frozen=True, slots=True)
class World:
    """The arguments that decide every byte; they are phantom.json.

    `shape` is about the size of a scan at CT-RATE's usual spacing; the number of slices varies.
    """

    cases: int
    seed: int
    shape: tuple[int, int, int]
    difficulty: str
    test_cases: int
    series: int

    def manifest(self) -> str:
        """Return the text of phantom.json."""
        return (
            json.dumps({"version": VERSION, "layout": "ct_rate", **asdict(self)}, indent=1) + "\n"
        )

    def split(self, patient: int) -> str:
        """Return the published split of a patient, who is counted from 1: the first are valid."""
        return "valid" if patient <= self.test_cases else "train"

    def check(self) -> None:
        """Raise TomovoxError on the first argument that is out of range."""
        depth, *plane = self.shape
        rules = (
            (1 <= self.cases < 10**6, f"cases={self.cases}: give 1 to 999999"),
            (self.seed >= 0, f"seed={self.seed}: give 0 or more"),
            (depth >= 8 and min(plane) >= 16, f"shape={self.shape}: give 8, 16, 16 up"),
            (self.difficulty in body.DIFFICULTIES, f"difficulty={self.difficulty!r} is unknown"),
            (
                0 <= self.test_cases <= self.cases,
                f"test_cases={self.test_cases}: give 0 to cases={self.cases}",
            ),
            (self.series in (1, 2), f"series={self.series}: give 1 or 2 reconstructions"),
        )
        for holds, message in rules:
            if not holds:
                raise TomovoxError(f"phantom of layout ct_rate: {message}")


def write_ct_rate_phantom(
    root: Path,
    cases: int,
    seed: int,
    shape: tuple[int, int, int] = SHAPE,
    difficulty: str = "base",
    test_cases: int | None = None,
    series: int = 2,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> None:
    """Write a synthetic CT-RATE, as downloaded, of `cases` patients to the folder `root`.

    The bytes follow from all arguments but `progress` and `workers`. The first `test_cases`
    patients, by default a tenth, are the split `valid`. Some patients have a second scan. The
    folder appears whole or not at all. Raises TomovoxError on arguments out of range, and when
    `root` holds anything but the same set; where it holds the same set nothing is written.
    """
    tenth = max(1, cases // 10)
    world = World(
        cases, seed, shape, difficulty, tenth if test_cases is None else test_cases, series
    )
    world.check()
    if _already_there(root, world):
        return
    with whole_file(root) as temporary:
        for kind in (*TABLES, QUESTIONS):
            (temporary / "dataset" / kind).mkdir(parents=True)
        written: list[Written] = []
        work = partial(_write_patient, root=temporary, world=world)
        patients = range(1, cases + 1)
        for done, scans in enumerate(in_processes(patients, work, workers), 1):
            written += scans
            if progress:
                progress(done, cases)
        for split in FOLDERS:
            write_tables(temporary / "dataset", split, [w for w in written if w.split == split])
        (temporary / "README.txt").write_text(README, encoding="utf-8")
        (temporary / MANIFEST).write_text(world.manifest(), encoding="utf-8")


def write_prepared_ct_rate(
    root: Path, raw: Path, workers: int = 1, native: bool = False, **arguments: Any
) -> None:
    """Write a synthetic CT-RATE to `raw`, and what `data prepare` makes of it to `root`.

    Volumes have the phantom's shape; with `native` they keep all slices. The manifest is written
    last: where it is, `root` is whole. Raises as `write_ct_rate_phantom`.
    """
    write_ct_rate_phantom(raw, workers=workers, **arguments)
    shape = tuple(arguments.get("shape", SHAPE))
    depth = "native" if native else "shape"
    outcome = prepare_ct_rate(raw, root, ScanSettings(shape=shape, depth=depth), workers)
    if outcome.volumes.refused:
        raise TomovoxError(str(outcome.volumes.refused[0]))
    write_atomically(root / MANIFEST, (raw / MANIFEST).read_bytes())


def _already_there(root: Path, world: World) -> bool:
    """Return whether `root` holds this very set; raise TomovoxError when it holds another."""
    if not root.exists():
        return False
    manifest = root / MANIFEST
    if manifest.is_file() and manifest.read_bytes() == world.manifest().encode():
        return True
    if manifest.is_file():
        raise TomovoxError(
            f"{manifest}: a phantom of other arguments; remove it or choose another folder"
        )
    if not root.is_dir() or any(root.iterdir()):
        raise TomovoxError(f"{root}: exists and is no phantom data set; choose another folder")
    return False


def _write_patient(patient: int, root: Path, world: World) -> list[Written]:
    """Write the volumes of one patient; return what each scan adds to the tables.

    Anatomy, scans and words have generators of their own, so that a patient depends neither on the
    number of patients nor on the worker that writes it.
    """
    anatomy, scans = (np.random.default_rng([world.seed, patient, k]) for k in range(2))
    parts = body.draw_parts(anatomy)
    size = SIZES[world.difficulty]
    written = []
    for scan in "ab"[: 1 + int(scans.random() < 0.15)]:
        chest = draw_chest(parts, size, scans)
        vendor = VENDORS[int(scans.integers(len(VENDORS)))]
        length = float(scans.uniform(0.85, 1.15)) * world.shape[0] * SPACING_MM[0]
        count = world.series if scans.random() < 0.9 else 1
        written.append(_write_scan(root, world, patient, scan, chest, vendor, length, count))
    return written


def _write_scan(
    root: Path,
    world: World,
    patient: int,
    scan: str,
    chest: Chest,
    vendor: Vendor,
    length: float,
    count: int,
) -> Written:
    """Write the reconstructions of a scan that is `length` mm long."""
    split = world.split(patient)
    purpose = 10 * (1 + "ab".index(scan))
    words = np.random.default_rng([world.seed, patient, purpose])
    findings, impressions = report_of(chest, words)
    written = Written(split)
    stem = f"{split}_{patient}_{scan}"
    folder = root / "dataset" / FOLDERS[split] / f"{split}_{patient}" / stem
    folder.mkdir(parents=True)
    for k in range(count):
        name = f"{stem}_{k + 1}.nii.gz"
        factor = vendor.matrix[k]
        slices = max(2, round(length / vendor.slice_mm[k]))
        shape = (slices, world.shape[1] * factor, world.shape[2] * factor)
        noise = np.random.default_rng([world.seed, patient, purpose + 1 + k])
        level = body.DIFFICULTIES[world.difficulty].noise_hu
        hu = render_chest(chest, shape, vendor.sharp[k], level, noise)
        spacing = (vendor.slice_mm[k], SPACING_MM[1] / factor, SPACING_MM[2] / factor)
        values = hu if FOLDERS[split].endswith("_fixed") else hu - np.int16(vendor.intercept)
        _write_volume(folder / name, values, spacing)
        written.reports.append((name, NOT_GIVEN, TECHNIQUE, findings, impressions))
        written.labels.append((name, *(str(int(label)) for label in chest.labels)))
        written.metadata.append(metadata_row(name, vendor, k, shape, spacing))
        written.questions += conversations(chest, name, patient, findings, words)
    return written


def _write_volume(
    path: Path, values: Int16[np.ndarray, "n H W"], spacing: tuple[float, float, float]
) -> None:
    """Write values as NIfTI with axes to the left, the back and the head, as DICOM has them."""
    import nibabel as nib

    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    stored = np.ascontiguousarray(values[::-1].transpose(2, 1, 0))
    nib.save(nib.Nifti1Image(stored, affine), path)
