"""Do two processes train the weights that one does, under DDP and FSDP2, and does one load them?"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import distributed_rank
import pytest
import torch
from distributed_rank import RANKS, STRATEGIES, train, untrained
from safetensors.torch import load_file
from tiny_models import make
from torch import nn

from tomovox.models.checkpoint import check_checkpoint, load_trained
from tomovox.models.sharding import _blocks, first_process, share_out, system_of, whole
from tomovox.schema import TomovoxError

NEAR = {"atol": 2e-5, "rtol": 0.0}
"""Sums of two halves differ from the sum in the last digit; the weights moved by about 2e-2."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def left(tmp_path_factory) -> Path:
    """The folder with what one process left, and two under each strategy."""
    folder = tmp_path_factory.mktemp("trained")
    for name in ("one", *STRATEGIES, "shards"):
        (folder / name).mkdir()
    environment = os.environ | {
        **{"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "MASTER_ADDR": "127.0.0.1"},
        **{"MASTER_PORT": str(free_port()), "WORLD_SIZE": str(RANKS)},
    }
    command = [sys.executable, distributed_rank.__file__]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(folder)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    try:
        train("auto", 0, 1, folder / "one")
        said = [rank.communicate(timeout=300)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0] * RANKS, "\n".join(said)
    return folder


def weights(left: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(left / name / "trained.safetensors")


# ---- training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRATEGIES)
def test_two_processes_train_the_weights_of_one(left, name):
    torch.testing.assert_close(weights(left, name), weights(left, "one"), **NEAR)


def test_two_processes_that_were_cut_go_on_from_the_shares_that_each_wrote(left):
    assert {p.name for p in (left / "shards" / "cut.ckpt").iterdir()} > {"meta.pt", "__1_0.distcp"}
    assert sorted(p.name for p in (left / "shards").iterdir()) == [
        "cut.ckpt",
        "trained.safetensors",
    ]
    torch.testing.assert_close(weights(left, "shards"), weights(left, "fsdp2"), atol=0, rtol=0)


def test_training_moved_the_weights_by_far_more_than_the_processes_differ(left):
    start, end = untrained().state_dict(), weights(left, "one")
    assert max(float((end[k] - start[k]).abs().max()) for k in end) > 1e-2


def test_under_fsdp2_each_process_holds_a_share_of_every_weight(left):
    total = sum(p.numel() for p in untrained().parameters())
    held = [int((left / "fsdp2" / f"{rank}.txt").read_text()) for rank in range(RANKS)]
    assert sum(held) == total and max(held) < 0.6 * total


# ---- what is left ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_weights_of_two_processes_load_in_one(left, name):
    model = untrained()
    load_trained(model, left / name / "trained.safetensors")
    state = model.state_dict()
    assert all(torch.equal(state[k], value) for k, value in weights(left, name).items())


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_checkpoint_of_lightning_holds_the_same_weights_whole(left, name):
    checkpoint = torch.load(left / name / "lightning.ckpt", weights_only=True)
    torch.testing.assert_close(checkpoint["state_dict"], weights(left, name), atol=0, rtol=0)
    check_checkpoint(untrained(), checkpoint["state_dict"], checkpoint["tomovox"]["system"], "x")


# ---- in one process ----------------------------------------------------------------------------


def test_without_a_mesh_a_model_stays_as_it_is():
    model = untrained()
    kind = type(model)
    share_out(model)
    assert type(model) is kind and system_of(model) == "Med2E3"


@pytest.mark.parametrize(("name", "alone"), [("med2e3", True), ("ms_vlm", False)])
def test_an_encoder_that_runs_as_often_as_there_are_slices_is_not_gathered_by_block(name, alone):
    model = make(name)
    model.vision2d.blocks = nn.ModuleList([nn.Sequential(nn.Linear(2, 2))])
    assert (model.vision2d.blocks[0] in list(_blocks(model))) == alone


def test_one_process_is_the_first_and_its_state_is_whole_already():
    weight = nn.Linear(2, 2).weight.detach()
    assert first_process() and torch.equal(whole({"w": weight})["w"], weight)


def test_tensor_parallelism_is_refused_with_the_remedy(monkeypatch):
    class Mesh:
        def __getitem__(self, name: str) -> "Mesh":
            return self

        def size(self) -> int:
            return 2

    model = untrained()
    model._device_mesh = Mesh()
    with pytest.raises(TomovoxError, match="set tensor_parallel_size: 1 and data_parallel_size"):
        model.configure_model()
