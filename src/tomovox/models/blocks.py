"""What are the transformers of this suite made of? Pre-norm blocks on PyTorch's fused attention.

Letters: u rows, k tokens, m memory tokens, d width. Parameter names are those of the published
M3D-CLIP encoder.
"""

import itertools
import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

Relate = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries, keys and values, each (rows heads tokens c) -> what each query has read."""


class SelfAttention(nn.Module):
    """Multi-head self-attention with one qkv Linear without bias (M3D-CLIP, vision encoder)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out_proj = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "u k d"], mask: Bool[Tensor, "u 1 1 k"] | None = None
    ) -> Float[Tensor, "u k d"]:
        """Return attended tokens; keys where `mask` is False are not seen."""
        return self.related(x, partial(F.scaled_dot_product_attention, attn_mask=mask))

    def related(self, x: Float[Tensor, "u k d"], relate: Relate) -> Float[Tensor, "u k d"]:
        """Return tokens after `relate` has let them read each other."""
        u, k, d = x.shape
        q, key, v = self.qkv(x).view(u, k, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        return self.out_proj(relate(q, key, v).transpose(1, 2).reshape(u, k, d))


class CrossAttention(nn.Module):
    """Queries attend to a memory; a key-padding mask hides what is not there.

    Heads divide `inner` channels, by default the width.
    """

    def __init__(self, width: int, heads: int, inner: int | None = None):
        super().__init__()
        self.heads, inner = heads, inner or width
        self.q = nn.Linear(width, inner, bias=False)
        self.kv = nn.Linear(width, 2 * inner, bias=False)
        self.out_proj = nn.Linear(inner, width)

    def forward(
        self,
        x: Float[Tensor, "u k d"],
        memory: Float[Tensor, "u m d"],
        mask: Bool[Tensor, "u 1 1 m"] | None = None,
    ) -> Float[Tensor, "u k d"]:
        """Return for each query the attended memory."""
        return self.related(x, memory, partial(F.scaled_dot_product_attention, attn_mask=mask))

    def related(
        self, x: Float[Tensor, "u k d"], memory: Float[Tensor, "r m d"], relate: Relate
    ) -> Float[Tensor, "u k d"]:
        """Return queries after `relate` has let them read a memory, which may lie otherwise."""
        return self.out_proj(relate(*self._heads(x, memory)).transpose(1, 2).flatten(2))

    def weights(
        self,
        x: Float[Tensor, "u k d"],
        memory: Float[Tensor, "u m d"],
        mask: Bool[Tensor, "u 1 1 m"] | None = None,
    ) -> Float[Tensor, "u h k m"]:
        """Return how much each query reads of each token of the memory; a row sums to one."""
        q, key, _ = self._heads(x, memory)
        logits = q @ key.transpose(-1, -2) * q.shape[-1] ** -0.5
        return (logits if mask is None else logits.masked_fill(~mask, -torch.inf)).softmax(-1)

    def _heads(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each (rows heads tokens width of a head)."""
        q = self.q(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2)
        key, v = self.kv(memory).view(*memory.shape[:2], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return q, key, v


class MLP(nn.Module):
    """Two Linears with an exact GELU between them."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """Return transformed tokens."""
        return self.linear2(F.gelu(self.linear1(x)))


class Block(nn.Module):
    """Pre-norm transformer block: x += attention(norm(x)); x += mlp(norm(x))."""

    def __init__(self, width: int, heads: int, mlp: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, mlp)

    def forward(
        self, x: Float[Tensor, "u k d"], mask: Bool[Tensor, "u 1 1 k"] | None = None
    ) -> Float[Tensor, "u k d"]:
        """Return the tokens after attention and MLP."""
        x = x + self.attn(self.norm1(x), mask)
        return x + self.mlp(self.norm2(x))

    def related(self, x: Float[Tensor, "u k d"], relate: Relate) -> Float[Tensor, "u k d"]:
        """Return the same for tokens that read each other as `relate` lets them."""
        x = x + self.attn.related(self.norm1(x), relate)
        return x + self.mlp(self.norm2(x))


class AttentionPool(nn.Module):
    """Learned queries read a set of tokens: (u k d) -> (u queries d)."""

    def __init__(self, width: int, heads: int, queries: int = 1):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, queries, width) * 0.02)
        self.attn = CrossAttention(width, heads)

    def forward(
        self, tokens: Float[Tensor, "u k d"], mask: Bool[Tensor, "u 1 1 k"] | None = None
    ) -> Float[Tensor, "u q d"]:
        """Return one vector per query."""
        return self.attn(self.queries.expand(len(tokens), -1, -1), tokens, mask)


def sinusoid(place: Float[Tensor, "u k"], width: int) -> Float[Tensor, "u k d"]:
    """Return sines and cosines of a place in [0, 1], at 1/2 to 64 turns on a geometric scale."""
    turns = torch.logspace(-1, 6, width // 2, base=2, device=place.device)
    angle = 2 * math.pi * place[..., None] * turns
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def conv_stack(patch: int, width: int) -> nn.Sequential:
    """Return 2D convolutions that turn a slice into a grid of `width`-channel cells.

    A cell is `patch` x `patch` pixels, a power of two. The first convolution takes 4 x 4 pixels at
    once, every further one halves the sides and doubles the channels.
    """
    halvings = patch.bit_length() - 3
    channels = [max(16, width >> (halvings - i)) for i in range(halvings + 1)]
    layers: list[nn.Module] = [nn.Conv2d(1, channels[0], 4, stride=4)]
    for narrow, wide in itertools.pairwise(channels):
        layers += [nn.GroupNorm(1, narrow), nn.GELU(), nn.Conv2d(narrow, wide, 3, 2, padding=1)]
    return nn.Sequential(*layers, nn.GroupNorm(1, width), nn.GELU())
