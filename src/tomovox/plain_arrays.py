"""Which plain arrays do files of NumPy hold? A header is believed as far as its file can be it.

Nothing pickled is ever loaded, and no memory is asked for before the header was compared with what
is there.
"""

from __future__ import annotations

import math
import threading
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np
from numpy.lib import format as npy

HEADERS = threading.Lock()
"""Held while the header of a file is parsed: in Python 3.11 and 3.12 two threads that build syntax
trees at a time may raise SystemError (CPython gh-106905)."""

DEFLATE_RATIO = 1032
"""No deflate stream (gzip, zip) unpacks to more bytes per byte."""


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return what a .npy header claims: shape, whether in Fortran's order, and type of an element.

    Raises ValueError, in one line, when it is none, or claims pickled objects.
    """
    try:
        with HEADERS:
            version = npy.read_magic(stream)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"version {version} of the format holds no plain array")
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(stream)
    except (
        *(ValueError, TypeError, LookupError, OverflowError, SyntaxError, TokenError),
        *(RecursionError, MemoryError),  # of brackets that nest too deep for the parser
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"no header of an array: {reason[:200]}") from None
    if dtype.hasobject:
        raise ValueError("holds pickled Python objects, which are never loaded")
    if any(isinstance(side, bool) or side < 0 for side in shape):
        raise ValueError(f"shape {shape} cannot be")
    return shape, fortran, dtype


def read_npz(path: Path, names: Iterable[str], most: int) -> dict[str, np.ndarray]:
    """Return the arrays `names` of a .npz file, each of at most `most` bytes.

    Raises OSError when the file cannot be opened, and ValueError, in one line, when it does not
    hold them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _member(archive, f"{name}.npy", most) for name in names}
    except KeyError as error:
        raise ValueError(str(error.args[0])) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OverflowError) as error:
        # RuntimeError: encrypted, or packed in a way that is not known.
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


def _member(archive: zipfile.ZipFile, name: str, most: int) -> np.ndarray:
    info = archive.getinfo(name)
    with archive.open(info) as stream:
        shape, fortran, dtype = read_header(stream)
        needed = math.prod(shape) * dtype.itemsize
        if needed > min(most, info.file_size, info.compress_size * DEFLATE_RATIO):
            raise ValueError(f"{name} claims {needed} bytes, which it cannot hold or may not")
        data = stream.read(needed)
    if len(data) < needed:
        raise ValueError(f"{name} holds {len(data)} of {needed} bytes: cut off")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
