"""Who works in this folder? One process at a time: a second one is told of the first.

The lock is the kernel's (POSIX, fcntl): it ends with the process, however that ends, and the file
that is left means nothing by itself. Over NFS it holds between machines where the server runs its
lock service, as NFSv4 does; mounted with `nolock` it holds on each machine alone.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from tomovox.files import remove
from tomovox.schema import TomovoxError

LOCK = ".lock"
"""The locked file of a folder: number and host of the process that held it last."""


def locked(stream: TextIO, wait: bool = False) -> bool:
    """Lock an open file until it is closed; return False when another process has it.

    With `wait` that one's end is waited for. Raises TomovoxError where files cannot be locked.
    """
    import fcntl  # the systems without it have no such lock

    try:
        fcntl.lockf(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise TomovoxError(
            f"{stream.name}: cannot be locked ({error.strerror}); use a file system that has locks"
        ) from None
    return True


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Hold a folder that is there until what is inside ends.

    Raises TomovoxError that names the other process when one holds it. A record lock, not flock:
    forked workers do not inherit it, so none that outlives its parent keeps the folder locked. A
    process must not hold a folder twice: the end of the inner `with` would give it up.
    """
    path = folder / LOCK
    try:
        stream = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise TomovoxError(
            f"{path}: cannot be written ({error.strerror}); give a folder that is there and yours"
        ) from None
    with stream:
        if not locked(stream):
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            raise TomovoxError(
                f"{folder}: {holder} works here; wait for its end, or use another folder"
            )
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {platform.node()}\n")
        stream.flush()
        yield


@contextmanager
def only_process_in_all(runs: Iterable[Path]) -> Iterator[None]:
    """Hold what must be held to work in these RUN folders."""
    with ExitStack() as held:
        for folder in sorted({folder_to_hold(run) for run in runs}):
            held.enter_context(only_process(folder))
        yield


def folder_to_hold(run: Path) -> Path:
    """Return what to hold to work in one RUN folder: its experiment's, where `run` made one."""
    above = run.resolve().parent
    return above if (above / LOCK).is_file() else run


def sweep(folder: Path) -> None:
    """Remove what killed processes were writing; only while the folder is held."""
    for left in folder.rglob(".*.tmp*"):  # SQLite's journal of a temporary file, too
        remove(left)
