"""How is a model spread over devices that each hold a share of every weight? FSDP2 of PyTorch.

Source: torch.distributed.fsdp.fully_shard, for Lightning's ModelParallelStrategy.
"""

from collections.abc import Iterator
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from tomovox.schema import TomovoxError

STEPS = ("training_step", "validation_step", "predict_step")
"""Methods of a LightningModule that run with all of its own weights gathered."""


def share_out(model: Any) -> None:
    """Let each device keep a share of all weights, frozen or not; without a mesh nothing happens.

    The blocks of encoders and language model are gathered one at a time, each while it computes.
    What stands between them is gathered for a whole step, since a step calls more of it than its
    `forward`. All processes must hold the same weights. Raises TomovoxError for a strategy that
    would also cut single layers.
    """
    if model.device_mesh is None or isinstance(model, FSDPModule):
        return
    if model.device_mesh["tensor_parallel"].size() > 1:
        raise TomovoxError(
            "trainer.strategy: no layer of ours can be cut for tensor parallelism; set "
            "tensor_parallel_size: 1 and data_parallel_size to the number of devices"
        )
    mesh = model.device_mesh["data_parallel"]
    for block in reversed(list(_blocks(model))):  # inner ones first
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for step in STEPS:
        register_fsdp_forward_method(model, step)


def _blocks(model: Any) -> Iterator[nn.Module]:
    """Yield the blocks of the stacks in encoders and language model, outer ones first.

    All processes gather a block at the same time, so not those of an encoder that each of them runs
    as often as its own studies have slices: it is gathered for a whole step.
    """
    for part in (*(() if model.by_series else model.encoders), "language"):
        for module in getattr(model, part).modules():
            if isinstance(module, nn.ModuleList):
                yield from (block for block in module if next(block.children(), None) is not None)


def system_of(model: nn.Module) -> str:
    """Return the name of a model's class, beneath the one that FSDP2 puts in front of it."""
    return next(c.__name__ for c in type(model).__mro__ if not issubclass(c, FSDPModule))


def together() -> bool:
    """Return whether this is one of several processes that train a model together."""
    return dist.is_available() and dist.is_initialized()


def first_process() -> bool:
    """Return whether this is the only process or the first of those that train together."""
    return not together() or dist.get_rank() == 0


def wait_for_all() -> None:
    """Return when all processes that train together have come here."""
    if together():
        dist.barrier()


def whole(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state on the CPU, put together from the shares of all processes.

    All must ask for it, and only the first gets it: the others' is empty.
    """
    found = {}
    for name, tensor in state.items():  # one tensor at a time is whole in memory
        full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if first_process():
            found[name] = full.contiguous().cpu()
    return found
