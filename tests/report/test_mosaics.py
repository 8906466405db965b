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


def test_few_volumes_are_all_chosen_once():
    assert sorted(chosen_volumes(named("b", "a", "b", "", "c"), most=9)) == ["a", "b", "c"]


def test_many_volumes_are_thinned_evenly():
    assert sorted(chosen_volumes(named(*"abcdefghij"), most=5)) == list("acegi")


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_the_first_of_the_chosen_volumes_are_spread_evenly_too(count):
    volumes = "abcdefghijklmnop"
    first = chosen_volumes(named(*volumes), most=16)[:count]
    assert sorted(first) == list(volumes[:: 16 // count])


def test_no_volume_is_chosen_where_none_is_wanted():
    assert chosen_volumes(named("a", "b"), most=0) == []


# ---- room ------------------------------------------------------------------------------------


def bytes_of(volume):
    return sum(map(len, packed_volume("v", volume).mosaics))


@pytest.mark.parametrize(("missing", "shown"), [(0, "ab"), (1, "a")])
def test_volumes_are_packed_up_to_the_first_that_does_not_fit(missing, shown):
    volumes = [("a", grey(5)), ("b", grey(5)), ("c", grey(2))]
    room = 2 * bytes_of(grey(5)) - missing
    packed, whole = packed_volumes(volumes, "abc", room)
    assert "".join(each.path for each in packed) == shown and not whole


def test_volumes_that_fit_are_all_packed():
    packed, whole = packed_volumes([("a", grey(5)), ("b", grey(5))], "ab", 2 * bytes_of(grey(5)))
    assert len(packed) == 2 and whole


def test_no_volume_is_read_after_one_that_does_not_fit():
    def volumes():
        yield "a", grey(5)
        pytest.fail("another volume was read")

    assert packed_volumes(volumes(), "ab", 1) == ([], False)


# ---- what is refused -------------------------------------------------------------------------


def test_a_volume_without_a_sample_is_refused():
    with pytest.raises(TomovoxError, match=r"lost\.npy: no sample shows"):
        packed_volumes([("lost.npy", grey(2))], ["v.npy"], 10**6)


def test_a_volume_that_comes_twice_is_refused():
    with pytest.raises(TomovoxError, match="came before"):
        packed_volumes([("v.npy", grey(2)), ("v.npy", grey(2))], ["v.npy"], 10**6)


def test_a_volume_without_voxels_is_refused():
    with pytest.raises(TomovoxError, match="no voxel"):
        packed_volumes([("v.npy", np.zeros((0, 4, 4), np.uint8))], ["v.npy"], 10**6)
