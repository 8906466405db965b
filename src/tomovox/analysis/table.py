"""How do the rows of all models stand in one table, and what is left of a p among many?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tomovox.analysis.rows import Row
from tomovox.files import write_csv
from tomovox.statistics.multiplicity import holm

if TYPE_CHECKING:
    import pandas

COLUMNS = (
    *("model", "seed", "statistic", "task", "question_type", "plane", "phase", "hidden"),
    *("value", "lo", "hi", "against", "baseline", "difference", "difference_lo", "difference_hi"),
    *("p", "p_adjusted", "n", "cases"),
)
"""The columns of attention.csv: Row says what they mean."""

PLACE = (*COLUMNS[:8], "against")
"""The columns that together name one row; rows are sorted by them."""

FAMILY = ("model", "seed", "statistic", "hidden", "against")
"""Rows that are equal in these test one claim: their p are corrected together."""

Run = tuple[str, int | None]
"""Model and seed; None for what several seeds have in common."""


def attention_table(found: Mapping[Run, Iterable[Row]]) -> pandas.DataFrame:
    """Return one line for each run, statistic, group and baseline, sorted by these.

    `p_adjusted` is Holm's over the rows of one FAMILY: a statistic of a run against a baseline.
    Numbers have the six digits that attention.csv keeps, and what is rounded to zero has no sign:
    whoever reads the file sees what was seen here.
    """
    import pandas

    lines = [
        {"model": model, "seed": seed, **asdict(row)}
        for (model, seed), rows in found.items()
        for row in rows
    ]
    frame = pandas.DataFrame(lines, columns=list(COLUMNS))
    frame["seed"] = frame["seed"].astype("Int64")
    family = frame.groupby(list(FAMILY), dropna=False)["p"]
    frame["p_adjusted"] = family.transform(lambda p: holm(p.to_numpy(dtype=float)))
    numbers = frame.select_dtypes("float").columns
    frame = frame.assign(**{name: np.round(frame[name], 6) + 0.0 for name in numbers})
    return frame.sort_values(list(PLACE), kind="stable", ignore_index=True)


def write_attention(frame: pandas.DataFrame, folder: Path) -> Path:
    """Write folder/attention.csv and return its path; its bytes depend on `frame`."""
    path = folder / "attention.csv"
    write_csv(frame, path)
    return path
