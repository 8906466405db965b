"""How do the slice sequences of several studies lie in one tensor, and who reads whom?

Padded, each study is a row as long as the longest. Packed, all stand behind each other in one row:
no layer computes what is not there, and each study is attended alone. Both give the same numbers.
Letters: u studies, l slices of a study (padded to the longest), r t rows and places as laid out, h
heads, c width of a head, p latents, n blocks of w slices, m blocks that a block reads.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

PACK_BELOW = 0.95
"""Share of real slices in a padded batch below which it is packed: at 0.9 this saves 6 % of the
time, at 1 nothing (ms_vlm_slices.json)."""


class Span(NamedTuple):
    """Where a study's slices lie, in places of the rows as one line."""

    start: int
    length: int


class Layout:
    """What both layouts know: which slices of a study are `seen`, and where each study lies."""

    spans: list[Span]

    def __init__(self, seen: Bool[Tensor, "u l"], lengths: Sequence[int]):
        self.seen, self.lengths = seen, list(lengths)

    @property
    def studies(self) -> int:
        """Number of studies u."""
        return len(self.lengths)


class Padded(Layout):
    """One row a study; keys behind its last slice are not seen."""

    def __init__(self, seen: Bool[Tensor, "u l"], lengths: Sequence[int]):
        super().__init__(seen, lengths)
        self.mask = seen[:, None, None, :]
        self.spans = [Span(i * seen.shape[1], length) for i, length in enumerate(lengths)]

    def lay(self, x: Shaped[Tensor, "u l *z"]) -> Shaped[Tensor, "u l *z"]:
        """Return rows of studies as they are laid out."""
        return x

    def unlay(self, x: Float[Tensor, "u l z"]) -> Float[Tensor, "u l z"]:
        """Return rows of studies again."""
        return x

    def relate(
        self, q: Float[Tensor, "u h l c"], k: Float[Tensor, "u h l c"], v: Float[Tensor, "u h l c"]
    ) -> Float[Tensor, "u h l c"]:
        """Return what each slice has read of its own study."""
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask)

    def beside(
        self, memory: Float[Tensor, "u l z"], latents: Float[Tensor, "u p z"]
    ) -> Float[Tensor, "u m z"]:
        """Return each study's slices with its latents behind them."""
        return torch.cat([memory, latents], dim=1)

    def read(
        self, q: Float[Tensor, "u h p c"], k: Float[Tensor, "u h m c"], v: Float[Tensor, "u h m c"]
    ) -> Float[Tensor, "u h p c"]:
        """Return what latents have read of keys and values that are laid out as by `beside`."""
        latents = self.mask.new_ones(len(q), 1, 1, q.shape[2])
        mask = torch.cat([self.mask, latents], dim=-1)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


class Packed(Layout):
    """All studies in one row, without padding; methods as of Padded."""

    def __init__(self, seen: Bool[Tensor, "u l"], lengths: Sequence[int]):
        super().__init__(seen, lengths)
        starts = [sum(self.lengths[:i]) for i in range(len(self.lengths))]
        self.spans = [Span(*pair) for pair in zip(starts, self.lengths, strict=True)]

    def lay(self, x: Shaped[Tensor, "u l *z"]) -> Shaped[Tensor, "1 t *z"]:
        """Return the slices that exist."""
        return x[self.seen][None]

    def unlay(self, x: Float[Tensor, "1 t z"]) -> Float[Tensor, "u l z"]:
        """Return rows of studies again, zeros where there is no slice."""
        return x.new_zeros(*self.seen.shape, x.shape[-1]).index_put((self.seen,), x[0])

    def relate(
        self, q: Float[Tensor, "1 h t c"], k: Float[Tensor, "1 h t c"], v: Float[Tensor, "1 h t c"]
    ) -> Float[Tensor, "1 h t c"]:
        """Return what each slice has read of its own study."""
        parts = (x.split(self.lengths, dim=2) for x in (q, k, v))
        studies = zip(*parts, strict=True)
        return torch.cat([F.scaled_dot_product_attention(*own) for own in studies], dim=2)

    def beside(
        self, memory: Float[Tensor, "1 t z"], latents: Float[Tensor, "u p z"]
    ) -> Float[Tensor, "1 k z"]:
        """Return each study's slices with its latents behind them, study after study."""
        own = zip(memory[0].split(self.lengths), latents, strict=True)
        return torch.cat([x for pair in own for x in pair])[None]

    def read(
        self, q: Float[Tensor, "u h p c"], k: Float[Tensor, "1 h k c"], v: Float[Tensor, "1 h k c"]
    ) -> Float[Tensor, "u h p c"]:
        """Return what latents have read of keys and values that are laid out as by `beside`."""
        lengths = [length + q.shape[2] for length in self.lengths]
        studies = zip(q.split(1), k.split(lengths, dim=2), v.split(lengths, dim=2), strict=True)
        return torch.cat([F.scaled_dot_product_attention(*own) for own in studies])


def layout_of(seen: Bool[Tensor, "u l"]) -> Padded | Packed:
    """Return the cheaper layout of studies whose `seen` slices exist."""
    # On the meta device a mask has no values; it counts as full.
    full = bool(seen.all())
    lengths = [seen.shape[1]] * len(seen) if full else seen.sum(1).tolist()
    packs = sum(lengths) < PACK_BELOW * seen.numel()
    return (Packed if packs else Padded)(seen, lengths)


class Windowed:
    """Each block of `window` slices reads itself, both neighbours and `random` other blocks.

    Which others is drawn from `seed`, the same for every study of as many blocks. A study of up to
    two blocks, or of so few that the drawn are all others, is read in full, as dense attention
    does. Source: BigBird (arXiv 2007.14062), without its global blocks.
    """

    def __init__(
        self, layout: Padded | Packed, window: int, random: int, seed: int, device: torch.device
    ):
        table = _blocks_of(tuple(layout.spans), window, random, seed)
        self.place, self.read, self.readable, self.there = (
            torch.from_numpy(x).to(device) for x in table
        )

    def __call__(
        self, q: Float[Tensor, "r h t c"], k: Float[Tensor, "r h t c"], v: Float[Tensor, "r h t c"]
    ) -> Float[Tensor, "r h t c"]:
        """Return what each slice has read; zeros in places without one."""
        r, h, t, c = q.shape
        q, k, v = (x.transpose(1, 2).reshape(r * t, h, c)[self.place] for x in (q, k, v))
        n = len(self.place)
        keys, values = (x[self.read].view(n, -1, h, c).transpose(1, 2) for x in (k, v))
        mask = self.readable[:, None, None, :]
        found = F.scaled_dot_product_attention(q.transpose(1, 2), keys, values, attn_mask=mask)
        found = found.transpose(1, 2).reshape(-1, h, c)[self.there]  # (slices h c)
        lines = found.new_zeros(r * t, h, c).index_put((self.place.flatten()[self.there],), found)
        return lines.view(r, t, h, c).transpose(1, 2)


@lru_cache(maxsize=64)
def _blocks_of(
    spans: tuple[Span, ...], window: int, random: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what `Windowed` holds: places (n w), blocks that are read (n m), which slices of these
    there are (n m*w), and which there are of all slices of all blocks in a line.
    """
    inside = np.arange(window)
    places, there, reads = [], [], list[list[int]]()
    for start, length in spans:
        first, count = len(reads), -(-length // window)
        index = np.arange(count)[:, None] * window + inside
        places.append(start + index.clip(max=length - 1))
        there.append(index < length)
        reads += [[first + i for i in own] for own in _read_by(count, random, seed)]
    most = max(map(len, reads))
    table = np.array([own + own[:1] * (most - len(own)) for own in reads])
    several = np.arange(most) < np.array([[len(own)] for own in reads])
    exists = np.concatenate(there)
    readable = (several[..., None] & exists[table]).reshape(len(reads), -1)
    return np.concatenate(places), table, readable, np.flatnonzero(exists)


def _read_by(count: int, random: int, seed: int) -> Iterator[list[int]]:
    """Yield for each of `count` blocks those it reads."""
    draws = np.random.default_rng(seed)
    for block in range(count):
        order = draws.permutation(count).tolist() if random else []
        others = [i for i in order if abs(i - block) > 1][:random]
        yield [i for i in (block - 1, block, block + 1) if 0 <= i < count] + others
