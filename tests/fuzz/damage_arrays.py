"""How can an array, or a zip file of arrays, be damaged? By headers that lie, and bombs."""

from __future__ import annotations

import io
import warnings
import zipfile

import numpy as np
from damage import STRANGE_NUMBERS, Bytes, damaged_bytes
from hypothesis import strategies as st

SHAPES = (
    *("()", "(0,)", "(-1, 4, 4)", "(10**12,)", "(1000000000000,)", "(1, 10000, 10000, 10000)"),
    *(
        "(1, 2, 4, 4, 1)",
        "(1.0, 2, 4)",
        "('a',)",
        "None",
        "(2, 4, 4)",
        "(1, 1, 1, 1)",
        "(1, 0, 4, 4)",
    ),
    *("(True, 2, 4, 4)", "(18446744073709551616, 1, 1)", "(4294967296, 4294967296, 1)"),
)
TYPES = (
    *("'|O'", "'<f4'", "'<f8'", "'|u1'", "'>i2'", "'<c8'", "'<U1000000000'", "'<M8[D]'", "'|V0'"),
    *(
        "'|b1'",
        "'<f2'",
        "[('a', '<f4')]",
        "[('a', '|O')]",
        "'x'",
        "3",
        "'|S0'",
        "('<f4', (1000000,))",
    ),
)
NPY_HEADERS = (
    "__import__('os')",
    "(" * 300 + ")" * 300,
    "-" * 9000 + "1",
    "{}",
    "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}",
    "{'descr': '<f4'",
    "\x00",
)


def damaged_npy(array: np.ndarray) -> Bytes:
    """Return .npy files whose header lies of shape and type or holds code, or damaged bytes."""
    return st.one_of(_npy(array), _npy(array), damaged_bytes(npy_bytes(array)))


@st.composite
def _npy(draw: st.DrawFn, array: np.ndarray) -> bytes:
    shape = draw(st.sampled_from((str(array.shape), *SHAPES)))
    dtype = draw(st.sampled_from((repr(array.dtype.str), *TYPES)))
    order = draw(st.sampled_from(("False", "False", "True", "0")))
    told = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}"
    if draw(st.integers(0, 4)) == 0:
        told = draw(st.sampled_from(NPY_HEADERS))
    raw = told.encode("latin1") + b"\n"
    version = draw(st.sampled_from((1, 1, 1, 2, 3, 9)))
    length = len(raw).to_bytes(2 if version == 1 else 4, "little")
    if draw(st.integers(0, 9)) == 0:
        length = b"\xff" * len(length)
    values = draw(st.sampled_from((array, np.full_like(array, 7), np.zeros_like(array))))
    if array.dtype.kind == "f" and draw(st.booleans()):
        values = np.where(
            values == values.flat[0], draw(st.sampled_from(STRANGE_NUMBERS[-4:])), values
        )
    return b"\x93NUMPY" + bytes((version, 0)) + length + raw + values.astype(array.dtype).tobytes()


def npy_bytes(array: np.ndarray) -> bytes:
    """Return an array as a .npy file."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def damaged_zip(members: dict[str, Bytes], whole: dict[str, bytes]) -> Bytes:
    """Return zip files with one member as `members` draws it, gone, renamed, doubled or a bomb."""
    return st.one_of(_zip(members, whole), _zip(members, whole), damaged_bytes(zip_bytes(whole)))


@st.composite
def _zip(draw: st.DrawFn, members: dict[str, Bytes], whole: dict[str, bytes]) -> bytes:
    held = list(whole.items())
    place = draw(st.integers(0, len(held) - 1))
    name, _ = held[place]
    how = draw(st.sampled_from(("member", "member", "member", "gone", "renamed", "twice", "bomb")))
    if how == "member":
        held[place] = name, draw(members[name])
    elif how == "gone":
        del held[place]
    elif how == "renamed":
        held[place] = draw(st.sampled_from(("../x.npy", "/x.npy", "x", "a" * 999))), held[place][1]
    elif how == "twice":
        held.append((name, draw(members[name])))
    else:
        held[place] = name, BOMB
    return zip_bytes(dict(held)) if how != "twice" else zip_bytes(dict(held[:-1]), held[-1])


def zip_bytes(members: dict[str, bytes], more: tuple[str, bytes] | None = None) -> bytes:
    """Return members as a packed zip file; `more` is one whose name may stand there already."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")  # of a name that stands there twice
        for name, content in [*members.items(), *([more] if more else [])]:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _bomb() -> bytes:
    told = "{'descr': '|u1', 'fortran_order': False, 'shape': (3000000000,), }"
    raw = told.encode("latin1").ljust(118 - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw + bytes(2**20)


BOMB = _bomb()
"""A member that claims 3 GB."""
