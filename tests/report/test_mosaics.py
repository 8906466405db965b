"""Do the slices of a volume survive their way into a page, and is the choice of volumes fair?"""

import base64
from io import BytesIO

import numpy as np
import pytest
from made_report import sample
from PIL import Image

from tomovox.report.mosaics import (
    COLUMNS,
    MOST_SIDE,
    MOST_TILES,
    chosen_volumes,
    packed_volume,
    packed_volumes,
)
from tomovox.schema import TomovoxError


def slices_of(packed):
    """Return the slices as a browser cuts them from the mosaics."""
    images = [Image.open(BytesIO(base64.b64decode(mosaic))) for mosaic in packed.mosaics]
    pixels = [np.asarray(image).astype(int) for image in images]
    found = []
    for slice_ in range(packed.depth):
        tile = slice_ % MOST_TILES
        top = tile // COLUMNS * packed.tile_height
        left = tile % COLUMNS * packed.tile_width
        mosaic = pixels[slice_ // MOST_TILES]
        found.append(mosaic[top : top + packed.height, left : left + packed.width])
    return np.stack(found)


def named(*volumes):
    return [sample(place, volume=volume) for place, volume in enumerate(volumes)]


def grey(depth, height=20, width=30):
    values = (np.arange(depth) * 37 % 256).astype(np.uint8)
    return np.broadcast_to(values[:, None, None], (depth, height, width)).astype(np.uint8)


@pytest.mark.parametrize("depth", [1, 8, 9, MOST_TILES, MOST_TILES + 1])
def test_every_slice_comes_back_in_its_place(depth):
    volume = grey(depth)
    assert np.abs(slices_of(packed_volume("v", volume)) - volume).max() <= 2


def test_a_black_slice_takes_nothing_from_the_white_ones_around_it():
    volume = np.full((12, 13, 21), 255, np.uint8)
    volume[5] = 0
    assert slices_of(packed_volume("v", volume))[5].max() == 0


def test_a_large_slice_is_shrunk_and_keeps_its_proportions():
    packed = packed_volume("v", grey(2, 4 * MOST_SIDE, 2 * MOST_SIDE))
    assert (packed.height, packed.width) == (MOST_SIDE, MOST_SIDE // 2)


def test_a_small_slice_keeps_its_size():
    packed = packed_volume("v", grey(2, 17, 5))
    assert (packed.height, packed.width) == (17, 5)


def test_fifty_volumes_of_noise_leave_room_for_the_samples():
    noise = np.random.default_rng(0).integers(0, 256, (32, 256, 256), dtype=np.uint8)
    assert 50 * sum(map(len, packed_volume("v", noise).mosaics)) < 24e6


def test_few_volumes_are_all_chosen_once_and_in_order():
    assert chosen_volumes(named("b", "a", "b", "", "c")) == ["b", "a", "c"]


def test_many_volumes_are_thinned_evenly():
    assert chosen_volumes(named(*"abcdefghij"), most=5) == list("acegi")


def test_no_volume_is_chosen_where_none_is_wanted():
    assert chosen_volumes(named("a", "b"), most=0) == []


def test_a_volume_without_a_sample_is_refused():
    with pytest.raises(TomovoxError, match=r"lost\.npy: no sample shows"):
        list(packed_volumes([("lost.npy", grey(2))], ["v.npy"]))


def test_a_volume_that_comes_twice_is_refused():
    with pytest.raises(TomovoxError, match="came before"):
        list(packed_volumes([("v.npy", grey(2)), ("v.npy", grey(2))], ["v.npy"]))


def test_a_volume_without_voxels_is_refused():
    with pytest.raises(TomovoxError, match="no voxel"):
        list(packed_volumes([("v.npy", np.zeros((0, 4, 4), np.uint8))], ["v.npy"]))
