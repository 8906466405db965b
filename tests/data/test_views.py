"""Do random views show a part of the slice, the same for the same draws?"""

import pytest
import torch

from tomovox.data.views import (
    ViewsConfig,
    autocontrast,
    crop_size,
    draw_views,
    equalize,
    turned,
)
from tomovox.schema import TomovoxError

SLICE = torch.rand(40, 60, generator=torch.Generator().manual_seed(0))
SQUARE = SLICE[None, :40, :40]


def drawn(seed: int = 0, **changes) -> tuple[torch.Tensor, torch.Tensor]:
    config = ViewsConfig(**({"large_side": 32, "small_side": 16, "small": 3} | changes))
    return draw_views(SLICE, config, torch.Generator().manual_seed(seed))


def test_there_are_two_large_views_and_as_many_small_ones_as_asked_for():
    large, small = drawn()
    assert large.shape == (2, 1, 32, 32) and small.shape == (3, 1, 16, 16)
    assert drawn(small=0)[1].shape == (0, 1, 16, 16)


def test_intensities_stay_between_0_and_1():
    for seed in range(20):
        for views in drawn(seed, autocontrast=0.5, equalize=0.5):
            assert bool(((views >= 0) & (views <= 1)).all())


def test_the_same_draws_give_the_same_views_and_others_do_not():
    again, other = drawn(), drawn(seed=1)
    assert all(torch.equal(a, b) for a, b in zip(drawn(), again, strict=True))
    assert not torch.equal(drawn()[0], other[0])


def test_what_one_change_draws_moves_no_other_draw():
    plain, stretched = (drawn(autocontrast=p, equalize=0.0) for p in (0.0, 1.0))
    for before, after in zip(plain[0], stretched[0], strict=True):
        torch.testing.assert_close(after, autocontrast(before))


def test_the_whole_slice_unturned_is_the_slice():
    large, _ = drawn(
        large_side=60, large_scale=(1.0, 1.0), turn_degrees=0.0, autocontrast=0.0, equalize=0.0
    )
    wide = torch.nn.functional.interpolate(SLICE[None, None], size=(60, 60), mode="bilinear")
    torch.testing.assert_close(large[0], wide[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("area", [0.1, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("ratio", [-1.0, 0.0, 0.7, 1.0])
def test_a_crop_covers_the_share_of_the_area_that_was_drawn(area, ratio):
    height, width = crop_size((400, 600), area, ratio)
    assert height <= 400 and width <= 600
    assert height * width / 240_000 == pytest.approx(area, rel=0.01)


def test_a_quarter_turn_turns_a_square():
    expected = torch.rot90(SQUARE[0], 1)
    turns = [turned(SQUARE[0], degrees) for degrees in (90.0, -90.0)]
    assert any(torch.allclose(turn, expected, atol=1e-4) for turn in turns)


def test_turning_back_gives_what_was_there_away_from_the_rim():
    smooth = torch.nn.functional.avg_pool2d(SLICE[None], 9, 1, 4)[0]
    back = turned(turned(smooth, 10.0), -10.0)
    torch.testing.assert_close(back[12:-12, 18:-18], smooth[12:-12, 18:-18], atol=0.03, rtol=0)


def test_equalising_spreads_intensities_evenly_and_keeps_their_order():
    dark = SQUARE**1.5
    even = equalize(dark)
    counts = torch.histc(even, 4, 0, 1)
    assert float(counts.max() / counts.min()) < 1.3
    order = dark.flatten().argsort()
    assert bool((even.flatten()[order].diff() >= 0).all())


@pytest.mark.parametrize("change", [autocontrast, equalize])
def test_a_view_of_one_intensity_stays_as_it_is(change):
    flat = torch.full((1, 4, 4), 0.3)
    assert torch.equal(change(flat), flat)


@pytest.mark.parametrize("change", [autocontrast, equalize])
def test_a_changed_view_runs_from_0_to_1(change):
    view = change(0.2 + 0.5 * SQUARE)
    assert float(view.min()) == 0 and float(view.max()) == 1


@pytest.mark.parametrize(
    "wrong", [{"large_scale": (0.0, 1.0)}, {"small_scale": (0.5, 0.2)}, {"small": -1}]
)
def test_views_that_cannot_be_drawn_are_refused(wrong):
    with pytest.raises(TomovoxError, match="views"):
        ViewsConfig(**wrong)
