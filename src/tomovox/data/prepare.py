"""How do a user's own scans become volumes in the published form, once and traceably?

Every image is read, turned, scaled, cropped and resized (`images`) and written as one .npy (1, D,
H, W); prepared.tsv says what became of which. Letters: D H W depth, height and width.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from tomovox.data.faults import DataFault, Faults
from tomovox.data.image_tree import Source, find_sources, find_texts
from tomovox.data.images import SHAPE, check_settings, prepare_image
from tomovox.data.written import in_processes, write_array, write_inside
from tomovox.files import write_atomically
from tomovox.parsed import json_of
from tomovox.schema import TomovoxError

SETTINGS, TABLE, REFUSED = "prepare.json", "prepared.tsv", "not_prepared.tsv"
COLUMNS = (
    *("source", "output", "source_shape", "spacing_mm", "source_orientation"),
    *("axes", "window", "dropped_slices"),
)
FORMATS, DEPTHS = ("uint8", "float16", "float32"), ("shape", "native")


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the voxels of every output; they stand in prepare.json.

    `window` is (centre, width), or None for the image's own minimum and maximum. `format` uint8
    takes a quarter of float32's space and is off by at most 1/510, float16 half and 1/4096. With
    `depth` "native" an image keeps its slices as they are, whatever D of `shape` is; "shape" makes
    D of them, as published.
    """

    shape: tuple[int, int, int] = SHAPE
    window: tuple[float, float] | None = None
    plane: str = "axial"
    format: str = "uint8"
    depth: str = "shape"

    def window_text(self) -> str:
        """Return what prepared.tsv says of the window."""
        return "{:g},{:g}".format(*self.window) if self.window else "min-max"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many images were prepared now, were there already, and could not be prepared."""

    prepared: int
    skipped: int
    refused: tuple[DataFault, ...]


def prepare(
    source: Path,
    target: Path,
    settings: Settings | None = None,
    workers: int = 1,
    on_error: str = "raise",
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Prepare the image, folder or tree `source` into the folder `target`.

    Outputs keep their paths below `source`. Those that are there already, made with the same
    settings, are skipped, so a stopped run goes on. `on_error` is 'raise' for the first image that
    cannot be prepared, or 'list' to leave those out and list them in not_prepared.tsv. `progress`
    is called with (images done, images in all).

    Raises TomovoxError when `target` lies in `source`, holds anything else, or was made with other
    settings, and when there is no image at all.
    """
    source, target, settings = Path(source), Path(target), settings or Settings()
    check_settings(settings.window, settings.shape, settings.plane)
    if settings.format not in FORMATS:
        raise TomovoxError(f"format {settings.format!r} is unknown; known: {', '.join(FORMATS)}")
    if settings.depth not in DEPTHS:
        raise TomovoxError(f"depth {settings.depth!r} is unknown; known: {', '.join(DEPTHS)}")
    check_places(source, target)
    faults = Faults(collect=on_error == "list")
    sources = find_sources(source, faults)
    if not sources and not faults.found:
        raise TomovoxError(
            f"{source}: no image found; give .nii, .nii.gz, .nrrd, .npy, DICOM files or folders of "
            f"slices <int>.png"
        )
    keep_settings(source, target, settings)
    rows = finished_rows(target)
    pending = [s for s in sources if s.output not in rows]
    for done, (one, result) in enumerate(_results(pending, target, settings, workers), 1):
        if isinstance(result, DataFault):
            faults.add(result)
        else:
            rows[one.output] = result
            with (target / TABLE).open("a", encoding="utf-8", newline="\n") as stream:
                stream.write(result + "\n")
        if progress:
            progress(done, len(pending))
    _write_texts(source, target, faults)
    write_tables(target, rows, faults.found)
    prepared = sum(one.output in rows for one in pending)
    return Outcome(prepared, len(sources) - len(pending), tuple(faults.found))


def report_text(raw: str) -> str:
    """Return the report of a case on one line: its findings, else its discussion, else all of it.

    A part of fewer than 5 letters counts as absent. Source: M3D, released preprocessing of M3D-Cap.
    """
    for mark in ("study_findings:", "discussion:"):
        _, found, part = raw.partition(mark)
        text = " ".join((part if found else raw).replace("\n", " ").split())
        if len(re.sub(r"\s", "", text)) >= 5:
            return text
    return " ".join(raw.split())


def quantised(voxels: Float[np.ndarray, "1 D H W"], format: str) -> Shaped[np.ndarray, "1 D H W"]:
    """Return intensities of [0, 1] as they are stored, see `Settings`."""
    if format != "uint8":
        return voxels.astype(format, copy=False)
    return np.rint(voxels * np.float32(255)).astype(np.uint8)


def check_places(source: Path, target: Path) -> None:
    """Raise TomovoxError unless `source` is there and `target` may be a folder beside it."""
    if not source.exists():
        raise TomovoxError(f"{source}: no such file or folder; check the path")
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise TomovoxError(f"{target}: lies in {source}; write to a folder beside it")
    if target.exists() and not target.is_dir():
        raise TomovoxError(f"{target}: is a file; give a folder")


def keep_settings(source: Path, target: Path, settings: Any) -> None:
    """Write a dataclass of settings to prepare.json; raise TomovoxError when else lies there."""
    path = target / SETTINGS
    wanted = {"source": str(source.resolve()), **json.loads(json.dumps(asdict(settings)))}
    if not path.is_file():
        if target.is_dir() and any(target.iterdir()):
            raise TomovoxError(
                f"{target}: holds files but no {SETTINGS}; give a new or empty folder"
            )
        write_atomically(path, json.dumps(wanted, indent=1) + "\n")
        return
    try:
        found = json_of(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TomovoxError(f"{path}: cannot be read ({error}); give a new folder") from None
    found = {"depth": "shape"} | (found if isinstance(found, dict) else {})  # not always said
    changed = [f"{k}: {found.get(k)} -> {v}" for k, v in wanted.items() if found.get(k) != v]
    if changed:
        raise TomovoxError(
            f"{target}: was prepared with other settings ({'; '.join(changed)}); "
            f"give a new folder, or the old settings"
        )


def finished_rows(target: Path, columns: Sequence[str] = COLUMNS) -> dict[str, str]:
    """Return the whole lines of prepared.tsv by output, of outputs that are still there."""
    path = target / TABLE
    if not path.is_file():
        return {}
    rows = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]:
            cells = line.rstrip("\n").split("\t")
            whole = line.endswith("\n") and len(cells) == len(columns)
            if whole and (target / cells[1]).is_file():
                rows[cells[1]] = line.rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:  # OSError also of a name that is too long
        raise TomovoxError(f"{path}: cannot be read ({error}); give a new folder") from None
    # A line that was cut off must not grow into the next one.
    write_tables(target, rows, (), columns)
    return rows


def _results(
    sources: Sequence[Source], target: Path, settings: Settings, workers: int
) -> Iterator[tuple[Source, str | DataFault]]:
    if not (target / TABLE).is_file():
        write_tables(target, {}, ())
    work = partial(_prepare_one, target=target, settings=settings)
    yield from zip(sources, in_processes(sources, work, workers), strict=True)


def _prepare_one(source: Source, target: Path, settings: Settings) -> str | DataFault:
    """Write one output; return its line of prepared.tsv, or what is wrong with the image."""
    try:
        image = prepare_image(
            source.read(),
            source.place,
            settings.window,
            settings.shape,
            settings.plane,
            settings.depth == "native",
        )
    except DataFault as fault:
        return fault
    write_array(target, source.output, quantised(image.voxels, settings.format))
    cells = (
        source.place,
        source.output,
        "x".join(map(str, image.source_shape)),
        "x".join(f"{size:g}" for size in image.spacing_mm) or "unknown",
        image.source_orientation,
        image.axes,
        settings.window_text(),
        str(image.dropped_slices),
    )
    return "\t".join(" ".join(cell.split()) for cell in cells)


def _write_texts(source: Path, target: Path, faults: Faults) -> None:
    """Write the report of every case beside its volumes."""
    for path, output in find_texts(source):
        try:
            text = report_text(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            faults.add(DataFault(str(path), f"not text in UTF-8 ({error})", "save it again"))
            continue
        write_inside(target, output, text + "\n")


def write_tables(
    target: Path,
    rows: dict[str, str],
    refused: Sequence[DataFault],
    columns: Sequence[str] = COLUMNS,
) -> None:
    """Write prepared.tsv, sorted, and not_prepared.tsv, which is there only when it lists any."""
    lines = "".join(f"{rows[output]}\n" for output in sorted(rows))
    write_atomically(target / TABLE, "\t".join(columns) + "\n" + lines)
    parts = ((f.place, f.what, f.remedy) for f in refused)
    listed = ("\t".join(" ".join(part.split()) for part in line) + "\n" for line in parts)
    if refused:
        write_atomically(target / REFUSED, "place\twhat\twhat to do\n" + "".join(listed))
    else:
        (target / REFUSED).unlink(missing_ok=True)
