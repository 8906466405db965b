"""What do the slices of a study say of each other? The Z-former: a transformer over slice vectors.

Letters: u studies, l slices of a study over all its series (padded to the longest), r t rows and
places as slices are laid out, d width of a slice vector, z Z-former width.
Source: MS-VLM (arXiv 2412.13558).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tomovox.models.blocks import Block, Relate, sinusoid
from tomovox.models.released import load_weights
from tomovox.models.slice_layout import Packed, Padded, Windowed
from tomovox.models.slice_sequence import NAMES, ids_of
from tomovox.schema import TomovoxError


@dataclass
class ZFormerConfig:
    """Sizes of a Z-former, what it reads of a study, and what it knows of where a slice stands.

    `attention` "dense" lets every slice read all of its study; "windowed" cuts the sequence into
    blocks of `window` slices, each of which reads itself, its neighbours and `random_blocks`
    others. `positions`: "suite" adds a sinusoid of the place within the series, and learned vectors
    of the series' slot and of its plane, phase and kernel where these are told; "index" a learned
    vector per index in the whole sequence (as the paper); "none" nothing. Of a series up to
    `max_per_series` slices are read, of a study `max_slices`, evenly spread; series beyond
    `max_series` share a slot. `weights` is a file of a Z-former trained before, such as on masked
    slice vectors; `frozen` keeps it as it is.
    """

    width: int = 768
    layers: int = 12
    heads: int = 12
    attention: Literal["dense", "windowed"] = "dense"
    window: int = 16
    random_blocks: int = 0
    positions: Literal["suite", "index", "none"] = "suite"
    max_slices: int = 512
    max_per_series: int | None = 128
    max_series: int = 8
    weights: str | None = None
    frozen: bool = False

    def build(self, width_in: int) -> "ZFormer":
        """Return a Z-former for slice vectors of `width_in`, with its weights loaded.

        Raises TomovoxError for a size that no Z-former has.
        """
        least = {
            **dict.fromkeys(("layers", "random_blocks"), 0),
            **dict.fromkeys(("width", "heads", "window", "max_slices", "max_series"), 1),
            **({} if self.max_per_series is None else {"max_per_series": 1}),
        }
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise TomovoxError(f"zformer.{name} is {getattr(self, name)}: give {bound} or more")
        if self.width % self.heads:
            raise TomovoxError(
                f"zformer.width is {self.width}, no multiple of {self.heads} heads: change either"
            )
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

    def forward(
        self, features: Mapping[str, Tensor], layout: Padded | Packed
    ) -> Float[Tensor, "r t z"]:
        """Return each slice in the light of the others of its study, laid out as `layout` says.

        `features` are those of MS-VLM's percept: "cls" (u l d), the slices' vectors, and what
        `slice_sequence.told_of` tells of places and series. `layout.unlay` gives (u l z) again.
        """
        x = self.embed(features, layout)
        for seed, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            x = block.related(x, self._relation(layout, seed, x.device))
        return self.norm(x)

    def _relation(self, layout: Padded | Packed, seed: int, device: torch.device) -> Relate:
        """Return who reads whom in a layer; which other blocks are read differs by layer."""
        config = self.config
        if config.attention == "dense":
            return layout.relate
        return Windowed(layout, config.window, config.random_blocks, seed, device)


class SliceEmbedding(nn.Module):
    """CLS vectors -> Z-former width, plus where the slice stands and what is told of its series."""

    def __init__(self, config: ZFormerConfig, width_in: int):
        super().__init__()
        self.positions = config.positions
        self.linear = nn.Linear(width_in, config.width)
        self.norm = nn.LayerNorm(config.width)
        if config.positions == "suite":
            self.place = nn.Linear(64, config.width)
            self.slot = nn.Embedding(config.max_series, config.width)
            # Zeros, so that what is told starts at no effect; untold (row 0) stays there.
            self.told = nn.ModuleDict(
                {
                    kind: nn.Embedding.from_pretrained(
                        torch.zeros(ids_of(kind), config.width), freeze=False, padding_idx=0
                    )
                    for kind in NAMES
                }
            )
        elif config.positions == "index":
            self.index = nn.Embedding(config.max_slices, config.width)

    def forward(
        self, features: Mapping[str, Tensor], layout: Padded | Packed
    ) -> Float[Tensor, "r t z"]:
        """Return the embedded slice sequence as it is laid out."""
        x = self.norm(self.linear(layout.lay(features["cls"])))
        if self.positions == "suite":
            x = x + self.place(sinusoid(layout.lay(features["place"]), 64))
            x = x + self.slot(layout.lay(features["slot"]))
            for kind, table in self.told.items():
                if kind in features:
                    x = x + table(layout.lay(features[kind]))
        elif self.positions == "index":
            index = torch.arange(features["cls"].shape[1], device=x.device)
            x = x + self.index(layout.lay(index.expand(features["cls"].shape[:2])))
        return x
