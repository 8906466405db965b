"""Which weights and inputs does a parity case have? The recipe of the cases.

No weights are stored: the name of a state-dict key, or of a case, alone determines every value.
"""

import math
import zlib

import torch
from torch import Tensor


def tensor_for(name: str, shape: tuple[int, ...]) -> Tensor:
    """Return the float32 weight that the cases put under the reference state-dict key `name`.

    Normal draws seeded by the CRC-32 of the name. Two or more dimensions: divided by the root of
    the fan-in; fewer: times .05, and a "...weight" (the scale of a norm) is moved by 1.
    """
    drawn = torch.randn(shape, generator=_generator(name))
    if len(shape) > 1:
        return drawn * math.prod(shape[1:]) ** -0.5
    return 0.05 * drawn + float(name.endswith("weight"))


def volume_for(case: str, shape: tuple[int, ...]) -> Tensor:
    """Return the float32 input volume of a case: uniform in [0, 1)."""
    return torch.rand(shape, generator=_generator(f"volume:{case}"))


def token_ids_for(case: str, shape: tuple[int, ...], vocab_size: int) -> Tensor:
    """Return the int64 token ids of a case: uniform from 5, below `vocab_size`."""
    return torch.randint(5, vocab_size, shape, generator=_generator(f"tokens:{case}"))


def _generator(name: str) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))
