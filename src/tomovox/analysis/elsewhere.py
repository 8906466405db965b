"""Do scores stay what they are when the words are others, or the weights are scrambled?

Letters: m records, s scrambles, n slices, c cases, r draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from tomovox.analysis.agreement import ranks
from tomovox.analysis.attended import Attended, in_order, stacks
from tomovox.analysis.depth import on_grid
from tomovox.analysis.divergence import jensen_shannon
from tomovox.analysis.rows import SEED, Measure, Row, mean_rows, parts, row
from tomovox.statistics.bootstrap import draws

SCRAMBLED = "scrambled_correlation"
SWAPPED, SHUFFLED = "swapped_question", "shuffled_words"
"""The statistics: likeness to scrambled models, and divergence under two kinds of other words."""


@dataclass(frozen=True, eq=False)
class ScrambledMean:
    """The mean over records and scrambles, of which both cases and scrambles are drawn again.

    `sums` are those of each case's records under each scramble, `counts` how many records it has.
    """

    sums: Float[np.ndarray, "c s"]
    counts: Int[np.ndarray, "c"]

    def point(self) -> float:
        """Return the mean over all records and scrambles."""
        return float(self.sums.sum() / (self.counts.sum() * self.sums.shape[1]))

    def replicates(self, weights: Int[np.ndarray, "r c"]) -> Float[np.ndarray, "r"]:
        """Return the mean of each draw of cases, with scrambles drawn anew for each."""
        scrambles = self.sums.shape[1]
        # Of another seed than the cases: as many of these would be drawn just alike.
        drawn = draws(scrambles, len(weights), SEED + 1)
        totals = weights.astype(float) @ self.sums
        return (totals * drawn).sum(axis=1) / (weights.astype(float) @ self.counts * scrambles)


def scrambled_rows(
    records: Iterable[Attended], scrambled: Mapping[str, Float[np.ndarray, "s n"]]
) -> list[Row]:
    """Return how alike the scores are to those of models whose scoring weights are scrambled.

    The mean rank correlation over records and scrambles, whose interval knows of both. There is no
    test: near 1, nothing learned decides the scores; a low one does not prove that they are
    learned. Only records in `scrambled` count, and of these only those whose scores rank slices.
    Source: Adebayo et al., Sanity Checks for Saliency Maps (NeurIPS 2018).
    """
    chosen = [r for r in in_order(records) if r.id in scrambled and max(r.scores) > min(r.scores)]
    if not chosen:
        return []
    values = np.stack([_correlations(record, scrambled[record.id]) for record in chosen])
    found = []
    for group in parts(chosen):
        sums = np.zeros((group.cases, values.shape[1]))
        np.add.at(sums, group.case_index, values[group.places])
        counts = np.bincount(group.case_index, minlength=group.cases)
        found.append(row(SCRAMBLED, group, ScrambledMean(sums, counts)))
    return found


def word_rows(
    records: Iterable[Attended],
    swapped: Mapping[str, Sequence[float]],
    shuffled: Mapping[str, Sequence[float]],
) -> list[Row]:
    """Return how far scores move, in bits, when the words about a volume are others.

    `swapped` are the scores for the question of another type about another case, `shuffled` those
    for the question's own words in random order. Only records that have them count.
    """
    ordered = in_order(records)
    return [*_moved(SWAPPED, ordered, swapped), *_moved(SHUFFLED, ordered, shuffled)]


def _moved(
    statistic: str, records: Sequence[Attended], others: Mapping[str, Sequence[float]]
) -> Iterator[Row]:
    chosen = [record for record in records if record.id in others]
    if chosen:
        moved = [replace(record, scores=tuple(others[record.id])) for record in chosen]
        values = jensen_shannon(on_grid(stacks(chosen)), on_grid(stacks(moved)))
        yield from mean_rows([Measure(statistic, values, {})], parts(chosen))


def _correlations(record: Attended, scrambled: Float[np.ndarray, "s n"]) -> Float[np.ndarray, "s"]:
    """Return the rank correlation with each scrambled model; one that ranks nothing has 0."""
    return ranks(scrambled) @ ranks(np.array([record.scores]))[0]
