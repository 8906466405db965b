"""How does MS-VLM read a study? One vector per slice, related by a Z-former, then resampled.

Letters: u studies, l slices of a study over all its series (padded to the longest), d encoder
width, z Z-former width, p latents, h language-model width.
Source: MS-VLM (arXiv 2412.13558). No public code exists: this is a re-implementation.
"""

from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tomovox.models.base import VolumeLM
from tomovox.models.blocks import MLP, Block, CrossAttention, sinusoid
from tomovox.models.projector import mlp
from tomovox.models.slices import SliceEncoderConfig
from tomovox.schema import Percept, Questions, Studies, VisualTokens


class MSVLM(VolumeLM):
    """CLS per slice -> Z-former over the slice sequence -> Perceiver resampler -> MLP (MS-VLM).

    `positions`: "suite" adds a sinusoid of the place within the series and a learned vector per
    series slot; "index" a learned vector per index in the whole sequence (as the paper); "none"
    nothing. A study of more than `max_slices` slices is subsampled evenly.
    """

    remark = "MS-VLM is a re-implementation; there is no public code"
    encoders = ("vision2d",)
    slice_features = ("cls",)
    scoring_parts = ("resampler",)

    def __init__(
        self,
        vision2d: SliceEncoderConfig,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        latents: int = 32,
        resampler_layers: int = 6,
        positions: Literal["suite", "index", "none"] = "suite",
        max_slices: int = 512,
        max_series: int = 8,
        **shared: Any,
    ):
        """Take the sizes of the parts; `shared` are the arguments of VolumeLM."""
        super().__init__(**shared)
        self.vision2d_config, self.width = vision2d, width
        self.layers, self.heads = layers, heads
        self.latents, self.resampler_layers = latents, resampler_layers
        self.positions, self.max_slices, self.max_series = positions, max_slices, max_series

    def build(self, width: int) -> None:
        """Create encoder, Z-former, resampler and projector."""
        self.vision2d = self.vision2d_config.build()
        self.embed_slices = SliceEmbedding(
            self.vision2d.width, self.width, self.positions, self.max_slices, self.max_series
        )
        self.zformer = nn.ModuleList(
            Block(self.width, self.heads, 4 * self.width) for _ in range(self.layers)
        )
        self.zformer_norm = nn.LayerNorm(self.width)
        self.resampler = Resampler(self.width, self.heads, self.latents, self.resampler_layers)
        self.projector = mlp(self.width, width)

    def perceive(self, studies: Studies) -> Percept:
        """Return per study CLS vectors (u l d), which exist, their place in [0, 1], series slot."""
        series = [v[0].unsqueeze(1) for v in studies.voxels]  # each (D, 1, H, W)
        lengths = [len(s) for s in series]
        by_size: dict[tuple[int, int], list[int]] = {}
        for i, s in enumerate(series):
            by_size.setdefault((s.shape[-2], s.shape[-1]), []).append(i)
        encoded: list[Tensor] = [series[0].new_empty(0)] * len(series)
        for indices in by_size.values():
            cls, _ = self.vision2d(torch.cat([series[i] for i in indices]))
            for i, part in zip(indices, cls.split([lengths[i] for i in indices]), strict=True):
                encoded[i] = part
        return self._sequences(encoded, studies)

    def _sequences(self, encoded: list[Tensor], studies: Studies) -> Percept:
        rows, owners = [], studies.study.tolist()
        for u in range(len(studies)):
            own = [e for e, owner in zip(encoded, owners, strict=True) if owner == u]
            cls = torch.cat(own)
            place = torch.cat([torch.linspace(0, 1, len(e), device=e.device) for e in own])
            slot = torch.cat([torch.full((len(e),), i, device=e.device) for i, e in enumerate(own)])
            if len(cls) > self.max_slices:
                keep = torch.linspace(0, len(cls) - 1, self.max_slices, device=cls.device)
                cls, place, slot = (x[keep.round().long()] for x in (cls, place, slot))
            rows.append((cls, place, slot.clamp(max=self.max_series - 1)))
        pad = nn.utils.rnn.pad_sequence
        lengths = torch.tensor([len(r[0]) for r in rows], device=rows[0][0].device)
        cls = pad([r[0] for r in rows], batch_first=True)
        return Percept(
            {
                "cls": cls,
                "seen": torch.arange(cls.shape[1], device=cls.device) < lengths[:, None],
                "place": pad([r[1] for r in rows], batch_first=True),
                "slot": pad([r[2] for r in rows], batch_first=True),
            }
        )

    def attend(self, percept: Percept, questions: Questions) -> VisualTokens:
        """Return the latents after Z-former and resampler; the question changes nothing.

        Outside of training the slice scores are the resampler's attention to each slice, the same
        for every question of a study. A slice says more than itself after the Z-former.
        """
        features = percept.features
        mask = features["seen"][:, None, None, :]
        x = self.embed_slices(features["cls"], features["place"], features["slot"])
        for block in self.zformer:
            x = block(x, mask)
        memory = self.zformer_norm(x)
        tokens = self.projector(self.resampler(memory, mask))
        if self.training:
            return VisualTokens(shared=tokens)
        scores = self.resampler.slice_scores(memory, mask)
        return VisualTokens(shared=tokens, slice_scores=scores[questions.study])


class SliceEmbedding(nn.Module):
    """CLS vectors -> Z-former width, plus where the slice stands."""

    def __init__(self, width_in: int, width: int, positions: str, max_slices: int, max_series: int):
        super().__init__()
        self.positions = positions
        self.linear = nn.Linear(width_in, width)
        self.norm = nn.LayerNorm(width)
        if positions == "suite":
            self.place = nn.Linear(64, width)
            self.slot = nn.Embedding(max_series, width)
        elif positions == "index":
            self.index = nn.Embedding(max_slices, width)

    def forward(
        self, cls: Float[Tensor, "u l d"], place: Float[Tensor, "u l"], slot: Tensor
    ) -> Float[Tensor, "u l z"]:
        """Return the embedded slice sequence."""
        x = self.norm(self.linear(cls))
        if self.positions == "suite":
            return x + self.place(sinusoid(place, 64)) + self.slot(slot)
        if self.positions == "index":
            return x + self.index(torch.arange(x.shape[1], device=x.device))
        return x


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
