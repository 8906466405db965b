"""Text-Guided Inter-Slice scoring: which slices matter for this question, and what do they say?

Letters: u studies, b questions, k questions of one study, n slices, c slices read at once, g depth
slabs of the 3D tokens, m 3D tokens per slab, p tokens per slice, e width of a slice's tokens, d
width, t width of the question.
Source: Med-2E3 (arXiv 2411.12783v2), section on TG-IS; `score` is the released connector score15.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Scoring = Literal["tgis", "uniform", "gaussian", "random", "top_k"]

AT_ONCE = 1 << 21
"""Most numbers of hidden tokens at once: 8 MiB in float32, 2 slices at the published size."""

FEWEST = 3
"""Rows of a product from which on its digits no longer hang on their number: CPUs treat one or two
otherwise, and an answer must not hang on how many questions fit into memory at once."""


def slab_of_slice(slices: int, slabs: int, device: torch.device | None = None) -> Int[Tensor, "n"]:
    """Return the depth slab of each slice: slice j of n lies in slab floor(j * g / n)."""
    return torch.arange(slices, device=device) * slabs // slices


def slice_keys(
    slab_means: Float[Tensor, "u c d"], slice_means: Float[Tensor, "u c d"], m: int, p: int
) -> Float[Tensor, "u c d"]:
    """Return z^j: the mean over a slab's m 3D tokens and a slice's p 2D tokens together.

    Equal to the mean of the concatenation, without building it: weights m/(m+p) and p/(m+p) of the
    two means. `slab_means` has a row per slice: that of its slab.
    """
    return (m * slab_means + p * slice_means) / (m + p)


def slice_logits(
    keys: Float[Tensor, "u c d"], query: Float[Tensor, "u k d"], temperature: float = 5.0
) -> Float[Tensor, "u k c"]:
    """Return how well slices agree with each question of their study, in float32 at least.

    The scores are the softmax over all slices (Med-2E3, TG-IS).
    """
    logits = torch.einsum("ucd,ukd->ukc", keys, _no_fewer(query))[:, : query.shape[1]] / temperature
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _no_fewer(rows: Float[Tensor, "u k d"]) -> Float[Tensor, "u r d"]:
    """Return the rows of each study, followed by zeros where they are fewer than FEWEST."""
    return nn.functional.pad(rows, (0, 0, 0, max(0, FEWEST - rows.shape[1])))


class RunningSum:
    """The sum of slices' tokens weighted by a softmax over slices, which come some at a time.

    Weights stand relative to the highest logit so far, a constant to the gradient, and shrink when
    a higher one comes: what was added is not needed again.
    Source: Milakov and Gimelshein 2018, online normalizer calculation for softmax.
    """

    def __init__(self) -> None:
        self.highest: Tensor | None = None
        self.shares = self.weights = self.tokens = torch.zeros(())

    def add(
        self,
        logits: Float[Tensor, "u k c"],
        kept: Float[Tensor, "u k c"],
        tokens: Float[Tensor, "u c p d"],
    ) -> None:
        """Add slices; `kept` multiplies each weight after the softmax, as dropout does."""
        highest = logits.detach().amax(-1, keepdim=True)
        if self.highest is not None:
            highest = torch.maximum(self.highest, highest)
            shrink = (self.highest - highest).exp()
            self.shares, self.weights = self.shares * shrink, self.weights * shrink
            self.tokens = self.tokens * shrink[..., None]
        self.highest = highest
        shares = (logits - highest).exp()
        weights = shares * kept
        self.shares = self.shares + shares.sum(-1, keepdim=True)
        self.weights = self.weights + weights.sum(-1, keepdim=True)
        rows = _no_fewer(weights.to(tokens.dtype))
        added = torch.einsum("ukc,ucpd->ukpd", rows, tokens)
        self.tokens = self.tokens + added[:, : weights.shape[1]]

    def result(self) -> tuple[Float[Tensor, "u k p d"], Float[Tensor, "u k 1"]]:
        """Return the weighted sum over all slices that were added, and the sum of the weights."""
        return self.tokens / self.shares[..., None], self.weights / self.shares


def prior_scores(kind: Scoring, count: int, slices: int, seed: int) -> Float[Tensor, "b n"]:
    """Return weights without the question: 1/n, a centred Gaussian (sigma n/6) or random.

    `random` draws a softmax of standard normal values from `seed`, the same for every call of one
    size.
    """
    if kind == "uniform":
        row = torch.full((slices,), 1.0 / slices)
        return row.expand(count, -1)
    if kind == "gaussian":
        index = torch.arange(slices, dtype=torch.float32)
        row = torch.exp(-0.5 * ((index - (slices - 1) / 2) / (slices / 6)) ** 2)
        return (row / row.sum()).expand(count, -1)
    if kind == "random":
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(slices, generator=generator).softmax(0).expand(count, -1)
    raise ValueError(f"{kind!r} reads the question; priors are uniform, gaussian, random")


def keep_top(
    logits: Float[Tensor, "*rows n"], k: int, hard: bool = True
) -> Float[Tensor, "*rows n"]:
    """Return logits whose softmax is zero but for the k highest slices of a row.

    `hard` weighs each kept slice 1/k (Med-2E3's top-3 probe), which has no gradient. Otherwise the
    kept scores are divided by their sum, and the gradient flows through them.
    """
    kept, index = logits.topk(min(k, logits.shape[-1]), dim=-1)
    gone = torch.full_like(logits, torch.finfo(logits.dtype).min)
    return gone.scatter(-1, index, torch.zeros_like(kept) if hard else kept)


class ByStudy(NamedTuple):
    """Where the questions of a batch stand when they are laid out study by study."""

    study: Int[Tensor, "b"]
    place: Int[Tensor, "b"]
    studies: int
    most: int

    @classmethod
    def of(cls, study: Int[Tensor, "b"], studies: int) -> "ByStudy":
        """Return it for questions about the rows `study` of so many studies."""
        asks = study[:, None] == torch.arange(studies, device=study.device)
        place = asks.cumsum(0).gather(1, study[:, None])[:, 0] - 1
        return cls(study, place, studies, int(place.max()) + 1)

    def lay(self, rows: Float[Tensor, "b d"]) -> Float[Tensor, "u k d"]:
        """Return the rows of questions by study, zeros where one has fewer than another."""
        laid = rows.new_zeros(self.studies, self.most, rows.shape[-1])
        return laid.index_put((self.study, self.place), rows)

    def rows(self, laid: Float[Tensor, "u k *d"]) -> Float[Tensor, "b *d"]:
        """Return what was computed study by study as a row per question."""
        return laid[self.study, self.place]


class TextGuidedScoring(nn.Module):
    """TG-IS: a Linear from the question to the width of the keys, the scores, the weighted sum.

    `scoring` other than "tgis" is an ablation. A prior ("uniform", "gaussian", "random" of `seed`)
    reads no question: all parameters are frozen. "top_k" uses `top_k` slices: in training their
    softmax scores divided by their sum, so that the Linear learns which to keep; in eval 1/k each,
    as Med-2E3's probe. `score_norm` "none" is the released form; "layer" normalises query and keys
    before the dot product (a variant of ours). Dropout falls after the softmax, in training only.
    """

    def __init__(
        self,
        text_width: int,
        width: int,
        scoring: Scoring = "tgis",
        score_norm: Literal["none", "layer"] = "none",
        temperature: float = 5.0,
        top_k: int = 3,
        dropout: float = 0.1,
        seed: int = 0,
    ):
        super().__init__()
        self.scoring, self.temperature, self.top_k, self.seed = scoring, temperature, top_k, seed
        self.text_mlp = nn.Linear(text_width, width)
        layered = score_norm == "layer"
        self.norm_query = nn.LayerNorm(width) if layered else nn.Identity()
        self.norm_keys = nn.LayerNorm(width) if layered else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.requires_grad_(self.reads_question)

    @property
    def reads_question(self) -> bool:
        """Whether the scores depend on question and keys; a prior learns nothing."""
        return self.scoring in ("tgis", "top_k")

    def forward(
        self,
        slabs: Float[Tensor, "u g m d"],
        slices: Float[Tensor, "u n p e"],
        connector: nn.Sequential,
        text: Float[Tensor, "b t"],
        study: Int[Tensor, "b"],
    ) -> tuple[Float[Tensor, "b p d"], Float[Tensor, "b n"]]:
        """Return each question's slices as one weighted slice, and their scores before dropout.

        `connector` projects the slices' tokens to the width of the 3D tokens; it ends in a Linear.
        This one is moved behind the sums, which changes nothing but rounding: it is applied to the
        mean of each slice and to what a question reads, never to all tokens. Its bias counts as
        often as the weights sum to. What stands before it is there for some slices at a time, but
        for "top_k", which learns at the end which slices count. The scores of a row sum to one.
        """
        asked, count = ByStudy.of(study, len(slices)), slices.shape[1]
        kept = asked.lay(self.dropout(torch.ones(len(study), count, device=text.device)))
        parts = self._scored(slabs, slices, connector, text, asked)
        if self.scoring == "top_k":
            parts = self._top(parts)
        total = RunningSum()
        found: list[Tensor] = []
        for logits, hidden in parts:
            start = sum(done.shape[-1] for done in found)
            found.append(logits)
            total.add(logits, kept[..., start : start + logits.shape[-1]], hidden)
            del hidden  # gone before the next slices are projected
        last = _last(connector)
        tokens, weight = (asked.rows(x).to(last.weight.dtype) for x in total.result())
        own = nn.functional.linear(tokens, last.weight) + weight[..., None] * last.bias
        return own, asked.rows(torch.cat(found, dim=-1)).softmax(-1)

    def _scored(
        self, slabs: Tensor, slices: Tensor, connector: nn.Sequential, text: Tensor, asked: ByStudy
    ) -> Iterator[tuple[Float[Tensor, "u k c"], Float[Tensor, "u c p d"]]]:
        """Yield the logits of some slices for each question, and these slices' hidden tokens."""
        u, n, p, _ = slices.shape
        before, last = connector[:-1], _last(connector)
        slab_means = slabs.mean(2)[:, slab_of_slice(n, slabs.shape[1], slabs.device)]
        at_once = max(1, AT_ONCE // (u * p * last.in_features))
        if self.reads_question:
            query = asked.lay(self.norm_query(self.text_mlp(text)))
        else:
            prior = prior_scores(self.scoring, u, n, self.seed).to(slabs.device).log()[:, None]
        for start in range(0, n, at_once):
            now = slice(start, start + at_once)
            hidden = before(slices[:, now])
            if self.reads_question:
                keys = slice_keys(slab_means[:, now], last(hidden.mean(2)), slabs.shape[2], p)
                yield slice_logits(self.norm_keys(keys), query, self.temperature), hidden
            else:
                yield prior[..., now].expand(-1, asked.most, -1), hidden
            del hidden

    def _top(
        self, parts: Iterable[tuple[Tensor, Tensor]]
    ) -> Iterator[tuple[Float[Tensor, "u k c"], Float[Tensor, "u c p d"]]]:
        """Yield all parts again, with the logits of the slices that count."""
        found, hidden = zip(*parts, strict=True)
        top = keep_top(torch.cat(found, dim=-1), self.top_k, hard=not self.training)
        yield from zip(top.split([x.shape[-1] for x in found], dim=-1), hidden, strict=True)


def _last(connector: nn.Sequential) -> nn.Linear:
    """Return the Linear that a connector ends in."""
    last = connector[-1]
    assert isinstance(last, nn.Linear)
    return last
