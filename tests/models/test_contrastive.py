"""Does the contrastive loss tell pairs apart?"""

import math

import pytest
import torch
import torch.nn.functional as F

from tomovox.models.contrastive import contrastive_loss, gathered

SCALE = torch.tensor(2.0)
WIDTH = 5


def units(seed: int, rows: int = 4) -> torch.Tensor:
    drawn = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(seed))
    return F.normalize(drawn, dim=-1)


def test_the_loss_of_two_pairs_is_the_hand_computed_cross_entropy():
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    texts = torch.tensor([[0.6, 0.8], [0.0, 1.0]])  # cosines [[.6, 0], [.8, 1]], times 2
    rows = math.log1p(math.exp(0 - 1.2)) + math.log1p(math.exp(1.6 - 2.0))
    columns = math.log1p(math.exp(1.6 - 1.2)) + math.log1p(math.exp(0 - 2.0))
    assert float(contrastive_loss(images, texts, SCALE)) == pytest.approx((rows + columns) / 4)


def test_images_and_texts_can_be_exchanged():
    images, texts = units(0), units(1)
    one, other = contrastive_loss(images, texts, SCALE), contrastive_loss(texts, images, SCALE)
    torch.testing.assert_close(one, other)


def test_the_order_of_the_pairs_does_not_matter():
    images, texts, order = units(0), units(1), torch.tensor([2, 0, 3, 1])
    one = contrastive_loss(images, texts, SCALE)
    torch.testing.assert_close(contrastive_loss(images[order], texts[order], SCALE), one)


def test_equal_embeddings_cost_the_logarithm_of_the_batch():
    same = units(0, 1).expand(4, -1)
    assert float(contrastive_loss(same, same, SCALE)) == pytest.approx(math.log(4))


def test_without_ranks_the_rows_stay_as_they_are():
    rows = units(0)
    assert gathered(rows) is rows
