"""Laws of MS-VLM: any number of slices and series, and what it knows of their order."""

from itertools import accumulate

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import (
    CLOSE,
    QUESTIONS,
    asked,
    last_logits,
    make,
    trained_zformer,
    volumes,
    zformer,
)

from tomovox.models.slice_layout import Packed, Padded, layout_of
from tomovox.schema import Batch, TomovoxError


def logits_of(model, series: list[torch.Tensor]) -> torch.Tensor:
    """Return the logits of one question about one study of these series."""
    return last_logits(model, asked(series, QUESTIONS[:1], [0], study=[0] * len(series)))


def difference(model, one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    return float((logits_of(model, one) - logits_of(model, other)).abs().max())


def tokens_of(model, batch: Batch) -> torch.Tensor:
    """Return the visual tokens of each study."""
    with torch.no_grad():
        return model.attend(model.perceive(batch.studies), batch.questions).shared


# ---- how many ---------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 7, 40])
def test_any_number_of_slices_is_read(depth):
    assert torch.isfinite(logits_of(make("ms_vlm"), list(volumes(1, depth=depth)))).all()


@settings(max_examples=25, deadline=None)
@given(
    depths=st.lists(st.integers(1, 512), min_size=1, max_size=7),
    attention=st.sampled_from(["dense", "windowed"]),
    positions=st.sampled_from(["suite", "index", "none"]),
)
def test_1_to_512_slices_of_1_to_7_series_become_the_same_number_of_tokens(
    depths, attention, positions
):
    model = make("ms_vlm", zformer=zformer(attention=attention, positions=positions))
    series = [torch.rand(1, depth, 16, 16) for depth in depths]
    together = asked(series, [QUESTIONS[0]], [0], study=[0] * len(series))
    apart = asked(series, [QUESTIONS[0]], [0])
    for batch, studies in ((together, 1), (apart, len(series))):
        tokens = tokens_of(model, batch)
        assert tokens.shape == (studies, 4, 32) and bool(torch.isfinite(tokens).all())


@pytest.mark.parametrize(("depth", "read"), [(128, 128), (129, 128), (600, 128)])
def test_a_series_of_more_than_128_slices_is_subsampled(depth, read):
    studies = asked([torch.rand(1, depth, 16, 16)], QUESTIONS[:1], [0]).studies
    assert make("ms_vlm").perceive(studies).features["cls"].shape[1] == read


def test_a_study_of_more_than_512_slices_is_subsampled():
    studies = asked([torch.rand(1, 600, 16, 16)], QUESTIONS[:1], [0]).studies
    model = make("ms_vlm", zformer=zformer(max_per_series=None))
    assert model.perceive(studies).features["cls"].shape[1] == 512


# ---- beside others ----------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["dense", "windowed"])
@pytest.mark.parametrize(("depths", "kind"), [((10, 11), Padded), ((3, 11), Packed)])
def test_slices_appended_for_a_longer_study_change_no_token(attention, depths, kind):
    model = make("ms_vlm", zformer=zformer(attention=attention, window=2))
    series = [volumes(1, seed=i, depth=depth)[0] for i, depth in enumerate(depths)]
    beside = asked(series, [QUESTIONS[0]] * 2, [0, 1])
    assert type(layout_of(model.perceive(beside.studies).features["seen"])) is kind
    alone = torch.cat([tokens_of(model, asked([s], QUESTIONS[:1], [0])) for s in series])
    torch.testing.assert_close(tokens_of(model, beside), alone, **CLOSE)


def test_padding_to_a_longer_study_changes_nothing():
    model = make("ms_vlm")
    short, long = volumes(1, depth=3)[0], volumes(1, depth=11)[0]
    alone = last_logits(model, asked([short], QUESTIONS[:1], [0]))
    beside = last_logits(model, asked([short, long], [QUESTIONS[0]] * 2, [0, 1]))
    torch.testing.assert_close(alone, beside[:1], **CLOSE)


def test_studies_of_one_and_three_series_read_the_same_alone_and_together():
    model = make("ms_vlm")
    one = [volumes(1, seed=1, depth=5)[0]]
    three = [volumes(1, seed=2 + i, depth=depth)[0] for i, depth in enumerate((3, 9, 4))]
    alone = torch.cat([logits_of(model, one), logits_of(model, three)])
    batch = asked([*one, *three], [QUESTIONS[0]] * 2, [0, 1], study=[0, 1, 1, 1])
    torch.testing.assert_close(last_logits(model, batch), alone, **CLOSE)


def test_series_of_other_sizes_in_pixels_are_read_each_at_its_place():
    model = make("ms_vlm")
    sizes = (16, 20, 16)
    series = [
        torch.rand(1, depth, size, size) for depth, size in zip((2, 3, 4), sizes, strict=True)
    ]
    cls = model.perceive(asked(series, QUESTIONS[:1], [0], study=[0, 0, 0]).studies).features["cls"]
    ends = [0, *accumulate(s.shape[1] for s in series)]
    for i, each in enumerate(series):
        own = model.perceive(asked([each], QUESTIONS[:1], [0]).studies).features["cls"]
        torch.testing.assert_close(cls[:, ends[i] : ends[i + 1]], own, **CLOSE)


# ---- in which order ---------------------------------------------------------------------------


def permuted_slices(positions: str) -> float:
    """Return how far the logits move when the slices of a series change places."""
    (volume,) = volumes(1)
    order = torch.randperm(volume.shape[1], generator=torch.Generator().manual_seed(1))
    model = make("ms_vlm", seed=3, zformer=zformer(positions=positions))
    return difference(model, [volume], [volume[:, order]])


def swapped_series(positions: str) -> float:
    """Return how far the logits move when two series of one length change places."""
    a, b = volumes(2)
    return difference(make("ms_vlm", seed=3, zformer=zformer(positions=positions)), [a, b], [b, a])


def test_without_positions_the_order_of_slices_is_unseen():
    assert permuted_slices("none") < 1e-4


@pytest.mark.parametrize("positions", ["suite", "index"])
def test_with_positions_the_order_of_slices_is_seen(positions):
    assert permuted_slices(positions) > 1e-4


def test_without_positions_the_order_of_series_is_unseen():
    assert swapped_series("none") < 1e-4


def test_with_a_vector_per_series_slot_the_order_of_series_is_seen():
    assert swapped_series("suite") > 1e-4


# ---- what is told -----------------------------------------------------------------------------


def named(batch: Batch, plane: str) -> Batch:
    batch.studies.plane = [plane] * len(batch.studies.voxels)
    return batch


@torch.no_grad()
def test_names_of_series_reach_the_tokens_once_they_are_learned():
    model = make("ms_vlm")
    batch = asked(list(volumes(1)), QUESTIONS[:1], [0])
    untold = tokens_of(model, named(batch, ""))
    assert torch.equal(tokens_of(model, named(batch, "axial")), untold)
    model.zformer.embed.told["plane"].weight[1] = torch.arange(32.0)
    assert torch.equal(tokens_of(model, named(batch, "")), untold)
    assert torch.equal(tokens_of(model, named(batch, "sagittal")), untold)
    assert float((tokens_of(model, named(batch, "axial")) - untold).abs().max()) > 1e-4


# ---- what trains ------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_zformer_does_not_train_and_all_else_does(frozen, tmp_path):
    config = zformer(frozen=frozen, weights=trained_zformer(tmp_path))
    model = make("ms_vlm", zformer=config).train()
    trains = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trains == {"resampler", "projector", "language"} | ({"zformer"} if not frozen else set())
    assert model.zformer.training is not frozen


def test_a_zformer_that_nothing_trained_is_not_frozen():
    with pytest.raises(TomovoxError, match=r"give zformer\.weights"):
        make("ms_vlm", zformer=zformer(frozen=True))
