"""How do encoder tokens become language-model vectors? The published projectors.

Letters: u rows, k tokens in, p tokens out, d encoder width, h language-model width.
Source: M3D (perceiver-free spatial pooling projector), Med-2E3 (mlp2x_gelu connectors).
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def mlp(width_in: int, width_out: int, depth: int = 2) -> nn.Sequential:
    """Return Linear(in, out) followed by depth - 1 times (exact GELU, Linear(out, out))."""
    layers: list[nn.Module] = [nn.Linear(width_in, width_out)]
    for _ in range(depth - 1):
        layers += [nn.GELU(), nn.Linear(width_out, width_out)]
    return nn.Sequential(*layers)


def linears(width_in: int, width_out: int, depth: int = 2) -> nn.Sequential:
    """Return Linear(in, out) followed by depth - 1 Linear(out, out), nothing between them."""
    widths = [width_in] + [width_out] * depth
    return nn.Sequential(*(nn.Linear(a, width_out) for a in widths[:-1]))


def pool_grid(
    tokens: Float[Tensor, "u k d"], grid: tuple[int, int, int], pool: int
) -> Float[Tensor, "u p d"]:
    """Average `pool`^3 neighbouring tokens of a depth-major grid (M3D, spatial pooling)."""
    u, _, d = tokens.shape
    cells = tokens.transpose(1, 2).reshape(u, d, *grid)
    return F.avg_pool3d(cells, pool).flatten(2).transpose(1, 2)


def pool_sequence(tokens: Float[Tensor, "u k d"], window: int) -> Float[Tensor, "u p d"]:
    """Average every `window` consecutive tokens (M3D, sequence pooling); a shorter rest is left."""
    return F.avg_pool1d(tokens.transpose(1, 2), window).transpose(1, 2)


class PoolingProjector(nn.Module):
    """The projector `spp` of M3D-LaMed: pooling, then `depth` Linears of type `layers`.

    "spatial" averages `pool`^3 neighbours of the depth-major `grid`, "sequence" as many consecutive
    tokens. Layers of "mlp" have an exact GELU between them, of "linear" nothing. Keys are the
    published ones (projector.0.weight, ...). The defaults are the published projector.
    Source: M3D (Bai et al. 2024), perceiver; released configuration of M3D-LaMed.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        grid: tuple[int, int, int] = (8, 16, 16),
        pooling: Literal["spatial", "sequence"] = "spatial",
        pool: int = 2,
        layers: Literal["mlp", "linear"] = "mlp",
        depth: int = 2,
    ):
        super().__init__()
        self.grid, self.pooling, self.pool = grid, pooling, pool
        build = {"mlp": mlp, "linear": linears}[layers]
        self.projector = build(width_in, width_out, depth)

    def forward(self, tokens: Float[Tensor, "u k d"]) -> Float[Tensor, "u p h"]:
        """Return the pooled and projected patch tokens (CLS is dropped before)."""
        return self.projector(self.pooled(tokens))

    def pooled(self, tokens: Float[Tensor, "u k d"]) -> Float[Tensor, "u p d"]:
        """Return the averaged patch tokens, which no weight has touched yet."""
        if self.pooling == "sequence":
            return pool_sequence(tokens, self.pool**3)
        return pool_grid(tokens, self.grid, self.pool)
