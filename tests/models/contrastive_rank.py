"""One rank of the contrastive loss: python contrastive_rank.py RANK FOLDER.

Writes loss and gradients of its half of the rows to FOLDER/RANK.safetensors. Letters: w rows of all
ranks, e width.
"""

import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from tomovox.models.contrastive import contrastive_loss

RANKS, ROWS, WIDTH = 2, 3, 5
ALL = slice(None)


def drawn(seed: int, rows: int) -> Tensor:
    return torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(seed))


def loss_and_gradients(held: slice, through: slice = ALL) -> dict[str, Tensor]:
    """Return the loss, and its gradients in the weights, of a process that holds some rows.

    The gradients in the encoders flow through the embeddings of the rows `through` only.
    """
    weights = {"volumes": drawn(0, WIDTH), "reports": drawn(1, WIDTH), "scale": torch.tensor(2.0)}
    for weight in weights.values():
        weight.requires_grad_()
    embeddings = []
    for seed, part in ((2, "volumes"), (3, "reports")):
        rows = F.normalize(drawn(seed, RANKS * ROWS)[held] @ weights[part], dim=-1)
        fixed = rows.detach().clone()
        fixed[through] = rows[through]
        embeddings.append(fixed)
    loss = contrastive_loss(*embeddings, weights["scale"])
    loss.backward()
    return {"loss": loss.detach()} | {k: w.grad for k, w in weights.items() if w.grad is not None}


def rows_of(rank: int) -> slice:
    return slice(rank * ROWS, (rank + 1) * ROWS)


def main(rank: int, folder: Path) -> None:
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=RANKS,
        timeout=timedelta(seconds=120),
    )
    found = loss_and_gradients(rows_of(rank))
    save_file(found, folder / f"{rank}.safetensors")
    dist.barrier()  # a rank that leaves first would close the connection under the other
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]).absolute())
