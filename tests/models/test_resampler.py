"""Do latents read the slices that exist, and tell how much of each?"""

import torch
from lightning import seed_everything
from test_slice_layout import BOTH, drawn, made, seen_of

from tomovox.models.resampler import Resampler
from tomovox.models.slice_layout import Packed, Padded

CLOSE = {"atol": 2e-5, "rtol": 1e-4}
LENGTHS = (6, 2)


def built() -> Resampler:
    seed_everything(0, verbose=False)
    return Resampler(width=8, heads=2, latents=3, layers=2).eval()


@torch.no_grad()
def resampled(kind: type, beyond: float = 0.0) -> torch.Tensor:
    """Return latents and slice scores of two studies, with a number behind the slices."""
    layout = made(kind, LENGTHS)
    memory = layout.lay(torch.where(seen_of(LENGTHS)[..., None], drawn(2, 6, 8), beyond))
    model = built()
    return model(memory, layout), model.slice_scores(memory, layout)


@BOTH
def test_what_stands_behind_the_slices_of_a_study_is_not_read(kind):
    for one, other in zip(resampled(kind), resampled(kind, beyond=7.0), strict=True):
        assert torch.equal(one, other)


def test_padded_and_packed_slices_give_the_same():
    for one, other in zip(resampled(Padded), resampled(Packed), strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


@BOTH
def test_slice_scores_are_shares_of_the_slices_that_exist(kind):
    _, scores = resampled(kind)
    torch.testing.assert_close(scores.sum(-1), torch.ones(2))
    assert bool((scores[seen_of(LENGTHS)] > 0).all()) and float(scores[1, 2:].max()) == 0
