"""How do the preparations work through many items, and write only below their target?"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Shaped

from tomovox.files import whole_file, write_atomically
from tomovox.schema import TomovoxError
from tomovox.workers import end_with_parent

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def in_processes(
    items: Sequence[ItemT], work: Callable[[ItemT], ResultT], workers: int
) -> Iterator[ResultT]:
    """Yield what `work` returns of each item, in order, from so many processes.

    Raises TomovoxError when one of them was killed.
    """
    if workers <= 1 or len(items) <= 1:
        yield from map(work, items)
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=end_with_parent) as pool:
        try:
            yield from pool.map(work, items)
        except BrokenProcessPool:
            raise TomovoxError(
                f"one of {workers} processes was killed, perhaps for want of memory; the same "
                f"command continues: give fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def write_inside(target: Path, relative: str, data: str | bytes) -> None:
    """Write target / relative; raise TomovoxError when a link would lead it elsewhere."""
    write_atomically(path_inside(target, relative), data)


def write_array(target: Path, relative: str, array: Shaped[np.ndarray, "..."]) -> None:
    """Write an array as target / relative in NumPy's format; raises as `write_inside`."""
    with (
        whole_file(path_inside(target, relative)) as temporary,
        temporary.open("wb") as stream,  # the array is not copied: it may fill half the memory
    ):
        np.save(stream, array, allow_pickle=False)


def path_inside(target: Path, relative: str) -> Path:
    """Return target / relative; raise TomovoxError when a link would lead it elsewhere."""
    path = target / relative
    if path.is_symlink() or not path.parent.resolve().is_relative_to(target.resolve()):
        raise TomovoxError(f"{path}: a link leads out of {target}; remove it")
    return path
