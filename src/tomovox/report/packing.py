"""How does a comparison travel inside a page? As blocks that a browser unpacks when they are read.

A block is base64: whatever the text in it says, it cannot close a tag.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from tomovox.report.content import Answer, Content, Sample, Scale
from tomovox.report.mosaics import COLUMNS, MOST_TILES, PackedVolume
from tomovox.schema import QUESTION_TYPES, Task

CHUNK = 250
"""Samples in a block: a reader who opens one unpacks so many."""

KINDS = ("all", "macro", *QUESTION_TYPES.values())
"""Question types in the order of a list; those of a user's own follow by name."""


def packed(value: Any) -> str:
    """Return a JSON value as base64 of gzip; the same value gives the same text."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def block(name: str, text: str) -> str:
    """Return base64 as an element that is never shown and never run."""
    return f'<script type="application/octet-stream" id="{name}">{text}</script>'


def blocks_of(content: Content, volumes: Iterable[PackedVolume]) -> Iterator[str]:
    """Yield the blocks of a page but those of samples: mosaics, then what is read first."""
    shown = []
    for place, volume in enumerate(volumes):
        for part, mosaic in enumerate(volume.mosaics):
            yield block(f"mosaic-{place}-{part}", mosaic)
        shown.append(volume)
    first = {
        "significant": content.significant,
        "scales": {key: _scale(scale) for key, scale in _scales(content).items()},
        "primary": dict(content.primary),
        "kinds": in_order(_words(content.table["question_type"]), KINDS),
        "tasks": in_order(_words(content.table["task"]), list(Task)),
        "table": _columns(content),
        "samples": _index(content, _models(content)),
        "volumes": {volume.path: _shape(place, volume) for place, volume in enumerate(shown)},
    }
    yield block("content", packed(first))


def sample_blocks(content: Content) -> Iterator[str]:
    """Yield the blocks of the samples, CHUNK in each."""
    models = _models(content)
    places = {key: place for place, key in enumerate(_scales(content))}
    for start in range(0, len(content.samples), CHUNK):
        chunk = content.samples[start : start + CHUNK]
        rows = [_sample(sample, models, places) for sample in chunk]
        yield block(f"samples-{start // CHUNK}", packed(rows))


def in_order(values: Iterable[str], order: Sequence[str]) -> list[str]:
    """Return each value once: those of `order` first, then others by name."""
    present = {str(value) for value in values}
    return [str(v) for v in order if v in present] + sorted(present - {str(v) for v in order})


def volume_count(samples: Iterable[Sample]) -> int:
    """Return how many volumes the samples are about."""
    return len({sample.volume for sample in samples if sample.volume})


def _words(column: Iterable[Any]) -> list[str]:
    return [str(value) for value in column]


def _models(content: Content) -> list[str]:
    return in_order(chain.from_iterable(sample.answers for sample in content.samples), ())


def _scales(content: Content) -> dict[str, Scale]:
    """Return the scale of every metric there is; the order of `scales` comes first."""
    pairs = zip(content.table["metric"], content.table["protocol"], strict=True)
    keys = {f"{metric}.{protocol}" for metric, protocol in pairs}
    for sample in content.samples:
        for answer in sample.answers.values():
            keys |= answer.scores.keys()
    return {key: content.scales.get(key, Scale()) for key in in_order(keys, list(content.scales))}


def _scale(scale: Scale) -> dict[str, Any]:
    told = {"unit": scale.unit, "lower": scale.lower_is_better, "headline": scale.headline}
    return told | {"trivial": scale.trivial}


def _columns(content: Content) -> dict[str, list[Any]]:
    columns = content.table.astype(object).where(content.table.notna(), None).to_dict("list")
    return {str(name): [_rounded(v, 6) for v in values] for name, values in columns.items()}


def _rounded(value: Any, digits: int) -> Any:
    """Return a float with so many digits, null for what is no number; zero has no sign.

    A metric of a neural network differs past six digits from call to call, and a page must not.
    """
    if not isinstance(value, float):
        return value
    return round(float(value), digits) + 0.0 if math.isfinite(value) else None


def _index(content: Content, models: list[str]) -> dict[str, Any]:
    """Return of all samples what a list is filtered by, one array a property."""
    samples = content.samples
    primary = [
        [_score(sample.answers.get(model), content.primary.get(sample.task)) for sample in samples]
        for model in models
    ]
    return {
        "chunk": CHUNK,
        "models": models,
        "tasks": in_order((sample.task for sample in samples), list(Task)),
        "kinds": in_order((s.question_type for s in samples if s.question_type), KINDS),
        "id": [sample.id for sample in samples],
        "task": [sample.task for sample in samples],
        "kind": [sample.question_type for sample in samples],
        "volume": [sample.volume for sample in samples],
        "primary": primary,
    }


def _score(answer: Answer | None, key: str | None) -> float | None:
    value = answer.scores.get(key) if answer is not None and key is not None else None
    return None if value is None else _rounded(float(value), 4)


def _sample(sample: Sample, models: list[str], places: Mapping[str, int]) -> dict[str, Any]:
    return {
        "case": sample.case,
        "question": sample.question,
        "choices": list(sample.choices),
        "reference": sample.reference,
        "series": sample.series,
        "evidence": list(sample.evidence),
        "scope": sample.scope,
        "answers": [
            _answer(sample.answers.get(model), places, sample.series == 1) for model in models
        ],
    }


def _answer(
    answer: Answer | None, places: Mapping[str, int], weighed: bool
) -> dict[str, Any] | None:
    """Return an answer: scores by the place of their metric, weights of three digits if wanted."""
    if answer is None:
        return None
    scores = {places[key]: _score(answer, key) for key in answer.scores}
    # Weights of several series run over all of their slices, and a page shows those of one.
    weights = [float(f"{weight:.3g}") for weight in answer.slice_scores] if weighed else []
    return {"text": answer.text, "scores": scores, "weights": weights}


def _shape(place: int, volume: PackedVolume) -> Mapping[str, int]:
    return {
        "place": place,
        "depth": volume.depth,
        "height": volume.height,
        "width": volume.width,
        "tileHeight": volume.tile_height,
        "tileWidth": volume.tile_width,
        "columns": COLUMNS,
        "tiles": MOST_TILES,
    }
