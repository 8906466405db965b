"""Does every rank go on with the batch that it would have had, in the pass that it was in?"""

import pytest
from lightning.fabric.utilities.distributed import DistributedSamplerWrapper
from lightning.pytorch.utilities.data import _update_dataloader
from torch.utils.data import Dataset

from tomovox.data.sampling import StudySampler
from tomovox.data.training_loader import TrainingLoader


class Rows(Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, key):
        return key[0]


def loader_of(rank: int) -> TrainingLoader:
    """Return the loader of one of two ranks, as Lightning makes it anew with its own sampler."""
    order = StudySampler(12, seed=3)
    loader = TrainingLoader(Rows(), order, batch_size=2, drop_last=True)
    return _update_dataloader(loader, DistributedSamplerWrapper(order, num_replicas=2, rank=rank))


def rows(loader: TrainingLoader) -> list[list[int]]:
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("given", [0, 1, 2])
def test_a_rank_goes_on_in_the_middle_of_a_pass(rank, given):
    loader = loader_of(rank)
    passes = [rows(loader) for _ in range(3)]
    cut = loader_of(rank)
    rows(cut)
    second = iter(cut)
    for _ in range(given):
        next(second)
    other = loader_of(rank)
    other.load_state_dict(cut.state_dict())
    assert [rows(other), rows(other)] == [passes[1][given:], passes[2]]
