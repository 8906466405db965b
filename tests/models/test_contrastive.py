"""Does the contrastive loss tell pairs apart, and is it the same over one rank and two?"""

import math
import os
import subprocess
import sys
from pathlib import Path

import contrastive_rank
import pytest
import torch
import torch.nn.functional as F
from contrastive_rank import ALL, RANKS, loss_and_gradients, rows_of
from safetensors.torch import load_file

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


# ---- over ranks ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory) -> list[dict[str, torch.Tensor]]:
    """Return what each of two processes finds that hold half of the rows."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, contrastive_rank.__file__]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(folder)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    try:
        said = [rank.communicate(timeout=180)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0] * RANKS, "\n".join(said)
    return [load_file(folder / f"{rank}.safetensors") for rank in range(RANKS)]


def test_every_rank_returns_the_loss_of_the_whole_batch(of_ranks):
    whole = loss_and_gradients(ALL)["loss"]
    for rank in of_ranks:
        torch.testing.assert_close(rank["loss"], whole)


@pytest.mark.parametrize("weight", ["volumes", "reports", "scale"])
def test_the_mean_of_the_ranks_gradients_is_that_of_one_process(of_ranks, weight):
    mean = sum(rank[weight] for rank in of_ranks) / RANKS  # as DDP averages them
    torch.testing.assert_close(mean, loss_and_gradients(ALL)[weight])


@pytest.mark.parametrize("weight", ["volumes", "reports"])
def test_a_rank_gives_the_gradient_of_its_rows_as_often_as_there_are_ranks(of_ranks, weight):
    for number, rank in enumerate(of_ranks):
        through_its_rows = loss_and_gradients(ALL, through=rows_of(number))[weight]
        torch.testing.assert_close(rank[weight], RANKS * through_its_rows)


def test_the_scale_gets_its_whole_gradient_on_every_rank(of_ranks):
    for rank in of_ranks:
        torch.testing.assert_close(rank["scale"], loss_and_gradients(ALL)["scale"])
