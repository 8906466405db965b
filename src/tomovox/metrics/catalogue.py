"""Which metrics are there, for which task, in which protocol?

Two protocols are kept apart: `m3d` is what the published code of M3D-Bench computes, `standard` is
what the name means elsewhere. The columns of a family stand in the file of that family.
"""

from tomovox.metrics.choice_columns import CHOICE_METRICS
from tomovox.metrics.clinical_columns import CLINICAL_METRICS
from tomovox.metrics.metric import Metric
from tomovox.metrics.place_columns import PLACE_METRICS
from tomovox.metrics.retrieval_columns import PAIR_METRICS
from tomovox.metrics.text_columns import TEXT_METRICS
from tomovox.schema import Task

METRICS: dict[str, Metric] = {
    **TEXT_METRICS,
    **CLINICAL_METRICS,
    **CHOICE_METRICS,
    **PLACE_METRICS,
    **PAIR_METRICS,
}
"""Every metric by "name.protocol", in the order of tables."""


def metrics_of(task: Task) -> dict[str, Metric]:
    """Return the metrics of a task, in the order of tables."""
    return {key: metric for key, metric in METRICS.items() if task in metric.tasks}


def metric_key(name: str, protocol: str) -> str:
    """Return the key of METRICS: "bleu1.m3d"."""
    return f"{name}.{protocol}"
