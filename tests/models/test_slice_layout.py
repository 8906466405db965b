"""Do padded and packed slices read the same, and windows what dense attention reads?"""

import pytest
import torch

from tomovox.models.slice_layout import Packed, Padded, Windowed, layout_of

CLOSE = {"atol": 1e-6, "rtol": 1e-5}
BOTH = pytest.mark.parametrize("kind", [Padded, Packed])
LENGTHS = (1, 7, 4, 12)


def seen_of(lengths: tuple[int, ...] = LENGTHS) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def made(kind: type, lengths: tuple[int, ...] = LENGTHS) -> Padded | Packed:
    return kind(seen_of(lengths), lengths)


def heads(layout: Padded | Packed, seed: int, lengths: tuple[int, ...] = LENGTHS) -> torch.Tensor:
    """Return (r 2 t 3) of drawn slices as a layout has them."""
    laid = layout.lay(drawn(len(lengths), max(lengths), 6, seed=seed))
    return laid.view(*laid.shape[:2], 2, 3).transpose(1, 2)


def related(layout: Padded | Packed, relate, lengths: tuple[int, ...] = LENGTHS) -> torch.Tensor:
    """Return what slices have read, as rows of studies and zeros where there is none."""
    found = relate(*(heads(layout, seed, lengths) for seed in range(3)))
    rows = layout.unlay(found.transpose(1, 2).flatten(2))
    return torch.where(seen_of(lengths)[..., None], rows, 0)


# ---- layouts -------------------------------------------------------------------------------------


@BOTH
def test_what_is_laid_out_comes_back(kind):
    x = torch.where(seen_of()[..., None], drawn(4, 12, 3), 0)
    torch.testing.assert_close(made(kind).unlay(made(kind).lay(x)), x, rtol=0, atol=0)


def test_a_packed_row_holds_nothing_but_slices():
    assert made(Packed).lay(drawn(4, 12, 3)).shape == (1, sum(LENGTHS), 3)


def test_padded_and_packed_slices_read_the_same():
    one, other = (related(each, each.relate) for each in (made(Padded), made(Packed)))
    torch.testing.assert_close(one, other, **CLOSE)


@BOTH
def test_a_slice_reads_its_own_study_only(kind):
    layout = made(kind)
    q, k, v = (heads(layout, seed) for seed in range(3))
    before = layout.unlay(layout.relate(q, k, v).transpose(1, 2).flatten(2))
    others = torch.zeros(4, 12, 6)
    others[1:] = 9.0
    others = layout.lay(others)
    moved = v + others.view(*others.shape[:2], 2, 3).transpose(1, 2)
    after = layout.unlay(layout.relate(q, k, moved).transpose(1, 2).flatten(2))
    torch.testing.assert_close(before[:1, :1], after[:1, :1], rtol=0, atol=0)
    assert float((before[1] - after[1]).detach().abs().max()) > 1


def test_latents_read_the_same_of_padded_and_packed_slices():
    latents, found = drawn(4, 2, 6, seed=5), []
    for layout in (made(Padded), made(Packed)):
        keys = layout.beside(layout.lay(drawn(4, 12, 6)), latents)
        keys = keys.view(*keys.shape[:2], 2, 3).transpose(1, 2)
        found.append(layout.read(latents.view(4, 2, 2, 3).transpose(1, 2), keys, keys))
    torch.testing.assert_close(*found, **CLOSE)


@pytest.mark.parametrize(
    ("lengths", "kind"), [((6, 6), Padded), ((12, 11), Padded), ((6, 5), Packed), ((1,), Padded)]
)
def test_studies_are_packed_where_padding_would_cost(lengths, kind):
    layout = layout_of(seen_of(lengths))
    assert type(layout) is kind and layout.lengths == list(lengths)


# ---- windows -------------------------------------------------------------------------------------


def windowed(layout: Padded | Packed, window: int, random: int = 0) -> Windowed:
    return Windowed(layout, window, random, seed=0, device=torch.device("cpu"))


@BOTH
@pytest.mark.parametrize("window", [6, 8, 12, 40])
def test_windows_that_cover_the_sequence_read_what_dense_attention_reads(kind, window):
    layout = made(kind)
    dense = related(layout, layout.relate)
    torch.testing.assert_close(related(layout, windowed(layout, window)), dense, **CLOSE)


@BOTH
def test_random_blocks_that_are_all_others_read_what_dense_attention_reads(kind):
    layout = made(kind)
    found = related(layout, windowed(layout, 2, random=6))
    torch.testing.assert_close(found, related(layout, layout.relate), **CLOSE)


@pytest.mark.parametrize("random", [0, 1])
def test_windows_of_padded_and_packed_slices_read_the_same(random):
    padded, packed = made(Padded), made(Packed)
    one = related(padded, windowed(padded, 2, random))
    torch.testing.assert_close(related(packed, windowed(packed, 2, random)), one, **CLOSE)


def read_by(window: int, random: int, length: int, seed: int = 0) -> torch.Tensor:
    """Return (l l): which slices each slice of one study reads."""
    layout = made(Padded, (length,))
    relate = Windowed(layout, window, random, seed, torch.device("cpu"))
    nothing = torch.zeros(1, 1, length, length)
    return relate(nothing, nothing, torch.eye(length)[None, None])[0, 0] > 0


def test_a_block_reads_itself_and_its_neighbours():
    block = torch.arange(11) // 3
    assert torch.equal(read_by(3, 0, 11), (block[:, None] - block).abs() <= 1)


def test_random_blocks_are_so_many_more_and_differ_by_seed():
    block = torch.arange(40) // 4
    near = (block[:, None] - block).abs() <= 1
    first, second = (read_by(4, 2, 40, seed) for seed in (0, 1))
    assert bool((first | ~near).all()) and not torch.equal(first, second)
    assert bool(((first & ~near).sum(1) == 8).all())


@BOTH
def test_gradients_pass_windows_as_they_pass_dense_attention(kind):
    layout, found = made(kind), []
    for relate in (layout.relate, windowed(layout, 12)):
        q, k, v = (heads(layout, seed).requires_grad_() for seed in range(3))
        out = relate(q, k, v).transpose(1, 2).flatten(2)
        torch.where(seen_of()[..., None], layout.unlay(out), 0).square().sum().backward()
        found.append([x.grad for x in (q, k, v)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


def test_windows_first_seen_in_inference_train_later():
    layout = made(Padded, (31,))
    with torch.inference_mode():
        related(layout, windowed(layout, 7), (31,))
    q = heads(layout, 0, (31,)).requires_grad_()
    windowed(layout, 7)(q, q, q).sum().backward()
    assert bool(q.grad.any())
