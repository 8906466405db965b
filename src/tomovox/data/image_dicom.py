"""How does a folder of DICOM files become one image, or several: one per series?

Letters: i column, j row, k slice of a series; LPS and RAS the worlds of DICOM and of NIfTI.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from tomovox.data.faults import DataFault
from tomovox.data.stored import (
    AGAIN,
    MOST_PIXELS,
    Stored,
    check_size,
    check_volume,
    orientation_code,
)

UNEVEN = 1.5
"""A gap between slices of so many times the usual one is a missing slice."""

CONVERT = "convert the series to NIfTI (for example with dcm2niix) and give that"

DEFLATED = b"1.2.840.10008.1.2.1.99"
"""The transfer syntax of files that are packed as a whole."""

UNREADABLE = (
    *(OSError, EOFError, ValueError, AttributeError, KeyError, TypeError),
    *(NotImplementedError, RuntimeError, IndexError, struct.error, OverflowError, MemoryError),
)
"""What pydicom raises for files that are cut off, broken, or packed in a way it cannot unpack."""


@dataclass(frozen=True, slots=True)
class Series:
    """The files of one series in one folder, in order of name, and what the series is called."""

    uid: str
    name: str
    files: tuple[Path, ...]


def is_dicom(path: Path) -> bool:
    """Whether a file bears the mark of DICOM after its preamble, or the suffix .dcm."""
    if path.suffix.lower() == ".dcm":
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def split_series(files: Iterable[Path]) -> list[Series]:
    """Return the series that some DICOM files belong to, in order of their first file.

    Its name is number and description. Files without image, such as DICOMDIR or a report, belong
    to none. Raises TomovoxError for a file that is not DICOM.
    """
    groups: dict[str, list[Path]] = {}
    names: dict[str, str] = {}
    for path in sorted(files):
        with _readable(path):
            header = _header(path)
            if "Rows" not in header:
                continue
            uid = str(header.get("SeriesInstanceUID", ""))
            parts = (header.get("SeriesNumber", ""), header.get("SeriesDescription", ""))
            name = "_".join(str(part).strip() for part in parts if str(part or "").strip())
        groups.setdefault(uid, []).append(path)
        names.setdefault(uid, name or uid)
    return [Series(uid, names[uid], tuple(own)) for uid, own in groups.items()]


def one_series(folder: Path) -> Series:
    """Return the only series of a folder; raise TomovoxError when it holds none or several."""
    found = split_series(p for p in folder.iterdir() if p.is_file() and is_dicom(p))
    if not found:
        raise DataFault(
            str(folder), "holds neither DICOM files nor slices <int>.png", "give another folder"
        )
    if len(found) > 1:
        names = ", ".join(series.name for series in found)
        raise DataFault(
            str(folder), f"holds {len(found)} series ({names})", "put each into its own folder"
        )
    return found[0]


def read_dicom(folder: Path, series: Series) -> Stored:
    """Return a series as one image (columns, rows, slices), rescale slope and intercept applied.

    Slices are sorted by their position along the normal of the image plane. Raises TomovoxError,
    naming the file, for what is no stack: one slice, several frames, orientations or sizes, two
    slices at one position, a missing slice; and for pixels that cannot be unpacked here. Source:
    DICOM PS3.3, C.7.6.2 (Image Plane Module).
    """
    place, first = str(folder), series.files[0]
    if len(series.files) < 2:
        what = f"series {series.name!r} is a single slice, not a volume"
        raise DataFault(str(first), what, "leave it out, or add the other slices")
    headers, positions = [], np.empty((len(series.files), 3))
    for number, path in enumerate(series.files):
        with _readable(path):
            headers.append(_header(path))
            _check_header(path, headers[-1], headers[0])
            positions[number] = [float(x) for x in headers[-1].ImagePositionPatient]
    with _readable(first):
        shape = (int(headers[0].Columns), int(headers[0].Rows), len(headers))
        across, down, normal = _axes(headers[0])
        rows_mm, columns_mm = (float(size) for size in headers[0].PixelSpacing)
    check_volume(shape, place)
    check_size(shape, 0, 0, place)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    step = _step(along[order], [series.files[i] for i in order], place)
    voxels = np.stack([_pixels(series.files[i]) for i in order], axis=-1)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = across * columns_mm, down * rows_mm
    # The slices' own direction: a tilted gantry moves them sideways too.
    affine[:3, 2] = (positions[order[-1]] - positions[order[0]]) / (len(order) - 1)
    affine[:3, 3] = positions[order[0]]
    affine[:2] *= -1  # LPS to RAS
    code = orientation_code(affine, place)
    return Stored(voxels, affine, (columns_mm, rows_mm, step), code)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what pydicom raises into a DataFault: it reads most elements when they are asked for."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    try:
        yield
    except (InvalidDicomError, BytesLengthException, *UNREADABLE) as error:
        raise _unreadable(path, error) from None


class _Held(io.BufferedReader):
    """A file whose read asks for no more memory than it holds bytes, whatever an element claims."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.bytes = path.stat().st_size

    def read(self, size: int | None = -1) -> bytes:
        left = max(self.bytes - self.tell(), 0)
        size = left if size is None or size < 0 else size
        if size > left + 2**20:  # searching for the end of something reads a little too far
            raise EOFError(f"claims {size} bytes where {left} are left")
        return super().read(min(size, left))


def _header(path: Path, pixels: bool = False) -> Any:
    """Return the elements of a file; DataFault for one that is packed as a whole.

    Such a file unpacks to any size at once.
    """
    import pydicom

    with _Held(path) as stream:
        if DEFLATED in stream.read(2**16):
            raise DataFault(str(path), "is a deflated file", CONVERT)
        stream.seek(0)
        return pydicom.dcmread(stream, stop_before_pixels=not pixels)


def _check_header(path: Path, header: Any, first: Any) -> None:
    """Raise TomovoxError for a slice that cannot stand in a stack with the first one."""
    place = str(path)
    wanted = (
        *("Rows", "Columns", "BitsAllocated", "PixelSpacing"),
        *("ImageOrientationPatient", "ImagePositionPatient"),
    )
    missing = [name for name in wanted if header.get(name) is None]
    if missing and int(header.get("NumberOfFrames", 1) or 1) == 1:
        raise DataFault(place, f"has no {', '.join(missing)}", CONVERT)
    if int(header.get("NumberOfFrames", 1) or 1) > 1:
        raise DataFault(place, f"holds {header.NumberOfFrames} frames in one file", CONVERT)
    if header.get("PhotometricInterpretation") != "MONOCHROME2":
        kind = header.get("PhotometricInterpretation", "of unknown colours")
        raise DataFault(place, f"pixels are {kind}, expected MONOCHROME2", CONVERT)
    if (header.Rows, header.Columns) != (first.Rows, first.Columns):
        raise DataFault(
            place,
            f"is {header.Columns} x {header.Rows}, the first slice {first.Columns} x {first.Rows}",
            "put slices of one size into one folder",
        )
    own, other = (np.array(h.ImageOrientationPatient, float) for h in (header, first))
    if not np.allclose(own, other, atol=1e-3):
        raise DataFault(
            place, "lies in another plane than the first slice", "put each plane into its folder"
        )
    compressed = header.file_meta.TransferSyntaxUID.is_compressed
    held = path.stat().st_size
    size = (int(header.Columns), int(header.Rows))
    if compressed and size[0] * size[1] > MOST_PIXELS:
        raise DataFault(place, f"claims {size[0]} x {size[1]} pixels", CONVERT)
    check_size(size, 0 if compressed else int(header.BitsAllocated) // 8, held, place)


def _axes(header: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the unit vectors along a row, along a column, and the normal, in LPS."""
    cosines = np.array(header.ImageOrientationPatient, float)
    across, down = cosines[:3], cosines[3:]
    return across, down, np.cross(across, down)


def _step(along: Float[np.ndarray, "k"], files: Sequence[Path], place: str) -> float:
    """Return the usual distance of two slices in mm; raise TomovoxError when they are no stack."""
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    if (twins := np.flatnonzero(gaps < 0.01 * max(usual, 1e-3))).size:
        i = int(twins[0])
        raise DataFault(
            place,
            f"{files[i].name} and {files[i + 1].name} lie at one position",
            "put each phase or repetition into its own folder",
        )
    if gaps.max() > UNEVEN * usual:
        i = int(gaps.argmax())
        raise DataFault(
            place,
            f"{gaps[i]:g} mm between {files[i].name} and {files[i + 1].name}, elsewhere {usual:g}: "
            f"a slice is missing",
            "copy the whole series again",
        )
    return usual


def _pixels(path: Path) -> Float[np.ndarray, "i j"]:
    """Return the pixels of one slice (columns, rows) in the units of its rescale slope."""
    with _readable(path):
        data = _header(path, pixels=True)
        slope = float(data.get("RescaleSlope", 1) or 1)
        intercept = float(data.get("RescaleIntercept", 0) or 0)
        pixels = data.pixel_array.T.astype(np.float32)
    return pixels * np.float32(slope) + np.float32(intercept)


def _unreadable(path: Path, error: BaseException) -> DataFault:
    reason = " ".join(str(error).split()) or type(error).__name__
    short = reason if len(reason) <= 200 else f"{reason[:200]} ..."
    return DataFault(str(path), f"not a readable DICOM file ({short})", f"{AGAIN}, or {CONVERT}")
