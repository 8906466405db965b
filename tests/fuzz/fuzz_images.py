"""The readers of medical images: NIfTI, NRRD, NumPy, DICOM and folders of slices."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from pathlib import Path

import numpy as np
from damage import Bytes, damaged_bytes
from damage_arrays import damaged_npy, npy_bytes
from fuzz_target import Target
from hypothesis import strategies as st

from tomovox.data.images import read_image

VOXELS = np.arange(6 * 7 * 8, dtype=np.int16).reshape(6, 7, 8)


def _read(name: str):
    return lambda folder: read_image(folder / name, None, (4, 8, 8))


def _writer(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content) and None


# ---- NIfTI --------------------------------------------------------------------------------------

NIFTI_FIELDS = {
    **{"<i": (0, 32, 140, 144), "<b": (39, 123)},
    **{"<h": (*range(40, 56, 2), 68, 70, 72, 74, 120, 252, 254)},
    **{"<f": (*range(76, 124, 4), 108, 112, 116, *range(256, 328, 4))},
    **{"4s": (344, 348)},
}
"""Format of a header's field -> where such fields stand. Source: nifti1.h."""


def _nifti() -> bytes:
    import nibabel

    image = nibabel.Nifti1Image(VOXELS, np.diag([1.0, 2.0, 3.0, 1.0]))
    return bytes(image.to_bytes())


@st.composite
def _nifti_fields(draw: st.DrawFn, valid: bytes) -> bytes:
    changed = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        form = draw(st.sampled_from(sorted(NIFTI_FIELDS)))
        value = draw(st.sampled_from(EXTREMES[form[-1]]))
        struct.pack_into(form, changed, draw(st.sampled_from(NIFTI_FIELDS[form])), value)
    return bytes(changed[: draw(st.sampled_from((len(changed), len(changed), 351, 340)))])


EXTREMES = {
    "i": (0, -1, 348, 540, 2**31 - 1, -(2**31)),
    "b": (0, -1, 1, 127, -128),
    "h": (0, 1, -1, 2, 3, 7, 8, 16, 64, 128, 1024, 1536, 2048, 32767, -32768),
    "f": (0.0, -1.0, 352.0, 1e30, -1e30, 1e-45, float("nan"), float("inf"), 3.5),
    "s": (
        b"n+1\x00",
        b"ni1\x00",
        b"n+2\x00",
        b"\x01\x00\x00\x00",
        b"\x00\x00\x00\x00",
        b"\xff" * 4,
    ),
}


def _damaged_nifti(valid: bytes) -> Bytes:
    return st.one_of(_nifti_fields(valid), _nifti_fields(valid), damaged_bytes(valid))


def damaged_nifti_gz(valid: bytes) -> Bytes:
    inside = _damaged_nifti(gzip.decompress(valid)).map(lambda raw: gzip.compress(raw, 1, mtime=0))
    return st.one_of(inside, damaged_bytes(valid))


# ---- NRRD ---------------------------------------------------------------------------------------

NRRD = (
    "NRRD0004\ntype: int16\ndimension: 3\nspace: left-posterior-superior\nsizes: 6 7 8\n"
    "space directions: (1,0,0) (0,2,0) (0,0,3)\nkinds: domain domain domain\nendian: little\n"
    "encoding: {encoding}\nspace origin: (0,0,0)\n\n"
)
NRRD_VALUES = (
    *("0", "-1", "1000000000000", "1000000 1000000 1000000", "6 7 8 1", "6 7", "none none none"),
    *(
        "(nan,0,0) (0,2,0) (0,0,3)",
        "(0,0,0) (0,0,0) (0,0,0)",
        "(1,0) (0,1)",
        "(1e999,0,0) x (0,0,3)",
    ),
    *(
        "block",
        "double",
        "float",
        "bzip2",
        "ascii",
        "hex",
        "gzip",
        "big",
        "scanner-xyz",
        "",
        "a b c",
    ),
    *("1.5 2 3", "../../etc/passwd", "LIST", "9" * 400, "(" * 3000, "٣ 7 8"),
)
NRRD_KEYS = (
    *("type", "dimension", "sizes", "space", "space directions", "encoding", "endian", "kinds"),
    *("byte skip", "line skip", "data file", "datafile", "spacings", "space origin", "block size"),
    *("measurement frame", "unknown", "a:=b"),
)


def _nrrd(encoding: str) -> bytes:
    voxels = VOXELS.tobytes(order="F")
    packed = gzip.compress(voxels, mtime=0) if encoding == "gzip" else voxels
    return NRRD.format(encoding=encoding).encode() + packed


@st.composite
def _nrrd_lines(draw: st.DrawFn, valid: bytes) -> bytes:
    head, _, voxels = valid.partition(b"\n\n")
    lines = head.decode().split("\n")
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        how = draw(st.sampled_from(("value", "value", "value", "gone", "more")))
        key, value = draw(st.sampled_from(NRRD_KEYS)), draw(st.sampled_from(NRRD_VALUES))
        if how == "gone" and len(lines) > 1:
            del lines[place]
        elif how == "value":
            lines[place] = f"{lines[place].partition(':')[0]}: {value}"
        else:
            lines.append(f"{key}: {value}")
    return "\n".join(lines).encode() + b"\n\n" + voxels[: draw(st.sampled_from((None, 100, 0)))]


def _damaged_nrrd(valid: bytes) -> Bytes:
    return st.one_of(_nrrd_lines(valid), _nrrd_lines(valid), damaged_bytes(valid))


# ---- DICOM --------------------------------------------------------------------------------------

ELEMENTS = {
    **{
        "SeriesDescription": ((0x08, 0x103E), "LO", "Chest"),
        "SeriesUID": ((0x20, 0x0E), "UI", "1.2"),
    },
    **{"SeriesNumber": ((0x20, 0x11), "IS", "1"), "Position": ((0x20, 0x32), "DS", "0\\0\\{z}")},
    **{"Orientation": ((0x20, 0x37), "DS", "1\\0\\0\\0\\1\\0"), "Samples": ((0x28, 2), "US", 1)},
    **{"Photometric": ((0x28, 4), "CS", "MONOCHROME2"), "Frames": ((0x28, 8), "IS", "1")},
    **{"Rows": ((0x28, 0x10), "US", 7), "Columns": ((0x28, 0x11), "US", 6)},
    **{"Spacing": ((0x28, 0x30), "DS", "2\\1"), "BitsAllocated": ((0x28, 0x100), "US", 16)},
    **{"BitsStored": ((0x28, 0x101), "US", 16), "HighBit": ((0x28, 0x102), "US", 15)},
    **{"Signed": ((0x28, 0x103), "US", 0), "Intercept": ((0x28, 0x1052), "DS", "-1024")},
    "Slope": ((0x28, 0x1053), "DS", "0.5"),
}
"""What a slice says, in the order of tags: tag, type and value. Source: DICOM PS3.6."""

SAID: tuple[str | int, ...] = (
    *(
        "",
        "x",
        "nan",
        "inf",
        "1e999",
        "-1",
        "0",
        "1.5",
        "1\\2",
        "1\\0\\0\\0\\1\\0",
        "0\\0\\9",
        "a\\b\\c",
    ),
    *(
        "nan\\nan\\nan\\nan\\nan\\nan",
        "0\\0\\0\\0\\0\\0",
        "\0" * 6,
        "../x",
        "line\nbreak",
        "é" * 40,
    ),
    *("MONOCHROME1", "RGB", "PALETTE COLOR", "9" * 400, "0\\0", "1e308\\1e308\\1e308"),
    *(0, 1, 2, 3, 7, 8, 12, 16, 32, 64, 1000, 65535),
)
SYNTAXES = (
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"),
    *("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.1.99", "1.2.3", ""),
)


def _element(tag: tuple[int, int], kind: str, value: str | int | bytes) -> bytes:
    if isinstance(value, int):
        value = struct.pack("<H", value)
    raw = value.encode("latin1", "replace") if isinstance(value, str) else value
    raw += b" " * (len(raw) % 2)
    length = struct.pack("<2xI" if kind in ("OB", "OW") else "<H", len(raw))
    return struct.pack("<HH", *tag) + kind.encode() + length + raw


def _slice(
    place: int,
    changes: dict[str, str | int | None],
    syntax: str = SYNTAXES[1],
    kept: int | None = None,
) -> bytes:
    """Return a slice as DICOM, `changes` in place of what it says, None for what it leaves out."""
    said = {name: changes.get(name, value) for name, (_, _, value) in ELEMENTS.items()}
    data = b"".join(
        _element(
            tag, kind, value.replace("{z}", str(3 * place)) if isinstance(value, str) else value
        )
        for name, (tag, kind, _) in ELEMENTS.items()
        if (value := said[name]) is not None
    )
    meta = _element((2, 2), "UI", "1.2.840.10008.5.1.4.1.1.2\0") + _element((2, 0x10), "UI", syntax)
    head = bytes(128) + b"DICM" + _element((2, 0), "UL", struct.pack("<I", len(meta))) + meta
    return head + data + _element((0x7FE0, 0x10), "OW", VOXELS[:, :, place].T.tobytes()[:kept])


def _write_series(folder: Path) -> None:
    (folder / "series").mkdir()
    for place in range(3):
        (folder / "series" / f"{place}.dcm").write_bytes(_slice(place, {}))


def _damaged_slice(valid: bytes) -> Bytes:
    names, said = st.sampled_from(sorted(ELEMENTS)), st.one_of(st.none(), st.sampled_from(SAID))
    changes = st.dictionaries(names, said, min_size=1, max_size=3)
    syntax = st.one_of(st.just(SYNTAXES[1]), st.just(SYNTAXES[1]), st.sampled_from(SYNTAXES))
    made = st.builds(_slice, st.just(1), changes, syntax, st.sampled_from((None, None, 10, 0)))
    return st.one_of(made, made, damaged_bytes(valid))


# ---- slices of a folder -------------------------------------------------------------------------


def _picture(suffix: str) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray((VOXELS[0] % 256).astype(np.uint8)).save(stream, suffix)
    return stream.getvalue()


def _pictures(suffix: str):
    def make(folder: Path) -> None:
        (folder / "series").mkdir()
        for place in range(4):
            (folder / "series" / f"{place}.{suffix}").write_bytes(_picture(suffix))

    return make


@st.composite
def _png_header(draw: st.DrawFn, valid: bytes) -> bytes:
    """Return a PNG whose header lies of its size or depth, under a checksum that fits."""
    sides = [draw(st.sampled_from((0, 1, 7, 8, 20_000, 10**6, 2**31 - 1))) for _ in range(2)]
    rest = bytes(draw(st.sampled_from((0, 1, 2, 3, 8, 16, 255))) for _ in range(5))
    told = b"IHDR" + struct.pack(">2I", *sides) + rest
    return valid[:12] + told + struct.pack(">I", zlib.crc32(told)) + valid[33:]


def _damaged_png(valid: bytes) -> Bytes:
    return st.one_of(_png_header(valid), damaged_bytes(valid))


def _image(name: str, file: str, content: bytes, contents) -> Target:
    return Target(name, file, _writer(file, content), contents, _read(file))


SERIES = {"read": _read("series"), "names": ("series",)}

IMAGES = [
    _image("NIfTI .nii", "scan.nii", _nifti(), _damaged_nifti),
    _image("NIfTI .nii.gz", "scan.nii.gz", gzip.compress(_nifti(), mtime=0), damaged_nifti_gz),
    _image("NRRD, raw", "scan.nrrd", _nrrd("raw"), _damaged_nrrd),
    _image("NRRD, gzip", "scan.nrrd", _nrrd("gzip"), _damaged_nrrd),
    _image("image .npy", "scan.npy", npy_bytes(VOXELS), lambda content: damaged_npy(VOXELS)),
    Target("DICOM series", "series/1.dcm", _write_series, _damaged_slice, **SERIES),
    Target("slices .png", "series/1.png", _pictures("png"), _damaged_png, **SERIES),
    Target("slices .jpeg", "series/1.jpeg", _pictures("jpeg"), damaged_bytes, **SERIES),
]
