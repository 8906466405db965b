"""Do latents read the slices that exist, and tell how much of each?"""

import pytest
import torch
from lightning import seed_everything
from test_slice_layout import BOTH, drawn, made, seen_of

from tomovox.models.resampler import Resampler
from tomovox.models.slice_layout import Packed, Padded

CLOSE = {"atol": 2e-5, "rtol": 1e-4}
LENGTHS = (6, 2)


WIDTHS = pytest.mark.parametrize("width", [None, 12])


def built(width: int | None = None) -> Resampler:
    seed_everything(0, verbose=False)
    return Resampler(8, heads=2, latents=3, layers=2, width=width).eval()


@torch.no_grad()
def resampled(kind: type, width: int | None, beyond: float = 0.0) -> tuple[torch.Tensor, ...]:
    """Return latents and slice scores of two studies, with a number behind the slices."""
    layout = made(kind, LENGTHS)
    memory = layout.lay(torch.where(seen_of(LENGTHS)[..., None], drawn(2, 6, 8), beyond))
    model = built(width)
    return model(memory, layout), model.slice_scores(memory, layout)


@WIDTHS
@BOTH
def test_what_stands_behind_the_slices_of_a_study_is_not_read(kind, width):
    for one, other in zip(resampled(kind, width), resampled(kind, width, 7.0), strict=True):
        assert torch.equal(one, other)


@WIDTHS
def test_padded_and_packed_slices_give_the_same(width):
    for one, other in zip(resampled(Padded, width), resampled(Packed, width), strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


@BOTH
def test_slice_scores_are_shares_of_the_slices_that_exist(kind):
    _, scores = resampled(kind, None)
    torch.testing.assert_close(scores.sum(-1), torch.ones(2))
    assert bool((scores[seen_of(LENGTHS)] > 0).all()) and float(scores[1, 2:].max()) == 0


@WIDTHS
def test_latents_are_as_wide_as_asked_for_and_as_slices_by_default(width):
    model = built(width)
    assert model.width == (width or 8) and resampled(Padded, width)[0].shape[-1] == model.width
    heads = {(layer.attn.heads, layer.attn.q.out_features) for layer in model.layers}
    assert heads == ({(8, 512)} if width else {(2, 8)})
