"""What do the slices of a study say of each other? The Z-former: a transformer over slice vectors.

Letters: u studies, l slices of a study over all its series (padded to the longest), d width of a
slice vector, z Z-former width.
Source: MS-VLM (arXiv 2412.13558).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tomovox.models.blocks import Block, sinusoid
from tomovox.models.released import load_weights


@dataclass
class ZFormerConfig:
    """Sizes of a Z-former, and what it knows of where a slice stands.

    `positions`: "suite" adds a sinusoid of the place within the series and a learned vector per
    series slot; "index" a learned vector per index in the whole sequence (as the paper); "none"
    nothing. A study of more than `max_slices` slices is subsampled evenly. `weights` is a file of a
    Z-former trained before, such as on masked slice vectors; `frozen` keeps it as it is.
    """

    width: int = 768
    layers: int = 12
    heads: int = 12
    positions: Literal["suite", "index", "none"] = "suite"
    max_slices: int = 512
    max_series: int = 8
    weights: str | None = None
    frozen: bool = False

    def build(self, width_in: int) -> "ZFormer":
        """Return a Z-former for slice vectors of `width_in`, with its weights loaded."""
        return load_weights(ZFormer(self, width_in), self.weights)


class ZFormer(nn.Module):
    """Embedded slice vectors -> transformer blocks -> norm."""

    def __init__(self, config: ZFormerConfig, width_in: int):
        super().__init__()
        self.config = config
        self.embed = SliceEmbedding(config, width_in)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, 4 * config.width) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, features: Mapping[str, Tensor]) -> Float[Tensor, "u l z"]:
        """Return each slice in the light of all others of its study.

        `features` are those of a percept of MS-VLM: "cls" (u l d), "seen" (u l), which of them
        exist, "place" (u l) in [0, 1] within the series and "slot" (u l), the number of the series.
        """
        mask = features["seen"][:, None, None, :]
        x = self.embed(features)
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)


class SliceEmbedding(nn.Module):
    """CLS vectors -> Z-former width, plus where the slice stands."""

    def __init__(self, config: ZFormerConfig, width_in: int):
        super().__init__()
        self.positions = config.positions
        self.linear = nn.Linear(width_in, config.width)
        self.norm = nn.LayerNorm(config.width)
        if config.positions == "suite":
            self.place = nn.Linear(64, config.width)
            self.slot = nn.Embedding(config.max_series, config.width)
        elif config.positions == "index":
            self.index = nn.Embedding(config.max_slices, config.width)

    def forward(self, features: Mapping[str, Tensor]) -> Float[Tensor, "u l z"]:
        """Return the embedded slice sequence."""
        x = self.norm(self.linear(features["cls"]))
        if self.positions == "suite":
            return x + self.place(sinusoid(features["place"], 64)) + self.slot(features["slot"])
        if self.positions == "index":
            return x + self.index(torch.arange(x.shape[1], device=x.device))
        return x
