"""Does the contrastive loss tell pairs apart, and is it the same over one rank and two?"""

import math
import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from tomovox.models.contrastive import contrastive_loss, gathered

SCALE = torch.tensor(2.0)
RANKS, ROWS, WIDTH = 2, 3, 5


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


def on_whole_batch(share: slice) -> dict[str, torch.Tensor]:
    """Return the loss, and its gradients in a shared layer and the scale, of a share of rows."""
    layer = units(7, WIDTH).requires_grad_()
    scale = SCALE.clone().requires_grad_()
    images, texts = units(8, RANKS * ROWS)[share], units(9, RANKS * ROWS)[share]
    loss = contrastive_loss(F.normalize(images @ layer, dim=-1), texts, scale)
    loss.backward()
    return {"loss": loss.detach(), "layer": layer.grad, "scale": scale.grad}


def run_rank(rank: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", RANKS)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=RANKS)
    found = on_whole_batch(slice(rank * ROWS, (rank + 1) * ROWS))
    save_file(found, f"{folder}/{rank}.safetensors")
    dist.barrier()  # a rank that leaves first would close the connection under the other
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory) -> list[dict[str, torch.Tensor]]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(run_rank, (str(folder),), nprocs=RANKS)
    return [load_file(folder / f"{rank}.safetensors") for rank in range(RANKS)]


def test_every_rank_returns_the_loss_of_the_whole_batch(of_ranks):
    whole = on_whole_batch(slice(None))["loss"]
    for rank in of_ranks:
        torch.testing.assert_close(rank["loss"], whole)


@pytest.mark.parametrize("weight", ["layer", "scale"])
def test_gradients_averaged_over_ranks_are_those_of_one_process(of_ranks, weight):
    averaged = sum(rank[weight] for rank in of_ranks) / RANKS
    torch.testing.assert_close(averaged, on_whole_batch(slice(None))[weight])
