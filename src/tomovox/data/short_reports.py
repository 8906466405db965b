"""What is left of a report that is longer than a text encoder reads? A choice of its sentences."""

from collections.abc import Callable

import numpy as np


def shortened(
    report: str, tokens: Callable[[str], int], limit: int, random: np.random.Generator
) -> str:
    """Return a report of at most `limit` tokens as it is, of a longer one a choice of sentences.

    The first sentence stays; the others are tried in random order, and each that is new and still
    fits is added behind, joined by full stops. `tokens` counts [CLS] and [SEP] each time, and the
    first sentence is not counted: the choice may exceed `limit`, and the tokenizer must cut it.
    Source: M3D, released code of the M3D-CLIP data.
    """
    if tokens(report) <= limit:
        return report
    first, *others = report.split(".")
    kept, used = [first], 0
    for place in random.permutation(len(others)):
        sentence = others[place]
        size = tokens(sentence)
        if sentence not in kept and used + size <= limit:
            kept.append(sentence)
            used += size
    return ".".join(kept)
