"""How does a slice sequence of any length become a fixed number of tokens? A Perceiver resampler.

Letters: u studies, l slices of a study (padded to the longest), z width, p latents, m slices and
latents together.
Source: Perceiver resampler of Flamingo (arXiv 2204.14198), as MS-VLM (arXiv 2412.13558) uses it.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tomovox.models.blocks import MLP, CrossAttention


class Resampler(nn.Module):
    """Perceiver resampler: learned latents read the slice sequence, layer by layer.

    Unlike the authors' early code the key-padding mask reaches it: a padded slice is never
    attended.
    """

    def __init__(self, width: int, heads: int, latents: int, layers: int):
        super().__init__()
        self.latents = nn.Parameter(torch.randn(1, latents, width) * 0.02)
        self.layers = nn.ModuleList(ResamplerLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(
        self, memory: Float[Tensor, "u l z"], mask: Bool[Tensor, "u 1 1 l"]
    ) -> Float[Tensor, "u p z"]:
        """Return the latents after all layers."""
        x = self.latents.expand(len(memory), -1, -1)
        for layer in self.layers:
            x = layer(x, memory, mask)
        return self.norm(x)

    @torch.no_grad()
    def slice_scores(
        self, memory: Float[Tensor, "u l z"], mask: Bool[Tensor, "u 1 1 l"]
    ) -> Float[Tensor, "u l"]:
        """Return each slice's share of the attention that all latents pay to slices.

        It is the mean over layers, heads and latents; attention of latents to latents is left out.
        """
        x = self.latents.expand(len(memory), -1, -1)
        paid = memory.new_zeros(memory.shape[:2])
        for layer in self.layers:
            assert isinstance(layer, ResamplerLayer)
            paid = paid + layer.paid(x, memory, mask)
            x = layer(x, memory, mask)
        return paid / paid.sum(-1, keepdim=True)


class ResamplerLayer(nn.Module):
    """Cross-attention of the latents to [memory; latents], then an MLP."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm_latents = nn.LayerNorm(width)
        self.norm_memory = nn.LayerNorm(width)
        self.attn = CrossAttention(width, heads)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = MLP(width, 4 * width)

    def forward(
        self,
        x: Float[Tensor, "u p z"],
        memory: Float[Tensor, "u l z"],
        mask: Bool[Tensor, "u 1 1 l"],
    ) -> Float[Tensor, "u p z"]:
        """Return the updated latents."""
        x = x + self.attn(*self._read(x, memory, mask))
        return x + self.mlp(self.norm_mlp(x))

    def paid(
        self,
        x: Float[Tensor, "u p z"],
        memory: Float[Tensor, "u l z"],
        mask: Bool[Tensor, "u 1 1 l"],
    ) -> Float[Tensor, "u l"]:
        """Return the attention to each slice, mean over heads and latents."""
        weights = self.attn.weights(*self._read(x, memory, mask))
        return weights.mean(dim=(1, 2))[:, : memory.shape[1]]

    def _read(
        self, x: Tensor, memory: Tensor, mask: Tensor
    ) -> tuple[Float[Tensor, "u p z"], Float[Tensor, "u m z"], Bool[Tensor, "u 1 1 m"]]:
        """Return the latents, what they may read, [memory; latents], and which of it is there."""
        latents = self.norm_latents(x)
        keys = torch.cat([self.norm_memory(memory), latents], dim=1)
        return latents, keys, torch.cat([mask, mask.new_ones(len(x), 1, 1, x.shape[1])], dim=-1)
