"""A device that has no memory for more than a few questions at once."""

import pytest
import torch

from tomovox.models.language import Language


def limited(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let the language model run out of memory above `most` rows; return the rows of each try."""
    speak, tries = Language.speak, []

    def with_limit(self, spliced, max_new_tokens):
        tries.append(len(spliced.mask))
        if len(spliced.mask) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return speak(self, spliced, max_new_tokens)

    monkeypatch.setattr(Language, "speak", with_limit)
    return tries
