"""Who starts the processes that share a piece of work, and are they all there?"""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from lightning import Trainer

from tomovox.progress import Job, do_all
from tomovox.schema import TomovoxError

WorkT = TypeVar("WorkT")


def check_world_size(trainer: Trainer) -> None:
    """Raise TomovoxError unless as many processes train together as devices were asked for.

    Lightning leaves the starting of processes to the scheduler. In a SLURM job of one task it would
    train on one device and see that device's share of the data alone, without a word.
    """
    asked = trainer.num_devices * trainer.num_nodes
    if trainer.world_size != asked:
        raise TomovoxError(
            f"trainer: {trainer.num_devices} devices on each of {trainer.num_nodes} nodes need "
            f"{asked} processes, and {trainer.world_size} run (a SLURM job of one task?): start "
            f"with srun --ntasks-per-node={trainer.num_devices}, or let Lightning start them: "
            f"trainer.plugins: lightning.pytorch.plugins.environments.LightningEnvironment"
        )


def do_apart(work: Callable[[WorkT], None], shares: Sequence[WorkT], name: str) -> None:
    """Do each share in a process of its own, with as many CPU threads as this process has.

    The first error ends all processes and is raised.
    """
    jobs = [Job(f"{name} {rank}", work, share) for rank, share in enumerate(shares)]
    do_all(jobs, len(jobs), torch.get_num_threads())


@dataclass(frozen=True)
class Rank(Generic[WorkT]):
    """One of `count` processes that do the same work together, and the port where they meet."""

    number: int
    count: int
    port: int
    work: Callable[[WorkT], None]
    argument: WorkT


def do_together(work: Callable[[WorkT], None], argument: WorkT, count: int, name: str) -> None:
    """Let `count` processes of this machine do a work whose trainer has as many devices.

    Lightning would start this whole command again for each, with all that it did before.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    do_apart(_as_rank, [Rank(i, count, port, work, argument) for i in range(count)], name)


def _as_rank(rank: Rank[Any]) -> None:
    """Do the work with the variables by which Lightning knows that all processes are started."""
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(rank.port),
        "NODE_RANK": "0",
        "LOCAL_RANK": str(rank.number),
        "WORLD_SIZE": str(rank.count),
    }
    rank.work(rank.argument)
