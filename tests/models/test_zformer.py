"""Does a Z-former relate the slices of a study, whatever their number, layout and names?"""

from dataclasses import replace

import pytest
import torch
from lightning import seed_everything
from safetensors.torch import save_file
from test_slice_layout import BOTH, made, seen_of
from tiny_models import zformer

from tomovox.models.slice_layout import Packed, Padded
from tomovox.models.slice_sequence import NAMES
from tomovox.models.zformer import ZFormer, ZFormerConfig
from tomovox.schema import TomovoxError

CLOSE = {"atol": 2e-5, "rtol": 1e-4}
LENGTHS = (9, 1, 4)
TOLD = {"plane": 1, "phase": 2, "kernel": 1}


def built(**changes) -> ZFormer:
    seed_everything(3, verbose=False)
    return zformer(layers=2, **changes).build(8).eval()


def features(lengths: tuple[int, ...] = LENGTHS, **told: int) -> dict[str, torch.Tensor]:
    """Return what MS-VLM perceives of studies of one series each; ids are told of every slice."""
    shape = len(lengths), max(lengths)
    draws = torch.Generator().manual_seed(0)
    return {
        "cls": torch.randn(*shape, 8, generator=draws),
        "seen": seen_of(lengths),
        "place": torch.rand(shape, generator=draws),
        "slot": torch.zeros(shape, dtype=torch.long),
        **{kind: torch.full(shape, value) for kind, value in told.items()},
    }


@torch.no_grad()
def related(model: ZFormer, kind: type = Padded, **told: int) -> torch.Tensor:
    """Return the slices of LENGTHS after a Z-former, zeros where there is none."""
    layout = made(kind, LENGTHS)
    rows = layout.unlay(model(features(**told), layout))
    return torch.where(seen_of(LENGTHS)[..., None], rows, 0)


# ---- attention -----------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["suite", "index", "none"])
@pytest.mark.parametrize("attention", ["dense", "windowed"])
def test_padded_and_packed_studies_give_the_same(positions, attention):
    model = built(positions=positions, attention=attention, window=2)
    torch.testing.assert_close(related(model, Packed), related(model), **CLOSE)


@BOTH
def test_windows_that_cover_the_sequence_equal_dense_attention(kind):
    dense = related(built())
    for window in (5, 16):
        found = related(built(attention="windowed", window=window), kind)
        torch.testing.assert_close(found, dense, **CLOSE)


def test_narrow_windows_differ_from_dense_attention():
    narrow = built(attention="windowed", window=2)
    assert float((related(narrow) - related(built()))[0].abs().max()) > 1e-3


def test_random_blocks_differ_by_layer_and_come_again():
    model = built(attention="windowed", window=1, random_blocks=1)
    assert torch.equal(related(model), related(model))
    layout = made(Padded, (40,))
    first, second = (model._relation(layout, seed, torch.device("cpu")).read for seed in (0, 1))
    assert not torch.equal(first, second)


# ---- what is told --------------------------------------------------------------------------------


def test_what_is_told_has_no_effect_before_training():
    model = built()
    assert torch.equal(related(model, **TOLD), related(model))


@pytest.mark.parametrize("kind", NAMES)
def test_what_is_told_is_learned_and_untold_stays_as_it_was(kind):
    model = built()
    before, untold = related(model), dict.fromkeys(NAMES, 0)
    layout = made(Padded, LENGTHS)
    optimizer = torch.optim.AdamW(model.embed.told.parameters(), lr=0.1)
    model(features(**(untold | {kind: 1})), layout)[0, 0, :3].square().sum().backward()
    optimizer.step()
    assert torch.equal(related(model), before)
    assert torch.equal(related(model, **untold), before)
    assert float((related(model, **{kind: 1}) - before).abs().max()) > 1e-3
    assert torch.equal(related(model, **{kind: 2}), before)


@pytest.mark.parametrize("positions", ["index", "none"])
def test_other_positions_know_no_names(positions):
    model = built(positions=positions)
    assert not any("told" in name for name, _ in model.named_parameters())
    assert torch.equal(related(model, **TOLD), related(model))


# ---- building ------------------------------------------------------------------------------------


def test_weights_of_an_earlier_training_are_loaded(tmp_path):
    first = built()
    save_file(first.state_dict(), tmp_path / "zformer.safetensors")
    again = replace(first.config, weights=str(tmp_path / "zformer.safetensors")).build(8)
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in first.state_dict().items())


def test_weights_of_other_sizes_are_refused(tmp_path):
    save_file(built().state_dict(), tmp_path / "z.safetensors")
    with pytest.raises(TomovoxError, match=r"z\.safetensors: does not fit ZFormer: "):
        zformer(layers=3, weights=str(tmp_path / "z.safetensors")).build(8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 30, "heads": 4}, "zformer.width is 30, no multiple of 4 heads"),
        ({"heads": 0}, "zformer.heads is 0: give 1 or more"),
        ({"window": 0}, "zformer.window is 0"),
        ({"random_blocks": -1}, "zformer.random_blocks is -1: give 0 or more"),
        ({"max_slices": 0}, "zformer.max_slices is 0"),
        ({"max_per_series": 0}, "zformer.max_per_series is 0"),
    ],
)
def test_sizes_that_no_zformer_has_are_refused(changes, words):
    with pytest.raises(TomovoxError, match=words):
        ZFormerConfig(**changes).build(8)
