"""How is a row of a table called in MLflow? Rows become metrics: a name and a number.

A row may be of results.json, table.csv, reliance.csv or attention.csv. What has no number (None or
NaN) is no metric, and is never logged as 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from tomovox.schema import NONE

STATISTICS = ("lo", "hi", "difference", "p_adjusted")
"""Columns of a compared row that become metrics; the others stand in the table alone."""

Row = Mapping[str, Any]
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def in_a_name(part: object) -> str:
    """Return a text in characters that MLflow allows in names."""
    return _NOT_IN_A_NAME.sub("_", str(part))


def metric_name(row: Row) -> str:
    """Return "vqa_closed.plane.accuracy.standard" of a row."""
    parts = ("task", "question_type", "metric", "protocol")
    return ".".join(in_a_name(row[part]) for part in parts)


def score_metrics(rows: Iterable[Row]) -> dict[str, float]:
    """Return every score as task.type.metric.protocol and its n as the same name with ".n"."""
    found: dict[str, float | None] = {}
    for row in rows:
        name = metric_name(row)
        found |= {name: row["value"], f"{name}.n": row["n"]}
    return _numbers(found)


def unavailable_tags(rows: Iterable[Row]) -> dict[str, str]:
    """Return why scores have no number, as "unavailable.<name>"."""
    return {
        f"unavailable.{metric_name(row)}": str(row.get("note", ""))
        for row in rows
        if not _is_number(row["value"])
    }


def compared_metrics(rows: Iterable[Row]) -> dict[str, float]:
    """Return what a comparison adds to some scores of a run, and the scores under controls.

    A row of the model itself gives its STATISTICS as task.type.metric.protocol.lo and so on, a row
    of a control its value as control.<control>.task.type.metric.protocol. Give the rows of a task's
    primary metric: for every row of a table these were more metrics than MLflow shows well, and the
    table is an artifact of the parent.
    """
    found: dict[str, float | None] = {}
    for row in rows:
        name = metric_name(row)
        if row["control"] == NONE:
            found |= {f"{name}.{column}": row[column] for column in STATISTICS}
        else:
            found[f"control.{in_a_name(row['control'])}.{name}"] = row["value"]
    return _numbers(found)


def reliance_metrics(rows: Iterable[Row]) -> dict[str, float]:
    """Return the visual reliance of a run as reliance.<control>.task.type."""
    columns = ("control", "task", "question_type")
    return _numbers({_joined("reliance", row, columns): row["reliance"] for row in rows})


def attention_metrics(rows: Iterable[Row]) -> dict[str, float]:
    """Return where a run looked as attention.<statistic>[.<hidden>].task.type."""
    columns = ("statistic", "hidden", "task", "question_type")
    return _numbers({_joined("attention", row, columns): row["value"] for row in rows})


def _joined(first: str, row: Row, columns: Iterable[str]) -> str:
    return ".".join([first, *(in_a_name(row[column]) for column in columns if row[column])])


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if _is_number(value)}


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and not math.isnan(value)
