"""Which of the 18 findings of CT-RATE does a report have, to the text classifier of CT-CLIP?

The labels of CT-RATE were predicted with it. Source: Hamamci et al., arXiv 2403.17834, and the
text classifier of CT-CLIP: RadBERT, a linear layer on its pooled output, sigmoid from 1/2 on, 512
tokens.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from tomovox.metrics.resources import Unavailable
from tomovox.metrics.rule_terms import TERMS
from tomovox.packaged import reading_files

FOLDER_VARIABLE = "TOMOVOX_RADBERT"
"""Environment variable: the folder with the encoder and the classifier."""

WEIGHTS = "RadBertClassifier.pth"
LONGEST = 512
HOW = (
    "fetch it with: hf download zzxslp/RadBERT-RoBERTa-4m --local-dir DIR; then, after accepting "
    "the terms of the data set, hf download ibrahimhamamci/CT-RATE models/RadBertClassifier.pth "
    "--repo-type dataset --local-dir DIR; mv DIR/models/RadBertClassifier.pth DIR; and set "
    f"{FOLDER_VARIABLE}=DIR"
)


class RadBert:
    """The labeller `radbert`, from local files; raises Unavailable, with what to fetch, without."""

    name = "RadBERT-CT-RATE"
    labels = tuple(TERMS)

    def __init__(self, folder: Path | None = None, batch_size: int = 16) -> None:
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        chosen = folder or os.environ.get(FOLDER_VARIABLE)
        if not chosen:
            raise Unavailable(f"no RadBERT: {FOLDER_VARIABLE} is not set; {HOW}")
        place = Path(chosen)
        for file in ("config.json", WEIGHTS):
            if not (place / file).is_file():
                raise Unavailable(f"no RadBERT: {place / file} is missing; {HOW}")
        try:
            with reading_files():
                local = {"local_files_only": True, "trust_remote_code": False}
                lower = {"do_lower_case": True}  # as CT-CLIP asks; not every tokenizer heeds it
                self._tokenizer = AutoTokenizer.from_pretrained(str(place), **local, **lower)
                config = AutoConfig.from_pretrained(str(place), **local)
                self._encoder = AutoModel.from_config(config).eval()
                weights = torch.load(place / WEIGHTS, map_location="cpu", weights_only=True)
                self._head = torch.nn.Linear(config.hidden_size, len(self.labels))
                parts = {"model": self._encoder, "classifier": self._head}
                for prefix, part in parts.items():
                    part.load_state_dict(_below(weights, prefix))
        except ValueError as error:
            raise Unavailable(f"no RadBERT: {place} does not load ({error}); {HOW}") from None
        self._batch_size = batch_size

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> list[frozenset[str]]:
        """Return the findings of each text; an empty one has none."""
        found: dict[str, frozenset[str]] = {"": frozenset()}
        todo = sorted({text for text in texts if text.strip()}, key=lambda t: (len(t), t))
        for start in range(0, len(todo), self._batch_size):
            batch = todo[start : start + self._batch_size]
            tokens = self._tokenizer(
                batch, return_tensors="pt", padding=True, truncation=True, max_length=LONGEST
            )
            pooled = self._encoder(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            ).pooler_output
            there = self._head(pooled) >= 0  # a sigmoid of one half
            for text, row in zip(batch, there.tolist(), strict=True):
                pairs = zip(self.labels, row, strict=True)
                found[text] = frozenset(label for label, yes in pairs if yes)
        return [found[text if text.strip() else ""] for text in texts]


def _below(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the weights of one part; a buffer of positions, which old releases kept, is none."""
    below = {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in weights.items()
        if name.startswith(f"{prefix}.")
    }
    return {name: tensor for name, tensor in below.items() if not name.endswith("position_ids")}
