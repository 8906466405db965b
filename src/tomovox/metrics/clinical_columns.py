"""Which columns say if a report names the right findings? They count where labels are given.

Labels come from outside of the predictions: those of the references from a file or a labeller,
those of the answers from a labeller. Without them these metrics count no record, so that a table
has no such column; `labelled` gives them what they need.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tomovox.metrics import labels
from tomovox.metrics.metric import Metric, Rows
from tomovox.metrics.resources import Unavailable
from tomovox.schema import Task

CLINICAL = (Task.REPORT, Task.CASE_REPORT)
"""The tasks whose answers are reports."""

Findings = Mapping[str, tuple[Collection[str], Collection[str]]]
"""Id of a record -> the findings of its answer and those of its reference."""


def unlabelled(rows: Rows) -> list[None]:
    """Return that no record counts: nobody gave labels."""
    return [None] * len(rows)


def summed(counts: list[int] | None) -> list[int] | None:
    """Return tp, fp, fn and the number of labels of a record; None where it has no labels."""
    return None if counts is None else labels.summed(counts)


MACRO = "avg:label|no-positive:left-out|none-said:0"
MICRO = "avg:label-and-record|no-positive:none|none-said:0"
POOLED = "avg:pooled|trivial:0.333"
OUTSIDE = "avg:record"


def _column(name: str, details: str, **how: Any) -> Metric:
    return Metric(name, "standard", CLINICAL, details, "tomovox", unlabelled, headline=True, **how)


def _pooled(name: str, details: str, of: Callable[[Any], Any], **how: Any) -> Metric:
    return _column(name, details, pool=of, pool_rows=of, **how)


_COLUMNS = (
    _pooled("f1_macro", MACRO, labels.f1_macro),
    _pooled("precision_macro", MACRO, labels.precision_macro),
    _pooled("recall_macro", MACRO, labels.recall_macro),
    _pooled("f1_micro", MICRO, labels.f1_micro, part=summed),
    _pooled("precision_micro", MICRO, labels.precision_micro, part=summed),
    _pooled("recall_micro", MICRO, labels.recall_micro, part=summed),
    _pooled("crg", POOLED, labels.crg, part=summed, trivial=labels.TRIVIAL_CRG),
    *(_column(name, OUTSIDE) for name in ("radgraph_f1", "ratescore", "green")),
)
CLINICAL_METRICS = {f"{metric.name}.{metric.protocol}": metric for metric in _COLUMNS}
"""The clinical metrics of reports by "name.protocol", in the order of tables."""

OF_LABELS = frozenset(key for key, m in CLINICAL_METRICS.items() if m.details != OUTSIDE)
"""Those that compare findings; the others compare texts."""


def of_labels(found: Findings, names: Sequence[str], details: str) -> list[Metric]:
    """Return the metrics of labels with what they measure: the agreement on the labels `names`.

    `details`, such as "references:labels.csv|labeller:rule-2", go into their signatures. A record
    without findings does not count.
    """

    def measure(rows: Rows) -> list[list[int] | None]:
        pairs = [found.get(row.id) for row in rows]
        return [None if p is None else labels.label_counts(*p, names) for p in pairs]

    given = f"labels:{len(names)}|{details}"
    mine = (m for key, m in CLINICAL_METRICS.items() if key in OF_LABELS)
    return [replace(m, measure=measure, details=f"{m.details}|{given}") for m in mine]


def of_values(key: str, values: Mapping[str, float], details: str) -> Metric:
    """Return a metric of CLINICAL_METRICS that takes the value of each record from `values`."""

    def measure(rows: Rows) -> list[float | None]:
        return [values.get(row.id) for row in rows]

    metric = CLINICAL_METRICS[key]
    return replace(metric, measure=measure, details=f"{metric.details}|{details}")


def without(metrics: Sequence[Metric], reason: str) -> list[Metric]:
    """Return metrics that could not be computed, for a reason that tables print."""

    def measure(rows: Rows) -> list[None]:
        raise Unavailable(reason)

    return [replace(metric, measure=measure) for metric in metrics]
