"""How does a slice sequence of any length become a fixed number of tokens? A Perceiver resampler.

Letters: u studies, l slices of a study (padded to the longest), r t rows and places as slices are
laid out, y width of a slice, z width of a latent, p latents.
Source: Perceiver resampler of Flamingo (arXiv 2204.14198), as MS-VLM (arXiv 2412.13558) uses it.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tomovox.models.blocks import MLP, CrossAttention
from tomovox.models.slice_layout import Packed, Padded

FLAMINGO_HEADS, FLAMINGO_HEAD = 8, 64
"""Heads of a layer, and channels of a head."""


class Resampler(nn.Module):
    """Perceiver resampler: learned latents read the slice sequence, layer by layer.

    Latents as wide as slices have `heads` that divide this width; slices are widened to those of
    another `width`, which have Flamingo's 8 heads of 64 channels. Unlike the authors' early code
    the key-padding mask reaches it: a padded slice is never attended.
    """

    def __init__(
        self, width_in: int, heads: int, latents: int, layers: int, width: int | None = None
    ):
        super().__init__()
        self.width = width or width_in
        wide = self.width != width_in
        self.widen = nn.Linear(width_in, self.width) if wide else nn.Identity()
        inner = FLAMINGO_HEADS * FLAMINGO_HEAD if wide else self.width
        sizes = self.width, FLAMINGO_HEADS if wide else heads, inner
        self.latents = nn.Parameter(torch.randn(1, latents, self.width) * 0.02)
        self.layers = nn.ModuleList(ResamplerLayer(*sizes) for _ in range(layers))
        self.norm = nn.LayerNorm(self.width)

    def forward(
        self, slices: Float[Tensor, "r t y"], layout: Padded | Packed
    ) -> Float[Tensor, "u p z"]:
        """Return the latents of each study after all layers; slices lie as `layout` says."""
        memory = self.widen(slices)
        x = self.latents.expand(layout.studies, -1, -1)
        for layer in self.layers:
            x = layer(x, memory, layout)
        return self.norm(x)

    @torch.no_grad()
    def slice_scores(
        self, slices: Float[Tensor, "r t y"], layout: Padded | Packed
    ) -> Float[Tensor, "u l"]:
        """Return each slice's share of the attention that all latents pay to slices.

        It is the mean over layers, heads and latents; attention of latents to latents is left out.
        """
        memory = self.widen(slices)
        x = self.latents.expand(layout.studies, -1, -1)
        rows = layout.unlay(memory)
        paid = rows.new_zeros(rows.shape[:2])
        for layer in self.layers:
            assert isinstance(layer, ResamplerLayer)
            paid = paid + layer.paid(x, rows, layout.seen)
            x = layer(x, memory, layout)
        return paid / paid.sum(-1, keepdim=True)


class ResamplerLayer(nn.Module):
    """Cross-attention of the latents to [memory; latents], then an MLP."""

    def __init__(self, width: int, heads: int, inner: int):
        super().__init__()
        self.norm_latents = nn.LayerNorm(width)
        self.norm_memory = nn.LayerNorm(width)
        self.attn = CrossAttention(width, heads, inner)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = MLP(width, 4 * width)

    def forward(
        self, x: Float[Tensor, "u p z"], memory: Float[Tensor, "r t z"], layout: Padded | Packed
    ) -> Float[Tensor, "u p z"]:
        """Return the updated latents."""
        latents = self.norm_latents(x)
        keys = layout.beside(self.norm_memory(memory), latents)
        x = x + self.attn.related(latents, keys, layout.read)
        return x + self.mlp(self.norm_mlp(x))

    def paid(
        self,
        x: Float[Tensor, "u p z"],
        memory: Float[Tensor, "u l z"],
        seen: Bool[Tensor, "u l"],
    ) -> Float[Tensor, "u l"]:
        """Return the attention to each slice, mean over heads and latents."""
        latents = self.norm_latents(x)
        keys = torch.cat([self.norm_memory(memory), latents], dim=1)
        mask = torch.cat([seen, seen.new_ones(x.shape[:2])], dim=1)[:, None, None, :]
        return self.attn.weights(latents, keys, mask).mean(dim=(1, 2))[:, : memory.shape[1]]
