"""A device that has no memory for more than a few questions at once."""

import pytest
import torch

from tomovox.models.language import Language


def limited(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let the language model run out of memory above `most` rows; return the rows of each try."""
    prefill, tries = Language.prefill, []

    def with_limit(self, prompts, opening=None):
        tries.append(len(prompts.mask))
        if len(prompts.mask) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return prefill(self, prompts, opening)

    monkeypatch.setattr(Language, "prefill", with_limit)
    return tries
