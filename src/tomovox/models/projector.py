"""How do encoder tokens become language-model vectors? The published projectors.

Letters: u rows, k tokens in, p tokens out, d encoder width, h language-model width.
Source: M3D (perceiver-free spatial pooling projector), Med-2E3 (mlp2x_gelu connectors).
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def mlp(width_in: int, width_out: int, depth: int = 2) -> nn.Sequential:
    """Return Linear(in, out) followed by depth - 1 times (exact GELU, Linear(out, out))."""
    layers: list[nn.Module] = [nn.Linear(width_in, width_out)]
    for _ in range(depth - 1):
        layers += [nn.GELU(), nn.Linear(width_out, width_out)]
    return nn.Sequential(*layers)


def pool_grid(
    tokens: Float[Tensor, "u k d"], grid: tuple[int, int, int], pool: int
) -> Float[Tensor, "u p d"]:
    """Average `pool`^3 neighbouring tokens of a depth-major grid (M3D, spatial pooling)."""
    u, _, d = tokens.shape
    cells = tokens.transpose(1, 2).reshape(u, d, *grid)
    return F.avg_pool3d(cells, pool).flatten(2).transpose(1, 2)
