"""Texts to compare metrics on: words of reports, marks and numbers, drawn from a seed."""

import random

REPORT = (
    "the liver shows a 3.2 cm cyst, no free fluid is seen; left-sided kidney (T2) &amp; 5-mm "
    "in lesions Lesion"
)


def texts(seed: int, count: int = 80) -> list[str]:
    """Return `count` texts of 1 to 30 words."""
    draw, words = random.Random(seed), REPORT.split()
    return [" ".join(draw.choices(words, k=draw.randint(1, 30))) for _ in range(count)]
