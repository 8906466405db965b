"""How does a folder of pictures, as M3D-Cap distributes its series, become one image?

Letters: D H W number of slices, height and width.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tomovox.data.faults import DataFault
from tomovox.data.stored import AGAIN, MOST_PIXELS, Stored, check_size

SLICE_SUFFIXES = (".png", ".jpg", ".jpeg")


def slice_files(files: Iterable[Path]) -> list[Path]:
    """Return the pictures among some files by number of slice; empty when there are none.

    Raises TomovoxError when a picture is not named by a number or two have the same one.
    """
    found = [p for p in files if p.suffix.lower() in SLICE_SUFFIXES]
    numbers: dict[int, Path] = {}
    for path in sorted(found):
        if not re.fullmatch(r"[0-9]+", path.stem):
            raise DataFault(
                str(path), "a slice is named by its number", "rename it, such as 12.png, or move it"
            )
        twin = numbers.setdefault(int(path.stem), path)
        if twin != path:
            raise DataFault(str(path), f"is the same slice as {twin.name}", "remove one of them")
    return [numbers[number] for number in sorted(numbers)]


def read_slices(folder: Path, files: Sequence[Path]) -> Stored:
    """Return the slices of the commonest size as one image (D H W) of grey values from 0 to 1.

    Slices of other sizes are dropped and counted; of sizes equally common the first stays. Source:
    M3D, released preprocessing of M3D-Cap.
    """
    sizes = [_size_of(path) for path in files]
    size, _ = Counter(sizes).most_common(1)[0]
    kept = [path for path, own in zip(files, sizes, strict=True) if own == size]
    shape = (len(kept), size[1], size[0])
    check_size(shape, 0, 0, str(folder))
    voxels = np.stack([_grey(path) for path in kept])
    return Stored(voxels, None, (), "not stored", dropped_slices=len(files) - len(kept))


def _size_of(path: Path) -> tuple[int, int]:
    """Return (width, height) from the header alone."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                raise ValueError(f"claims {width} x {height} pixels, more than any slice has")
            return width, height
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError) as error:
        raise _unreadable(path, error) from None
    except Image.DecompressionBombError as error:
        raise _unreadable(path, error) from None


def _grey(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            return np.asarray(picture.convert("L"), dtype=np.float32) / np.float32(255)
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataFault:
    reason = " ".join(str(error).split())
    return DataFault(str(path), f"not a readable PNG or JPEG ({reason})", AGAIN)
