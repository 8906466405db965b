"""Text-Guided Inter-Slice scoring: which slices matter for this question?

Letters: b questions, n slices, g depth slabs of the 3D tokens, p tokens per slice, m 3D tokens, d
width.
Source: Med-2E3 (arXiv 2411.12783v2), section on TG-IS; `score` is the released connector score15.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Scoring = Literal["tgis", "uniform", "gaussian", "random", "top_k"]


def slab_of_slice(slices: int, slabs: int, device: torch.device | None = None) -> Int[Tensor, "n"]:
    """Return the depth slab of each slice: slice j of n lies in slab floor(j * g / n)."""
    return torch.arange(slices, device=device) * slabs // slices


def slice_keys(
    slabs: Float[Tensor, "u g m d"], slices: Float[Tensor, "u n p d"]
) -> Float[Tensor, "u n d"]:
    """Return z^j: the mean over the slab's 3D tokens and the slice's 2D tokens together.

    Equal to the mean of the concatenation, without building it: weights m/(m+p) and p/(m+p) of the
    two means.
    """
    m, p = slabs.shape[2], slices.shape[2]
    index = slab_of_slice(slices.shape[1], slabs.shape[1], slabs.device)
    return (m * slabs.mean(2)[:, index] + p * slices.mean(2)) / (m + p)


def slice_scores(
    keys: Float[Tensor, "b n d"], query: Float[Tensor, "b d"], temperature: float = 5.0
) -> Float[Tensor, "b n"]:
    """Weight slices by agreement with the question; each row sums to one (Med-2E3, TG-IS)."""
    return (torch.einsum("bnd,bd->bn", keys, query) / temperature).softmax(dim=-1)


def aggregate(
    scores: Float[Tensor, "b n"], slices: Float[Tensor, "b n p d"]
) -> Float[Tensor, "b p d"]:
    """Return the sum of the slices' tokens, each slice weighted by its score."""
    return torch.einsum("bn,bnpd->bpd", scores, slices)


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


def keep_top(scores: Float[Tensor, "b n"], k: int, hard: bool = True) -> Float[Tensor, "b n"]:
    """Keep the k highest slices of a row, the rest at zero; each row sums to one.

    `hard` weighs each kept slice 1/k (Med-2E3's top-3 probe), which has no gradient. Otherwise the
    kept scores are divided by their sum, and the gradient flows through them.
    """
    kept, index = scores.topk(min(k, scores.shape[-1]), dim=-1)
    shares = torch.full_like(kept, 1.0 / index.shape[-1]) if hard else kept / kept.sum(-1, True)
    return torch.zeros_like(scores).scatter(-1, index, shares)


class TextGuidedScoring(nn.Module):
    """The trainable part of TG-IS: one Linear from the question embedding to the width of the keys.

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
        self, keys: Float[Tensor, "b n d"], text: Float[Tensor, "b t"]
    ) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
        """Return (weights to use, scores before dropout); the scores of a row sum to one."""
        if self.reads_question:
            query = self.norm_query(self.text_mlp(text))
            scores = slice_scores(self.norm_keys(keys), query, self.temperature)
            if self.scoring == "top_k":
                scores = keep_top(scores, self.top_k, hard=not self.training)
        else:
            scores = prior_scores(self.scoring, len(keys), keys.shape[1], self.seed).to(keys)
        return self.dropout(scores), scores
