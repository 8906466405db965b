"""Where does each mask of M3D-Seg lie? Every mask is read once; its box is kept in the cache.

The text of a record needs no more of a mask than its box, and 149,196 masks are 313 GB.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tomovox.boxes import DIGITS, Box, box_of_mask
from tomovox.data.check_seg import SEG, SegEntry
from tomovox.data.faults import DataFault, Faults
from tomovox.data.volumes import read_mask
from tomovox.files import write_atomically
from tomovox.packaged import cache_folder
from tomovox.parsed import is_number, json_of

Progress = Callable[[int, int], None]
"""Called with (masks read, masks to read)."""

BETWEEN_SAVES = 5_000
"""Masks read between two writes of the cache: what a killed run loses."""


def mask_boxes(
    root: Path,
    listing: Path,
    entries: Sequence[SegEntry],
    faults: Faults,
    progress: Progress | None = None,
) -> dict[str, Box | None]:
    """Return the box of each readable mask of `entries`, None for an empty one, by its path.

    Boxes are kept as long as path, size and time of `listing`, which lists the entries, stay the
    same: whoever replaces masks alone writes the listing again, or empties the cache folder. A mask
    that cannot be read goes to `faults` and is tried again the next time. `progress` is called only
    when masks must be read. Raises TomovoxError when the cache folder cannot be written.
    """
    state = listing.stat()
    stamp = [str(listing.resolve()), state.st_size, state.st_mtime_ns, DIGITS]
    cache = _cache_file(listing)
    boxes = _kept(cache, stamp)
    pending = [entry for entry in entries if entry.label not in boxes]
    if pending:
        _keep(cache, stamp, boxes)  # before the hours of reading, not after them
    done = 0
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(pending), BETWEEN_SAVES):
            batch = pending[start : start + BETWEEN_SAVES]
            unreadable = []
            for entry, found in zip(batch, pool.map(lambda e: _box(root, e), batch), strict=True):
                if isinstance(found, DataFault):
                    unreadable.append(found)
                else:
                    boxes[entry.label] = found
                done += 1
                if progress:
                    progress(done, len(pending))
            _keep(cache, stamp, boxes)
            for fault in unreadable:
                faults.add(fault)
    return boxes


def _box(root: Path, entry: SegEntry) -> Box | DataFault | None:
    try:
        return box_of_mask(read_mask(root / SEG, entry.label, None, entry.place)[0])
    except DataFault as fault:
        return fault


def _cache_file(listing: Path) -> Path:
    path = str(listing.resolve()).encode()
    name = f"{listing.stem}-{blake2b(path, digest_size=8).hexdigest()}.json"
    return cache_folder() / "mask_boxes" / name


def _kept(cache: Path, stamp: list[Any]) -> dict[str, Box | None]:
    """Return the boxes of the cache, none when they are of another listing or not readable."""
    try:
        content = json_of(cache.read_bytes())
    except (OSError, ValueError):
        return {}
    match content:
        case {"listing": listing, "boxes": dict(boxes)} if listing == stamp:
            if all(map(_is_box, boxes.values())):
                return {label: tuple(box) if box else None for label, box in boxes.items()}
    return {}


def _is_box(found: object) -> bool:
    return found is None or (
        isinstance(found, list) and len(found) == 6 and all(map(is_number, found))
    )


def _keep(cache: Path, stamp: list[Any], boxes: dict[str, Box | None]) -> None:
    content = json.dumps({"listing": stamp, "boxes": boxes})
    write_atomically(cache, content, "set TOMOVOX_CACHE to a folder for the boxes of the masks")
