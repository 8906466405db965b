"""How fast do volumes come from disk, ready for an encoder? Ours: prepared once, mapped, a batch.

The released way (M3D, Med-2E3): each volume is a float32 .npy, which is loaded, cropped to its
foreground (voxels above 0) and resized trilinearly, item by item in every epoch, and then stacked.
Ours: `tomovox data prepare` crops and resizes once and keeps bytes; a batch of them is checked and
widened into one tensor. Outputs are equal to within 1/510, half a step of a byte.

read_and_prepare, disk: scans of 40 x 288 x 288 with a margin of air, read at 32 x 256 x 256.
published_form: float32 files that have the published size already, so that the released crop and
resize find nothing to do. There the files of ours are smaller by 3.9998: a header is 128 bytes.
half: as read_and_prepare, kept as float16, within 1/4096.
All files lie in the page cache. The limit is memory bandwidth: a byte is read and four are written.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from speed_case import Case
from torch import Tensor
from torch.nn import functional

from tomovox.data.prepare import Settings, prepare
from tomovox.data.volumes import read_volumes
from tomovox.schema import Studies

VOLUMES = 8
SHAPE = (32, 256, 256)
SCAN = (40, 288, 288)
AIR = (2, 12, 9)
"""Voxels of air on each side of a scan, along D, H, W."""

STEP = {"uint8": 1 / 510, "float16": 1 / 4096}
"""How far an intensity may be from the one that was kept in this format."""


def cases() -> Iterator[Case]:
    """Yield the cases of reading, and of the space on disk."""
    with scans(SCAN, AIR) as (raw, folder):
        bytes_kept = prepared(raw, folder / "uint8", "uint8")
        yield reading("read_and_prepare", raw, bytes_kept, "uint8")
        yield reading("half", raw, prepared(raw, folder / "float16", "float16"), "float16")
        yield Case(
            *("data", "disk", "bytes", len(raw)),
            ours=lambda: bytes_kept,
            reference=lambda: raw,
            equal=lambda a, b: alike("uint8", ours(a), reference(b)),
            compares="size",
            size=lambda files: sum(file.stat().st_size for file in files),
        )
    with scans(SHAPE, (0, 0, 0)) as (raw, folder):
        yield reading("published_form", raw, prepared(raw, folder / "uint8", "uint8"), "uint8")


def growth() -> Iterator[Case]:
    """Yield the reading of scans of 8 to 128 slices, kept with as many."""
    for slices in (8, 16, 32, 64, 128):
        size = (slices + slices // 4, 288, 288)
        with scans(size, (slices // 16, 12, 9)) as (raw, folder):
            shape = (slices, *SHAPE[1:])
            kept = prepared(raw, folder / "uint8", "uint8", shape)
            yield reading(f"slices_{slices}", raw, kept, "uint8", shape)


def reading(
    name: str,
    raw: Sequence[Path],
    kept: Sequence[Path],
    format: str,
    shape: tuple[int, int, int] = SHAPE,
) -> Case:
    """Return the case of reading the same volumes from both kinds of files."""
    moved = int(np.prod(shape)) * (np.dtype(format).itemsize + 4)
    return Case(
        *("data", name, "volumes/s", len(raw)),
        ours=partial(ours, kept),
        reference=partial(reference, raw, shape),
        equal=partial(alike, format),
        limit=lambda: bandwidth() / moved,
    )


def ours(files: Sequence[Path]) -> Tensor:
    """Return prepared volumes as the batch that an encoder reads."""
    voxels = read_volumes(files[0].parent, [(file.name, file.stem) for file in files])
    return Studies(voxels, torch.arange(len(voxels))).stacked()


def reference(files: Sequence[Path], shape: tuple[int, int, int] = SHAPE) -> Tensor:
    """Return volumes as the released loaders make them: item by item, and then stacked."""
    return torch.stack([reference_item(file, shape) for file in files])


def reference_item(file: Path, shape: tuple[int, int, int]) -> Tensor:
    """Load one volume, crop it to the box of voxels above 0, and resize it (1, D, H, W)."""
    volume = torch.from_numpy(np.load(file))[None]
    above = volume[0] > 0
    box = []
    for others in ((1, 2), (0, 2), (0, 1)):
        places = torch.nonzero(above.any(others[1]).any(others[0]))
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    volume = volume[:, *box]
    if volume.shape[1:] == shape:  # the released resize copies nothing either
        return volume
    return functional.interpolate(volume[None], shape, mode="trilinear", align_corners=False)[0]


def alike(format: str, a: Tensor, b: Tensor) -> bool:
    """Return whether two batches are the same but for the format that one was kept in."""
    return a.shape == b.shape and float((a - b).abs().max()) <= STEP[format] + 1e-6


@contextmanager
def scans(
    size: tuple[int, int, int], air: tuple[int, int, int], count: int = VOLUMES
) -> Iterator[tuple[list[Path], Path]]:
    """Yield float32 .npy files of a scan each, intensities from 0 to 1 within the air, seeded."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "raw").mkdir()
        files = []
        inside = tuple(slice(side, whole - side) for side, whole in zip(air, size, strict=True))
        for k in range(count):
            scan = np.zeros(size, np.float32)
            body = np.random.default_rng(k).random(scan[inside].shape, dtype=np.float32)
            body.flat[:2] = 0, 1  # so that scaling to [0, 1] changes nothing
            scan[inside] = body
            files.append(folder / "raw" / f"{k}.npy")
            np.save(files[-1], scan)
        yield files, folder


def prepared(
    raw: Sequence[Path],
    target: Path,
    format: str,
    shape: tuple[int, int, int] = SHAPE,
) -> list[Path]:
    """Return what `tomovox data prepare` makes of the scans."""
    prepare(raw[0].parent, target, Settings(shape=shape, format=format))
    return [target / file.name for file in raw]


def bandwidth() -> float:
    """Return the bytes that the machine reads and writes in a second when it copies."""
    source = np.ones(1 << 26, np.uint8)
    target = np.empty_like(source)
    return 2 * source.nbytes / min(_seconds(lambda: np.copyto(target, source)) for _ in range(7))


def _seconds(call: Callable[[], object]) -> float:
    begun = perf_counter()
    call()
    return perf_counter() - begun
