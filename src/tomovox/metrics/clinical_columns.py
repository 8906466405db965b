"""Which columns say if a report names the right findings? They count where labels are given.

Labels come from outside of the predictions: those of the references from a file or a labeller,
those of the answers from a labeller. Without them these metrics count no record, so that a table
has no such column; `labelled` gives them what they need.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

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

CLINICAL_METRICS: dict[str, Metric] = {
    "f1_macro.standard": Metric(
        "f1_macro",
        "standard",
        CLINICAL,
        MACRO,
        "tomovox",
        unlabelled,
        pool=labels.f1_macro,
        pool_rows=labels.f1_macro,
        headline=True,
    ),
    "precision_macro.standard": Metric(
        "precision_macro",
        "standard",
        CLINICAL,
        MACRO,
        "tomovox",
        unlabelled,
        pool=labels.precision_macro,
        pool_rows=labels.precision_macro,
        headline=True,
    ),
    "recall_macro.standard": Metric(
        "recall_macro",
        "standard",
        CLINICAL,
        MACRO,
        "tomovox",
        unlabelled,
        pool=labels.recall_macro,
        pool_rows=labels.recall_macro,
        headline=True,
    ),
    "f1_micro.standard": Metric(
        "f1_micro",
        "standard",
        CLINICAL,
        MICRO,
        "tomovox",
        unlabelled,
        summed,
        pool=labels.f1_micro,
        pool_rows=labels.f1_micro,
        headline=True,
    ),
    "precision_micro.standard": Metric(
        "precision_micro",
        "standard",
        CLINICAL,
        MICRO,
        "tomovox",
        unlabelled,
        summed,
        pool=labels.precision_micro,
        pool_rows=labels.precision_micro,
        headline=True,
    ),
    "recall_micro.standard": Metric(
        "recall_micro",
        "standard",
        CLINICAL,
        MICRO,
        "tomovox",
        unlabelled,
        summed,
        pool=labels.recall_micro,
        pool_rows=labels.recall_micro,
        headline=True,
    ),
    "crg.standard": Metric(
        "crg",
        "standard",
        CLINICAL,
        POOLED,
        "tomovox",
        unlabelled,
        summed,
        pool=labels.crg,
        pool_rows=labels.crg,
        headline=True,
        trivial=labels.TRIVIAL_CRG,
    ),
    "radgraph_f1.standard": Metric(
        "radgraph_f1",
        "standard",
        CLINICAL,
        OUTSIDE,
        "tomovox",
        unlabelled,
        headline=True,
    ),
    "ratescore.standard": Metric(
        "ratescore",
        "standard",
        CLINICAL,
        OUTSIDE,
        "tomovox",
        unlabelled,
        headline=True,
    ),
    "green.standard": Metric(
        "green",
        "standard",
        CLINICAL,
        OUTSIDE,
        "tomovox",
        unlabelled,
        headline=True,
    ),
}
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
