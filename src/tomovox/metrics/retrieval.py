"""Does a volume find its report, and a report its volume? Ranks in a gallery of all records.

The records of one task are one gallery: all their volumes, and all their reports. A rank counts
from 1. Directions are written i2t (volume asks, reports are ranked) and t2i.
Letters: n records, the gallery; d width of an embedding.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int

from tomovox.metrics.metric import Rows
from tomovox.schema import TomovoxError

TIE = 1e-9
"""Cosines closer than this are equal: more than float64 rounds, less than float32 tells."""


@dataclass(frozen=True)
class Found:
    """Where a record's counterparts stand in the gallery: ranks in both directions.

    `right` of the `gallery` items count as a hit.
    """

    i2t: int
    t2i: int
    right: int
    gallery: int


# ---- embeddings in a prediction ---------------------------------------------------------------


def encode_embedding(vector: Float[np.ndarray, "d"]) -> str:
    """Return a vector as base64 of its little-endian float32 numbers."""
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode("ascii")


def decode_embedding(text: str, place: str) -> Float32[np.ndarray, "d"]:
    """Return the vector of `encode_embedding`; TomovoxError names `place` when it is none."""
    try:
        vector = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4")
    except (binascii.Error, ValueError):
        raise TomovoxError(
            f"{place}: an embedding is not base64 of float32; predict again"
        ) from None
    if not len(vector) or not np.isfinite(vector).all():
        raise TomovoxError(f"{place}: an embedding is empty or not finite; predict again")
    return vector.astype(np.float32)


# ---- ranks ------------------------------------------------------------------------------------


def ranks_m3d(rows: Rows) -> list[Found | None]:
    """Return ranks as M3D-Bench counts them: right is the record's own counterpart only.

    Scores are dot products in float32. Equal scores keep the order of the records, as a stable
    descending sort does; torch.topk, which the published code uses, promises no order. Where no
    record has embeddings, the model makes none, and every value is None. Raises TomovoxError for an
    embedding that is missing, broken or of another width.
    """
    if not any(row.volume_embedding or row.text_embedding for row in rows):
        return [None] * len(rows)
    volumes, texts = _embeddings(rows)
    scores = volumes @ texts.T
    i2t, t2i = _ranks_of_diagonal(scores), _ranks_of_diagonal(scores.T)
    return [Found(int(a), int(b), 1, len(rows)) for a, b in zip(i2t, t2i, strict=True)]


def ranks(rows: Rows) -> list[Found | None]:
    """Return ranks by cosine: right is every record whose report says the same.

    Reports are compared after runs of white space became one space. A rank is that of the best
    right item; a wrong item that scores as much, to 1e-9, stands before it, so that a model that
    maps all to one point finds nothing. None and TomovoxError as for `ranks_m3d`.
    """
    if not any(row.volume_embedding or row.text_embedding for row in rows):
        return [None] * len(rows)
    volumes, texts = _embeddings(rows)
    scores = _unit(volumes) @ _unit(texts).T
    reports = [" ".join(row.reference.split()) for row in rows]
    number = {report: i for i, report in enumerate(dict.fromkeys(reports))}
    label = np.array([number[report] for report in reports])
    right = label[:, None] == label[None, :]
    i2t, t2i = _ranks_of_best(scores, right), _ranks_of_best(scores.T, right)
    times = Counter(reports)
    return [
        Found(int(a), int(b), times[report], len(rows))
        for a, b, report in zip(i2t, t2i, reports, strict=True)
    ]


def hit_i2t(k: int) -> Callable[[Found | None], float | None]:
    """Return what tells 1.0 where a right report is among the first k."""
    return lambda found: None if found is None else float(found.i2t <= k)


def hit_t2i(k: int) -> Callable[[Found | None], float | None]:
    """Return what tells 1.0 where a right volume is among the first k."""
    return lambda found: None if found is None else float(found.t2i <= k)


def rank_i2t(found: Found | None) -> float | None:
    """Return the rank of the first right report; None for a model without embeddings."""
    return None if found is None else float(found.i2t)


def rank_t2i(found: Found | None) -> float | None:
    """Return the rank of the first right volume; None for a model without embeddings."""
    return None if found is None else float(found.t2i)


def chance(k: int) -> Callable[[Found | None], float | None]:
    """Return what tells how likely a gallery in random order has a right item among the first k."""

    def of(found: Found | None) -> float | None:
        if found is None:
            return None
        first = min(k, found.gallery)
        missed = math.comb(found.gallery - found.right, first)
        return 1 - missed / math.comb(found.gallery, first)

    return of


# ---- the gallery ------------------------------------------------------------------------------


def _embeddings(rows: Rows) -> tuple[Float32[np.ndarray, "n _d"], Float32[np.ndarray, "n _d"]]:
    """Return the embeddings of volumes and of reports."""
    volumes = _stacked([(row.id, row.volume_embedding) for row in rows])
    texts = _stacked([(row.id, row.text_embedding) for row in rows])
    if volumes.shape[1] != texts.shape[1]:
        raise TomovoxError(
            f"{rows[0].id}: embeddings of volumes have {volumes.shape[1]} numbers, of reports "
            f"{texts.shape[1]}; predict again"
        )
    return volumes, texts


def _stacked(written: Sequence[tuple[str, str]]) -> Float32[np.ndarray, "n d"]:
    vectors: list[np.ndarray] = []
    for name, text in written:
        if not text:
            raise TomovoxError(f"{name}: no embedding, though others have one; predict again")
        vectors.append(decode_embedding(text, name))
        if len(vectors[-1]) != len(vectors[0]):
            raise TomovoxError(
                f"{name}: an embedding has {len(vectors[-1])} numbers, another "
                f"{len(vectors[0])}; predict again"
            )
    return np.stack(vectors)


def _unit(vectors: Float32[np.ndarray, "n d"]) -> Float64[np.ndarray, "n d"]:
    """Return vectors of length 1; a vector of zeros stays, and is as far from all others."""
    wide = vectors.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(length > 0, length, 1.0)


def _ranks_of_diagonal(scores: Float[np.ndarray, "n n"]) -> Int[np.ndarray, "n"]:
    """Return the rank of item i in row i; an equal item counts where it stands before i."""
    own = scores.diagonal()[:, None]
    before = np.tri(len(scores), k=-1, dtype=bool)
    return 1 + ((scores > own) | ((scores == own) & before)).sum(axis=1)


def _ranks_of_best(
    scores: Float[np.ndarray, "n n"], right: Bool[np.ndarray, "n n"]
) -> Int[np.ndarray, "n"]:
    """Return the rank of each row's best right item, after the wrong ones that score as much."""
    best = np.where(right, scores, -np.inf).max(axis=1)
    return 1 + (~right & (scores >= best[:, None] - TIE)).sum(axis=1)
