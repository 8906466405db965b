"""What does a model's answer lose when slices are hidden, in the order of its scores or another?

The likelihood of the model's own answer is asked for under sets of slices that it may see. Per
volume all sets are asked for at once, each once: its questions share the orders that do not depend
on them. Of 32 slices a question asks for up to 99 sets: 1 of all, 1 of none, 32 that lack one, and
2 at each of 7 further points of 5 orders, less 5 that are the same; 28 more where scores tie.
Letters: k sets of slices, n slices, q questions, m points of a curve.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from tomovox.analysis.attended import Attended
from tomovox.parsed import is_number, json_of

Likelihoods = Callable[[Bool[np.ndarray, "k n"], Bool[np.ndarray, "k q"]], Float[np.ndarray, "k q"]]
"""Gives the log-likelihoods in nats of the answers to q questions about a volume, when only the
slices of each of k sets are seen; the second argument says which are wanted."""

SHARES = (0.0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1.0)
"""Shares of the slices at which curves are read."""

RANDOM_ORDERS = 3
TOP = 3
"""Slices that count as the top ones, as in Med-2E3's own probe."""

SCORES, RANDOM, CENTRE = "scores", "random", "centre"
ORDERS = (SCORES, RANDOM, CENTRE)

FIGURES = ("shares", "deletion", "insertion", "top", "rest", "without")


@dataclass(frozen=True, slots=True)
class Trial:
    """What hiding slices did to one answer; all figures are log-likelihoods in nats.

    `deletion` starts with every slice and loses the first slices of an order, `insertion` starts
    with none and gains them; a curve (m) stands at `shares` of the slices. `top` is the likelihood
    when only the first TOP slices of an order are seen, `rest` when these are hidden, and `without`
    (n) when one slice is hidden. That of RANDOM is the mean of RANDOM_ORDERS orders.
    """

    attended: Attended
    shares: Float[np.ndarray, "m"]
    deletion: dict[str, Float[np.ndarray, "m"]]
    insertion: dict[str, Float[np.ndarray, "m"]]
    top: dict[str, float]
    rest: dict[str, float]
    without: Float[np.ndarray, "n"]

    @property
    def full(self) -> float:
        """The likelihood when every slice is seen."""
        return float(self.deletion[SCORES][0])

    def to_line(self) -> str:
        """Return a JSON line, without newline; figures are kept to six digits."""
        row = {"id": self.attended.id}
        for field in FIGURES:
            row[field] = _rounded(getattr(self, field))
        return json.dumps(row)

    @classmethod
    def from_line(cls, line: str, attended: Mapping[str, Attended]) -> Trial:
        """Return the trial of a line about one of the records, by id."""
        row = json_of(line)
        looked = attended[row["id"]]
        shares, without = _curve(row["shares"]), _curve(row["without"], len(looked.scores))
        curves = {
            name: {order: _curve(row[name][order], len(shares)) for order in ORDERS}
            for name in ("deletion", "insertion")
        }
        shown: dict[str, dict[str, float]] = {
            name: {order: float(_curve([row[name][order]])[0]) for order in ORDERS}
            for name in ("top", "rest")
        }
        return cls(looked, shares, **curves, **shown, without=without)  # type: ignore[arg-type]


def _curve(numbers: Any, length: int | None = None) -> Float[np.ndarray, "m"]:
    """Return a list of numbers of this length as an array; ValueError for anything else."""
    told = numbers if isinstance(numbers, list) else [None]
    if not all(type(number) is float or is_number(number) for number in told):
        raise ValueError("no numbers")
    if length not in (None, len(numbers)):
        raise ValueError("another number of figures")
    return np.array(numbers, dtype=float)


def trials(likelihoods: Likelihoods, questions: Sequence[Attended]) -> list[Trial]:
    """Return a trial of each question about one volume, all of which score the same slices."""
    n = len(questions[0].scores)
    shared = {RANDOM: random_orders(n, questions[0].volume), CENTRE: [centre_order(n)]}
    orders = [{SCORES: score_orders(question), **shared} for question in questions]
    asked = [_sets([*chain(*mine.values())], n) for mine in orders]
    # Sorted, so that the order of the questions changes nothing.
    places = {key: place for place, key in enumerate(sorted(set().union(*asked)))}
    keep = np.stack([np.frombuffer(key, dtype=bool) for key in places])
    wanted = np.zeros((len(keep), len(questions)), dtype=bool)
    for column, keys in enumerate(asked):
        wanted[[places[key] for key in keys], column] = True
    found = likelihoods(keep, wanted)
    columns = [dict(zip(places, column, strict=True)) for column in found.T.tolist()]
    return [_trial(*each) for each in zip(questions, orders, columns, strict=True)]


def _trial(
    question: Attended, orders: Mapping[str, Sequence[list[int]]], found: Mapping[bytes, float]
) -> Trial:
    """Return the trial of a question from the likelihoods of its answer, by sets of slices."""
    n = len(question.scores)
    counts = counts_of(n)

    def curve(name: str, points: Iterable[int], hidden: bool) -> Float[np.ndarray, "_m"]:
        """Return the mean over the orders of a name, their first slices hidden or alone seen."""
        ways = [[found[_kept(n, o[:c], hidden)] for c in points] for o in orders[name]]
        return np.mean(ways, axis=0)

    return Trial(
        question,
        counts / n,
        deletion={name: curve(name, counts.tolist(), hidden=True) for name in ORDERS},
        insertion={name: curve(name, counts.tolist(), hidden=False) for name in ORDERS},
        top={name: float(curve(name, [TOP], hidden=False)[0]) for name in ORDERS},
        rest={name: float(curve(name, [TOP], hidden=True)[0]) for name in ORDERS},
        without=np.array([found[_kept(n, [place], hidden=True)] for place in range(n)]),
    )


def _rounded(figure: Any) -> Any:
    """Return an array, a number, or a dict of such, as JSON to six digits."""
    if isinstance(figure, dict):
        return {name: _rounded(value) for name, value in figure.items()}
    return np.round(figure, 6).tolist()


def counts_of(n: int) -> Int[np.ndarray, "m"]:
    """Return the numbers of slices at which the curves of n slices are read, 0 and n included."""
    return np.unique(np.rint(np.array(SHARES) * n).astype(int))


def score_orders(question: Attended) -> list[list[int]]:
    """Return the slices from the highest score to the lowest, slices that tie in random order.

    There are as many orders as random ones, the same but where scores tie: scores that are all
    equal order nothing, and are worth just what random orders are.
    """
    scores = np.array(question.scores)
    drawn = random_orders(len(scores), question.volume)
    return [[order[i] for i in np.argsort(-scores[order], kind="stable")] for order in drawn]


def centre_order(n: int) -> list[int]:
    """Return the slices from the middle outwards."""
    return sorted(range(n), key=lambda place: (abs(place - (n - 1) / 2), place))


def random_orders(n: int, volume: str) -> list[list[int]]:
    """Return RANDOM_ORDERS orders that the name of the volume alone decides."""
    seed = int.from_bytes(sha256(volume.encode()).digest()[:8], "big")
    draws = np.random.default_rng(seed)
    return [draws.permutation(n).tolist() for _ in range(RANDOM_ORDERS)]


def _kept(n: int, slices: Sequence[int], hidden: bool) -> bytes:
    """Return the set of all slices but these, or of these alone, as a key."""
    keep = np.full(n, hidden)
    keep[list(slices)] = not hidden
    return keep.tobytes()


def _sets(orders: Sequence[list[int]], n: int) -> set[bytes]:
    """Return every set of slices that a question with these orders asks for."""
    counts = [*counts_of(n), TOP]
    ways = (True, False)
    keys = {_kept(n, order[:c], hidden) for order in orders for c in counts for hidden in ways}
    return keys | {_kept(n, [place], hidden=True) for place in range(n)}
