"""Is an array read only where its header is believed, before any memory is asked for?"""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tomovox.plain_arrays import read_header, read_npz

MOST = 2**20


def header(told: str, version: int = 1) -> bytes:
    raw = told.encode("latin1") + b"\n"
    return b"\x93NUMPY" + bytes((version, 0)) + len(raw).to_bytes(2, "little") + raw


def lying(shape: str) -> bytes:
    return header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}")


def packed(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", content)
    return path


def test_what_numpy_writes_is_read_back(tmp_path):
    arrays = {"a": np.arange(12).reshape(3, 4), "b": np.asfortranarray(np.eye(3)), "c": np.array(2)}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    found = read_npz(tmp_path / "a.npz", arrays, MOST)
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{}", header("__import__('os')")),
        *(header("(" * 300 + ")" * 300), header("{'descr': '<f4'"), header("{}"), header("\x00")),
        *(lying("(-1, 4)"), lying("(True, 4)"), lying("None"), header("{}", version=9)),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"),
    ],
)
def test_what_is_no_header_is_one_line(content):
    with pytest.raises(ValueError) as caught:
        read_header(io.BytesIO(content))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(1000000, 1000000)", "(100,)"])
def test_a_member_that_claims_more_than_it_holds_is_refused(tmp_path, shape):
    with pytest.raises(ValueError, match=r"a\.npy (claims|holds)"):
        read_npz(packed(tmp_path / "a.npz", lying(shape) + bytes(50)), ["a"], 2**60)


def test_a_member_that_truly_unpacks_to_more_than_is_wanted_is_refused(tmp_path):
    bomb = packed(tmp_path / "a.npz", lying(f"({2 * MOST},)") + bytes(2 * MOST))
    with pytest.raises(ValueError, match="claims"):
        read_npz(bomb, ["a"], MOST)


def test_a_name_that_leaves_the_archive_is_never_looked_at(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("../a.npy", b"x")
    with pytest.raises(ValueError, match=r"a\.npy"):
        read_npz(tmp_path / "a.npz", ["a"], MOST)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
