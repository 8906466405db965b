"""Which volumes can a reader scroll through, and how do their slices fit into a page?

Letters: D H W depth, height and width of a volume, n h w slices of an image and their size.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tomovox.report.content import Sample, Volume
from tomovox.schema import TomovoxError

MOST_SIDE = 144
"""Pixels of the longer side of a slice in a page; larger slices are shrunk."""

COLUMNS, MOST_TILES = 8, 64
"""Slices in a row of a mosaic, and in all of it: a phone decodes no image of any size."""

JPEG_BLOCK = 8
"""JPEG codes squares of so many pixels; a slice of whole squares takes nothing from the next."""

QUALITY = 80


@dataclass(frozen=True, slots=True)
class PackedVolume:
    """The slices of a volume as mosaics of JPEG in base64, row by row.

    A slice has `height` times `width` pixels at the top left of its tile.
    """

    path: str
    depth: int
    height: int
    width: int
    tile_height: int
    tile_width: int
    mosaics: tuple[str, ...]


def chosen_volumes(samples: Iterable[Sample], most: int) -> list[str]:
    """Return the volumes to show: at most so many, spread evenly over the order of the samples.

    So are the first few of them, and a page that has no room for more is fair too.
    """
    paths = list(dict.fromkeys(sample.volume for sample in samples if sample.volume))
    count = min(most, len(paths))
    # Halves first, then quarters: the order of the places whose binary digits are read backwards.
    order = sorted(range(count), key=lambda place: f"{place:032b}"[::-1])
    return [paths[place * len(paths) // count] for place in order]


def packed_volumes(
    volumes: Iterable[tuple[str, Volume]], known: Iterable[str], room: int
) -> tuple[list[PackedVolume], bool]:
    """Return the volumes ready for a page, and whether all of them fit into `room` bytes.

    From the first that does not fit on there is none. Raises TomovoxError for a volume that no
    sample names, that comes twice or has no slice.
    """
    wanted, shown = set(known), list[PackedVolume]()
    for path, voxels in volumes:
        if path not in wanted:
            raise TomovoxError(
                f"{path}: no sample shows this volume, or it came before; hand over each of "
                f"chosen_volumes once"
            )
        if not voxels.size:
            raise TomovoxError(f"{path}: the volume has no voxel; leave it out of the report")
        wanted.remove(path)
        packed = packed_volume(path, voxels)
        room -= sum(map(len, packed.mosaics))
        if room < 0:
            return shown, False
        shown.append(packed)
    return shown, True


def packed_volume(path: str, voxels: UInt8[np.ndarray, "D H W"]) -> PackedVolume:
    """Return a volume ready for a page."""
    slices = _shrunk(voxels)
    depth, height, width = slices.shape
    down, right = -height % JPEG_BLOCK, -width % JPEG_BLOCK
    tiles = np.pad(slices, ((0, 0), (0, down), (0, right)), mode="edge")
    mosaics = tuple(
        _jpeg(_mosaic(tiles[first : first + MOST_TILES])) for first in range(0, depth, MOST_TILES)
    )
    return PackedVolume(path, depth, height, width, height + down, width + right, mosaics)


def _shrunk(voxels: UInt8[np.ndarray, "D H W"]) -> UInt8[np.ndarray, "D _h _w"]:
    height, width = voxels.shape[1:]
    scale = min(1.0, MOST_SIDE / max(height, width))
    if scale == 1.0:
        return voxels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = (Image.fromarray(each).resize(size, Image.Resampling.BOX) for each in voxels)
    return np.stack([np.asarray(each) for each in small])


def _mosaic(tiles: UInt8[np.ndarray, "n h w"]) -> UInt8[np.ndarray, "_rows _columns"]:
    """Return the slices side by side, COLUMNS in a row; black where the last row has none."""
    count, height, width = tiles.shape
    rows = -(-count // COLUMNS)
    canvas = np.zeros((rows * COLUMNS, height, width), np.uint8)
    canvas[:count] = tiles
    grid = canvas.reshape(rows, COLUMNS, height, width).transpose(0, 2, 1, 3)
    return grid.reshape(rows * height, COLUMNS * width)


def _jpeg(pixels: UInt8[np.ndarray, "h w"]) -> str:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=QUALITY, optimize=True)
    return base64.b64encode(stream.getvalue()).decode()
