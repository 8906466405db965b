"""Are our text metrics those of the published evaluation? BLEU, ROUGE and METEOR of its pairs."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch

from tomovox.metrics.bleu import ORDERS, corpus_bleu, sentence_bleu
from tomovox.metrics.meteor import meteor
from tomovox.metrics.resources import Unavailable
from tomovox.metrics.text import rouge_l, rouge_n
from tomovox.parity.cases import Case
from tomovox.parity.comparison import Pair
from tomovox.schema import TomovoxError

Scores = Callable[[Sequence[str], Sequence[str]], list[float]]

PER_SAMPLE: dict[str, Scores] = {
    **{f"bleu{k}": partial(sentence_bleu, k=k) for k in range(1, ORDERS + 1)},
    **{f"rouge{n}": partial(rouge_n, n=n) for n in (1, 2)},
    "rougeL": rouge_l,
    "meteor": meteor,
}
"""Metric of a pair -> what computes it."""


def text_pairs(case: Case) -> Iterator[Pair]:
    """Yield the scores of all pairs by metric, then BLEU of the corpus.

    Raises TomovoxError where METEOR's WordNet is missing.
    """
    rows = [_row(case, row) for row in case.fact(list, "per_sample")]
    for name, metric in PER_SAMPLE.items():
        if scored := [row for row in rows if name in row]:
            try:
                ours = metric(*_texts(scored))
            except Unavailable as reason:
                raise TomovoxError(f"{case.file}: {name} cannot be computed: {reason}") from None
            yield Pair(
                f"per_sample {name}", _doubles(ours), _doubles([row[name] for row in scored])
            )
    for k in range(1, ORDERS + 1):
        recorded = case.fact(float, "corpus", f"bleu{k}")
        corpus = corpus_bleu(*_texts(rows), k)
        yield Pair(f"corpus bleu{k}", _doubles([corpus]), _doubles([recorded]))


def _row(case: Case, row: Any) -> dict[str, Any]:
    """Return a row of per_sample that holds two texts and at least one known score."""
    names = PER_SAMPLE.keys() & row.keys() if isinstance(row, dict) else set()
    texts = ("prediction", "reference")
    if (
        not names
        or not all(isinstance(row.get(key), str) for key in texts)
        or not all(isinstance(row[name], int | float) for name in names)
    ):
        raise case.fault("per_sample has a row without prediction, reference or numeric scores")
    return dict(row)


def _texts(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Return predictions and references, stripped as the published evaluation does."""
    return [r["prediction"].strip() for r in rows], [r["reference"].strip() for r in rows]


def _doubles(values: Sequence[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)
