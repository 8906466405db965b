"""What is one column of a table? A name in a protocol, and how it is made of predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from math import isnan
from statistics import fmean
from typing import Any

from tomovox.schema import Prediction, Task

Rows = Sequence[Prediction]

Contribution = float | list[int] | None
"""What a record gives to a metric: a number, counts to be added, or nothing: it is not counted."""

PROTOCOLS = {"m3d": 1, "standard": 1}
"""Protocol -> version; it grows when a number of the protocol changes its meaning."""


def whole(measurement: Any) -> Any:
    """Return the measurement itself: the part of it that is the contribution."""
    return measurement


@dataclass(frozen=True)
class Metric:
    """One column of a table: a name in a protocol.

    `measure` makes one measurement a record, and several metrics may share it, so that a scorer
    runs it once; `part` is what a record contributes of it. Records that contribute None are left
    out of mean and n. Contributions are averaged; with `pool`, numbers are given to it as they are
    and counts are added up first; `pool_rows`, where there is one, is `pool` of many rows of counts
    at once, as a bootstrap asks for thousands. A pool gives nan where there is no value.

    `unit` says how tables print the value: "percent" and "fraction" are fractions, "rank" counts
    from 1. `details` and the version of the package `library`, which computes the number or its
    tokens, follow the name in the signature. `headline` metrics stand in the table of the terminal.
    `trivial` is the value of answers that say nothing of the case, where that is one number for all
    data: heads of tables print it.
    """

    name: str
    protocol: str
    tasks: tuple[Task, ...]
    details: str | Callable[[], str]
    library: str
    measure: Callable[[Rows], Sequence[Any]]
    part: Callable[[Any], Contribution] = whole
    pool: Callable[[Sequence[float]], Any] = fmean
    pool_rows: Callable[[Any], Any] | None = None
    unit: str = "fraction"
    lower_is_better: bool = False
    headline: bool = False
    trivial: float | None = None

    def contributions(self, rows: Rows) -> list[Contribution]:
        """Return what each record contributes, in the order of `rows`."""
        return [self.part(measurement) for measurement in self.measure(rows)]

    def over(self, contributions: Sequence[Contribution]) -> float | None:
        """Return the value of records that contribute so; None without one, or when none counts."""
        counted: Any = [each for each in contributions if each is not None]
        if not counted:
            return None
        if isinstance(counted[0], list):
            counted = [sum(column) for column in zip(*counted, strict=True)]
        value = float(self.pool(counted))
        return None if isnan(value) else value

    def signature(self) -> str:
        """Return what the number means in one line, as sacrebleu does:
        "bleu1|avg:record|tok:13a|...|protocol:m3d|v:1".
        """
        details = self.details if isinstance(self.details, str) else self.details()
        protocol = f"protocol:{self.protocol}|v:{PROTOCOLS[self.protocol]}"
        return f"{self.name}|{details}|lib:{_release(self.library)}|{protocol}"


@cache
def _release(name: str) -> str:
    try:
        return f"{name}-{version(name)}"
    except PackageNotFoundError:
        return f"{name}-absent"
