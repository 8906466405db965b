"""Which images lie below a folder, and what will their prepared files be called?

Nothing outside the folder is read: links that lead out of it are faults.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tomovox.data.faults import DataFault, Faults
from tomovox.data.image_dicom import Series, is_dicom, read_dicom, split_series
from tomovox.data.image_files import read_file
from tomovox.data.image_slices import SLICE_SUFFIXES, read_slices, slice_files
from tomovox.data.stored import SUFFIXES, Stored, file_kind

LONGEST = 120
"""Letters of a folded name; file systems take at most 255 bytes."""

FOREIGN = (".mha", ".mhd", ".mgh", ".mgz", ".hdr", ".img", ".mnc", ".tif", ".tiff", ".bmp")
"""Images that cannot be read here: faults, so that none is left out unsaid."""

TEXT = "text.txt"
"""The report of a case beside its series, as M3D-Cap distributes it."""


@dataclass(frozen=True, slots=True)
class Source:
    """An image to prepare: a file, a DICOM series or a folder of slices, and its new name."""

    path: Path
    output: str
    series: Series | None = None
    slices: tuple[Path, ...] = ()

    @property
    def place(self) -> str:
        """What errors and prepared.tsv call it."""
        return f"{self.path}: series {self.series.name}" if self.series else str(self.path)

    def read(self) -> Stored:
        """Return the image as stored; TomovoxError when it cannot be read."""
        if self.series:
            return read_dicom(self.path, self.series)
        if self.slices:
            return read_slices(self.path, self.slices)
        return read_file(self.path, file_kind(self.path))


def find_sources(root: Path, faults: Faults) -> list[Source]:
    """Return the images at or below `root`, sorted by folder and name.

    Outputs keep their place below `root`; a series and a folder of slices get their folder's name,
    several series of one folder a name each inside it. Names are folded to ASCII. What cannot be
    told apart or read goes to `faults`.
    """
    if root.is_file():
        return _files_of(root.parent, [root], root.parent, faults)
    found: list[Source] = []
    for folder, files in _walk(root, faults):
        images = [p for p in files if p.name.lower().endswith((*SUFFIXES, *FOREIGN))]
        found += _files_of(root, images, folder, faults)
        try:
            found += _stacks_of(root, files, folder)
        except DataFault as fault:
            faults.add(fault)
    return _distinct(found, faults)


def find_texts(root: Path) -> list[tuple[Path, str]]:
    """Return the reports below `root` and their new places."""
    if root.is_file():
        return []
    return [
        (file, _output(root, file.parent, TEXT))
        for _, files in _walk(root, Faults(collect=True))
        for file in files
        if file.name == TEXT
    ]


def ascii_name(name: str) -> str:
    """Return a name as plain ASCII: accents dropped, other letters as their code point.

    The result is one part of a path, whatever a font makes of dots and slashes.
    """
    letters = []
    for letter in unicodedata.normalize("NFKD", name):
        if letter.isascii():
            letters.append(letter if letter.isprintable() and letter not in '/\\:*?"<>|' else "_")
        elif not unicodedata.combining(letter):
            letters.append(f"u{ord(letter):x}")
    folded = "".join(letters).strip()
    return folded[:LONGEST] if folded.strip(".") else "_"


def _walk(root: Path, faults: Faults) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder and its files, sorted; links that leave `root` go to `faults`."""
    inside = root.resolve()
    for name, folders, files in os.walk(root):
        folders.sort()
        folder = Path(name)
        kept = []
        for entry in sorted([*files, *(f for f in folders if (folder / f).is_symlink())]):
            path = folder / entry
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                faults.add(DataFault(str(path), "a link that leads out", "copy what it points to"))
            elif path.is_file():
                kept.append(path)
        yield folder, kept


def _files_of(root: Path, files: list[Path], folder: Path, faults: Faults) -> list[Source]:
    found = []
    for path in files:
        try:
            kind = file_kind(path)
            stem = path.name[: -len(kind)]
            found.append(Source(path, _output(root, folder, f"{ascii_name(stem)}.npy")))
        except DataFault as fault:
            faults.add(fault)
    return found


def _stacks_of(root: Path, files: list[Path], folder: Path) -> list[Source]:
    """Return the DICOM series of one folder, or its pictures as one series."""
    if any(path.suffix.lower() in SLICE_SUFFIXES for path in files):
        slices = slice_files(files)
        return [Source(folder, _output(root, folder), slices=tuple(slices))]
    others = (p for p in files if not p.name.lower().endswith((*SUFFIXES, ".txt", ".json", ".tsv")))
    series = split_series(path for path in others if is_dicom(path))
    if len(series) == 1:
        return [Source(folder, _output(root, folder), series[0])]
    return [
        Source(folder, _output(root, folder, f"{ascii_name(one.name)}.npy"), one) for one in series
    ]


def _output(root: Path, folder: Path, name: str | None = None) -> str:
    """Return the new path of a file in a folder, or of the folder itself as one .npy."""
    parts = [ascii_name(part) for part in folder.relative_to(root).parts]
    if name is None:
        own = parts.pop() if parts else ascii_name(root.resolve().name)
        name = f"{own}.npy"
    return str(PurePosixPath(*parts, name))


def _distinct(found: list[Source], faults: Faults) -> list[Source]:
    first: dict[str, Source] = {}
    for source in found:
        twin = first.setdefault(source.output.lower(), source)
        if twin is not source:
            what = f"gets the name {source.output}, as {twin.place} does"
            faults.add(DataFault(source.place, what, "rename one of them"))
    return list(first.values())
