"""What do NIfTI, NRRD and NumPy files hold: which voxels, which way round, how large?

A header is believed only as far as the file could hold what it claims. Letters: i j k axes as
stored, D H W depth, height and width.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tomovox.data.faults import DataFault
from tomovox.data.stored import (
    AGAIN,
    Stored,
    check_size,
    check_volume,
    orientation_code,
)
from tomovox.data.volumes import open_array
from tomovox.plain_arrays import DEFLATE_RATIO

ASSUMED = " (assumed)"
"""Follows an orientation that the file does not tell."""

NRRD_TYPES = {
    **{"signed char": "i1", "int8": "i1", "int8_t": "i1"},
    **{"uchar": "u1", "unsigned char": "u1", "uint8": "u1", "uint8_t": "u1"},
    **{"short": "i2", "short int": "i2", "signed short": "i2", "signed short int": "i2"},
    **{"int16": "i2", "int16_t": "i2"},
    **{"ushort": "u2", "unsigned short": "u2", "unsigned short int": "u2"},
    **{"uint16": "u2", "uint16_t": "u2"},
    **{"int": "i4", "signed int": "i4", "int32": "i4", "int32_t": "i4"},
    **{"uint": "u4", "unsigned int": "u4", "uint32": "u4", "uint32_t": "u4"},
    **{"longlong": "i8", "long long": "i8", "int64": "i8", "int64_t": "i8"},
    **{"ulonglong": "u8", "unsigned long long": "u8", "uint64": "u8", "uint64_t": "u8"},
    **{"float": "f4", "double": "f8"},
}
"""Names of a voxel's type in NRRD -> in numpy. Source: the NRRD format, field `type`."""

NRRD_SPACES = {
    **{"left-posterior-superior": (-1, -1, 1), "lps": (-1, -1, 1)},
    **{"right-anterior-superior": (1, 1, 1), "ras": (1, 1, 1)},
    **{"left-anterior-superior": (-1, 1, 1), "las": (-1, 1, 1)},
}
"""Name of a space in NRRD -> factors that turn it into RAS+."""


def read_file(path: Path, kind: str) -> Stored:
    """Return what an image file holds; `kind` is its suffix. Raises TomovoxError naming it."""
    if kind == ".npy":
        return read_npy(path)
    return read_nrrd(path) if kind == ".nrrd" else read_nifti(path)


def read_nifti(path: Path) -> Stored:
    """Return a NIfTI image with its scaling applied; axes of size 1 after the third are dropped.

    Without a coded orientation the file is taken as NIfTI's method 1 has it, and its code says so.
    """
    image, shape, code = open_nifti(path)
    with nifti_faults(path):
        voxels = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
    spacing = tuple(float(size) for size in image.header.get_zooms()[:3])
    return Stored(voxels, np.asarray(image.affine, float), spacing, code)


def open_nifti(path: Path) -> tuple[Any, tuple[int, int, int], str]:
    """Return a NIfTI image of which the header alone is read, its shape and orientation code.

    Its slices can be read one after the other at the cost of one pass through the file.
    """
    import nibabel as nib

    place = str(path)
    with nifti_faults(path):
        image = nib.load(path, keep_file_open=True)
        if not isinstance(image, nib.Nifti1Image | nib.Nifti2Image):
            raise DataFault(place, f"holds a {type(image).__name__}, not NIfTI", AGAIN)
        shape = tuple(int(size) for size in image.shape)
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        check_volume(shape, place)
        dtype = image.get_data_dtype()
        if dtype.kind not in "iuf":
            raise DataFault(place, f"voxels are {dtype}, not numbers", "save one grey volume")
        ratio = DEFLATE_RATIO if path.suffix.lower() == ".gz" else 1
        check_size(shape, dtype.itemsize, path.stat().st_size, place, ratio)
    coded = bool(image.header["sform_code"] or image.header["qform_code"])
    code = orientation_code(image.affine, place) + ("" if coded else ASSUMED)
    return image, (shape[0], shape[1], shape[2]), code


@contextmanager
def nifti_faults(path: Path) -> Iterator[None]:
    """Turn what nibabel raises of a damaged file into a DataFault that names the file."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        yield
    except (
        ImageFileError,
        HeaderDataError,
        OSError,
        EOFError,
        ValueError,
        OverflowError,
        zlib.error,
    ) as error:
        reason = f"not a readable NIfTI file ({_reason(error)})"
        raise DataFault(str(path), reason, AGAIN) from None


def read_nrrd(path: Path) -> Stored:
    """Return a NRRD image of one file, raw or gzip; it must say its space and directions."""
    import nrrd

    place = str(path)
    try:
        with path.open("rb") as stream:
            header = nrrd.read_header(stream)
            packed = stream.read()
    except (nrrd.NRRDError, OSError, ValueError, StopIteration) as error:
        raise DataFault(place, f"not a readable NRRD file ({_reason(error)})", AGAIN) from None
    if {"data file", "datafile"} & header.keys():
        raise DataFault(place, "its voxels lie in another file", "save header and voxels as one")
    shape = tuple(int(size) for size in header.get("sizes", ()))
    check_volume(shape, place)
    name = header.get("type", "")
    if name not in NRRD_TYPES:
        raise DataFault(place, f"voxels of type {name!r}", "save one grey volume")
    dtype = np.dtype(NRRD_TYPES[name])
    dtype = dtype.newbyteorder(">" if header.get("endian") == "big" else "<")
    affine = _nrrd_affine(header, place)
    data = _nrrd_bytes(packed, str(header.get("encoding", "")).lower(), shape, dtype, place)
    skips = ("line skip", "lineskip", "byte skip", "byteskip")
    if any(int(header.get(key, 0)) for key in skips):
        raise DataFault(place, "skips bytes before its voxels", "save it again without skipping")
    voxels = np.frombuffer(data, dtype).reshape(shape, order="F")
    spacing = tuple(float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))
    return Stored(voxels, affine, spacing, orientation_code(affine, place))


def _nrrd_affine(header: dict, place: str) -> np.ndarray:
    factors = NRRD_SPACES.get(str(header.get("space", "")).lower())
    directions = np.asarray(header.get("space directions", ()), dtype=float)
    if factors is None or directions.shape != (3, 3):
        raise DataFault(
            place,
            "says nothing of its orientation (space, space directions)",
            "save it with a space such as left-posterior-superior",
        )
    affine = np.eye(4)
    affine[:3, :3] = directions.T * np.asarray(factors, float)[:, None]
    return affine


def _nrrd_bytes(
    packed: bytes, encoding: str, shape: tuple[int, ...], dtype: np.dtype, place: str
) -> bytes:
    """Return the bytes of all voxels; a gzip stream is unpacked no further than that."""
    gzip = encoding in ("gz", "gzip")
    if encoding != "raw" and not gzip:
        raise DataFault(place, f"voxels are encoded as {encoding!r}", "save it as raw or gzip")
    check_size(shape, dtype.itemsize, len(packed), place, DEFLATE_RATIO if gzip else 1)
    needed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    try:
        data = (
            zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(packed, needed) if gzip else packed
        )
    except zlib.error as error:
        raise DataFault(place, f"not a readable NRRD file ({_reason(error)})", AGAIN) from None
    if len(data) < needed:
        raise DataFault(place, f"holds {len(data)} of {needed} bytes of voxels: cut off", AGAIN)
    return data[:needed]


def read_npy(path: Path) -> Stored:
    """Return a .npy array (D, H, W) or (1, D, H, W) of numbers, axes as stored.

    It is `finished` in the published form: (1, D, H, W), uint8 or from 0 to 1.
    """
    place = str(path)
    stored = open_array(path, place, "iuf", "numbers")
    voxels = stored.reshape(stored.shape[-3:])
    check_size(voxels.shape, stored.dtype.itemsize, path.stat().st_size, place)
    finished = stored.ndim == 4 and (
        stored.dtype == np.uint8
        or (stored.dtype.kind == "f" and bool(stored.min() >= 0 and stored.max() <= 1))
    )
    if not finished:
        check_volume(voxels.shape, place)
    return Stored(voxels, None, (), "not stored", finished=finished)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
