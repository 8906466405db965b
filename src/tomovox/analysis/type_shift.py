"""Do scores move with the type of the question? Divergence between the types' mean distributions.

Types are permuted among the questions of one volume: its anatomy, plane and phase stay with each
type then, and cannot make types differ.
Letters: m records, t types, g bins of depth, r draws or permutations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from tomovox.analysis.attended import Attended, in_order, stacks
from tomovox.analysis.depth import on_grid
from tomovox.analysis.divergence import jensen_shannon
from tomovox.analysis.rows import ALL, SEED, SWAPS, Group, Row, part, parts, row
from tomovox.statistics.clusters import Additive, blocks, pooled

ROUNDING = 1e-12
"""Divergences this close, in bits, are the same: sums are rounded."""

STATISTIC, PERMUTED = "type_shift", "permuted"

JOINED = " vs "
"""Stands between the two types of a pair in column `question_type`."""


def type_rows(records: Iterable[Attended]) -> list[Row]:
    """Return the divergence between each two question types of each task, and their mean ("all").

    The mean stands there for each plane and phase of LEAST_CASES cases too. `baseline` is the mean
    over permutations, which is above 0: means of few records differ by chance. For the same reason
    the interval leans upwards; the test is `p`. Types differ in their words too, and this cannot
    tell one from the other. A task of one type has no rows.
    """
    ordered = in_order(records)
    grid = on_grid(stacks(ordered))
    found = []
    for task in sorted({record.task for record in ordered}):
        places = [i for i, each in enumerate(ordered) if each.task == task and each.question_type]
        kinds = sorted({ordered[place].question_type for place in places})
        pairs = list(combinations(kinds, 2))
        for chosen in ([tuple(kinds)] if len(pairs) > 1 else []) + pairs:
            mine = [place for place in places if ordered[place].question_type in chosen]
            name = ALL if len(chosen) > 2 else JOINED.join(chosen)
            found.append(_row(ordered, grid, Group(task, name), np.array(mine), chosen))
    return found + _of_scans(ordered, grid)


def _of_scans(records: Sequence[Attended], grid: Float[np.ndarray, "m g"]) -> list[Row]:
    """Return the rows of each plane and phase, over all question types."""
    found = []
    for group, places, _, _ in parts(records):
        mine = [place for place in places.tolist() if records[place].question_type]
        kinds = sorted({records[place].question_type for place in mine})
        if (group.plane or group.phase) and len(kinds) > 1:
            name = ALL if len(kinds) > 2 else JOINED.join(kinds)
            named = group._replace(question_type=name)
            found.append(_row(records, grid, named, np.array(mine), kinds))
    return found


def _row(
    records: Sequence[Attended],
    grid: Float[np.ndarray, "_m g"],
    group: Group,
    places: Int[np.ndarray, "m"],
    kinds: Sequence[str],
) -> Row:
    found = part(records, group, places)
    kind_index = np.array([kinds.index(records[place].question_type) for place in places])
    volumes = [records[place].volume for place in places]
    volume_index = np.unique(volumes, return_inverse=True)[1]
    metric = _metric(grid[places], kind_index, len(kinds), found.case_index, found.cases)
    mean, p = permuted(grid[places], kind_index, volume_index, SWAPS, SEED)
    return row(STATISTIC, found, metric, PERMUTED, mean, p)


def mean_divergence(totals: Float[np.ndarray, "r t g1"]) -> Float[np.ndarray, "r"]:
    """Return the mean divergence between each two types, given sums over bins and, last, counts.

    nan where a type has no record.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        means = totals[..., :-1] / totals[..., -1:]
    pairs = combinations(range(totals.shape[1]), 2)
    apart = [jensen_shannon(means[:, a], means[:, b]) for a, b in pairs]
    return np.mean(apart, axis=0)


def permuted(
    grid: Float[np.ndarray, "m g"],
    kind_index: Int[np.ndarray, "m"],
    volume_index: Int[np.ndarray, "m"],
    permutations: int,
    seed: int,
) -> tuple[float, float]:
    """Return the mean divergence under permutation, and the p of "types mean nothing".

    p = (1 + permutations that diverge as much) / (1 + permutations), never 0; 1 where no volume
    has questions of two types.
    Source: Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010).
    """
    order = np.argsort(volume_index, kind="stable")
    rows, kinds, volumes = grid[order], kind_index[order], volume_index[order]
    counted = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    count = int(kinds.max()) + 1
    observed = _divergences(counted, kinds[None], count)[0]
    generator = np.random.default_rng(seed)
    drawn = np.empty(permutations)
    # Blocks the size of the grid stay in the processor's cache, which is eight times as fast.
    for block in blocks(permutations, rows.size):
        height = block.stop - block.start
        # Sorted by volume and, within it, by chance: only places of one volume change.
        shuffle = np.argsort(volumes + generator.random((height, len(rows))), axis=1)
        drawn[block] = _divergences(counted, kinds[shuffle], count)
    extreme = np.count_nonzero(drawn >= observed - ROUNDING)
    return float(drawn.mean()), float((1 + extreme) / (1 + permutations))


def _divergences(
    counted: Float[np.ndarray, "m g1"], labels: Int[np.ndarray, "r m"], kinds: int
) -> Float[np.ndarray, "r"]:
    totals = [(labels == kind).astype(float) @ counted for kind in range(kinds - 1)]
    # The last type has what the others leave, less the rounding of a difference.
    rest = (counted.sum(axis=0) - sum(totals)).clip(min=0)
    return mean_divergence(np.stack([*totals, rest], axis=1))


def _metric(
    grid: Float[np.ndarray, "m g"],
    kind_index: Int[np.ndarray, "m"],
    kinds: int,
    case_index: Int[np.ndarray, "m"],
    cases: int,
) -> Additive:
    """Return the mean divergence as a metric of what cases add up to."""
    counted = np.concatenate([grid, np.ones((len(grid), 1))], axis=1)
    own = np.eye(kinds)[kind_index]
    rows = (own[:, :, None] * counted[:, None]).reshape(len(grid), -1)

    def value(totals: Float[np.ndarray, "r k"]) -> Float[np.ndarray, "r"]:
        return mean_divergence(totals.reshape(len(totals), kinds, -1))

    return pooled(rows, case_index, cases, value)
