"""Laws of MS-VLM: any number of slices and series, and what it knows of their order."""

import pytest
import torch
from tiny_models import CLOSE, QUESTIONS, asked, last_logits, make, volumes, zformer


def logits_of(model, series: list[torch.Tensor]) -> torch.Tensor:
    """Return the logits of one question about one study of these series."""
    return last_logits(model, asked(series, QUESTIONS[:1], [0], study=[0] * len(series)))


def difference(model, one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    return float((logits_of(model, one) - logits_of(model, other)).abs().max())


# ---- how many ---------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 7, 40])
def test_any_number_of_slices_is_read(depth):
    assert torch.isfinite(logits_of(make("ms_vlm"), list(volumes(1, depth=depth)))).all()


@pytest.mark.parametrize("depth", [512, 600])
def test_512_slices_are_read_and_more_are_subsampled(depth):
    voxels = [torch.rand(1, depth, 16, 16, generator=torch.Generator().manual_seed(0))]
    percept = make("ms_vlm").perceive(asked(voxels, QUESTIONS[:1], [0]).studies)
    assert percept.features["cls"].shape[1] == 512


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
