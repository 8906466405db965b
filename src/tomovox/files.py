"""How does a file come about that a kill or a full disk may cut short? Whole, or not at all.

Lines that are added one by one may be torn: the torn one is cut off and counted.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tomovox.moments import reached
from tomovox.schema import TomovoxError

if TYPE_CHECKING:
    import pandas


@contextmanager
def whole_file(path: Path, remedy: str = "mend it") -> Iterator[Path]:
    """Yield a temporary file to write, which becomes `path` when that is done; else nothing does.

    A folder that is made there becomes `path` too, in the place of an older folder: between the two
    renames that this takes there is none. Raises TomovoxError with the remedy when the disk is full
    or the place cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        reached("before", path)
        _put(temporary, path)
        reached("after", path)
    except OSError as error:
        raise TomovoxError(
            f"{path}: cannot be written ({error.strerror or error}); {remedy}"
        ) from None
    finally:
        with suppress(OSError):
            remove(temporary)


def _flush(place: Path) -> None:
    """Let a file, or a folder with all that it holds, be on the disk before it gets its name."""
    for each in (*place.rglob("*"), place):  # of a file, itself
        opened = os.open(each, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _put(temporary: Path, path: Path) -> None:
    """Rename to `path`; a folder there gives way to a folder alone, and is removed afterwards."""
    if not (temporary.is_dir() and path.is_dir()):
        temporary.replace(path)
        return
    aside = temporary.with_name(f"{temporary.name}.old")
    path.rename(aside)
    temporary.rename(path)
    shutil.rmtree(aside)


def remove(place: Path) -> None:
    """Remove a file, or a folder with all that it holds."""
    shutil.rmtree(place) if place.is_dir() else place.unlink()


def write_atomically(path: Path, data: str | bytes, remedy: str = "mend it") -> None:
    """Write a whole file or leave the old one; raises as `whole_file`."""
    with whole_file(path, remedy) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


def write_csv(frame: "pandas.DataFrame", path: Path) -> None:
    """Write a table with six digits, as `write_atomically`."""
    write_atomically(path, frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"))


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Append whole lines, after cutting off what a kill left of an earlier one.

    Raises TomovoxError when they cannot be written; the file is then as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mend_last_line(path)
        with path.open("ab", buffering=0) as stream:
            _append(stream.fileno(), "".join(f"{line}\n" for line in lines).encode(), path)
    except OSError as error:
        raise TomovoxError(f"{path}: cannot be written ({error.strerror}); mend it") from None
    reached("after lines of", path)


def _append(file: int, data: bytes, path: Path) -> None:
    whole = os.fstat(file).st_size
    reached("within lines of", path, partial(os.write, file, data[: len(data) // 2]))
    try:
        while data:  # at the end of a disk less may be written than was asked
            data = data[os.write(file, data) :]
    except OSError:
        os.ftruncate(file, whole)
        raise


def mend_last_line(path: Path) -> None:
    """Cut off the torn last line that a kill left in a file of lines, and say so."""
    if not path.is_file():
        return
    with path.open("r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 1))
        if stream.read() in (b"", b"\n"):
            return
        stream.seek(0)
        whole = stream.read().rfind(b"\n") + 1
        stream.truncate(whole)
    sys.stderr.write(f"{path}: 1 torn line ({size - whole} bytes) is cut off\n")
