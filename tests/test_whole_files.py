"""Is a file, or a folder, whole, new or old, whatever happens while it is written?"""

import errno
import os
from pathlib import Path

import pytest

from tomovox.files import whole_file, write_atomically
from tomovox.lock import sweep
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


# ---- folders -----------------------------------------------------------------------------------


def write_folder(path: Path, *names: str) -> None:
    with whole_file(path) as temporary:
        (temporary / "deep").mkdir(parents=True)
        for name in names:
            (temporary / "deep" / name).write_text(name)


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_a_folder_takes_the_place_of_an_older_one_whole(tmp_path):
    write_folder(tmp_path / "a", "old", "both")
    write_folder(tmp_path / "a", "new", "both")
    assert names(tmp_path) == ["a", "a/deep", "a/deep/both", "a/deep/new"]


def test_a_full_disk_leaves_the_old_folder_and_no_temporary(tmp_path, monkeypatch):
    write_folder(tmp_path / "a", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TomovoxError, match="a: cannot be written"):
        write_folder(tmp_path / "a", "new")
    assert names(tmp_path) == ["a", "a/deep", "a/deep/old"]


@pytest.mark.parametrize("rename", [1, 2])
def test_what_a_kill_between_its_renames_leaves_is_swept(tmp_path, monkeypatch, rename):
    write_folder(tmp_path / "a", "old")
    kept, calls = Path.rename, []

    def killed(self, target):
        calls.append(target)
        if len(calls) == rename:
            os._exit(0)
        return kept(self, target)

    process = os.fork()
    if not process:
        monkeypatch.setattr(Path, "rename", killed)
        write_folder(tmp_path / "a", "new")
    os.waitpid(process, 0)
    sweep(tmp_path)
    assert names(tmp_path) == (["a", "a/deep", "a/deep/old"] if rename == 1 else [])


def test_a_file_never_takes_the_place_of_a_folder(tmp_path):
    write_folder(tmp_path / "a", "kept")
    with pytest.raises(TomovoxError, match=r"a: cannot be written \(Is a directory"):
        write_atomically(tmp_path / "a", "new")
    assert names(tmp_path) == ["a", "a/deep", "a/deep/kept"]


# ---- places ------------------------------------------------------------------------------------


def test_a_place_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TomovoxError, match="file/a: cannot be written"):
        write_atomically(tmp_path / "file" / "a", "new")
