"""Is a file whole, new or old, whatever happens while it is written?"""

import errno
import os

import pytest

from tomovox.files import whole_file, write_atomically
from tomovox.schema import TomovoxError


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_old_file_and_no_temporary(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TomovoxError, match=r"a: cannot be written \(No space left.*mend"):
        write_atomically(tmp_path / "a", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_an_error_of_the_writer_passes_and_leaves_the_old_file(tmp_path):
    write_atomically(tmp_path / "a", "old")
    with pytest.raises(KeyError), whole_file(tmp_path / "a") as temporary:
        temporary.write_text("half")
        raise KeyError
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_place_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TomovoxError, match="file/a: cannot be written"):
        write_atomically(tmp_path / "file" / "a", "new")
