"""How does somebody who works with `evaluate` use these metrics? As evaluate.Metric.

`evaluate` ships no metric scripts: evaluate.load("bleu") needs a hub. These objects need none, and
evaluate.combine takes them as they are. Nothing in the scoring of a run imports this file.
"""

from __future__ import annotations

from typing import Any

# At the top, against the custom of this project: the base class is needed to define the classes.
import datasets
import evaluate

from tomovox.metrics.catalogue import METRICS, Metric, metric_key
from tomovox.schema import Prediction, TomovoxError


class OfflineMetric(evaluate.Metric):
    """One metric of the catalogue: compute(predictions=texts, references=texts) -> {name: value}.

    `key` is a key of METRICS, as "bleu1.m3d"; the result is named "bleu1_m3d". Raises TomovoxError
    for an unknown key and, when it computes, for an empty input and for a metric that needs more
    than texts. References of closed questions are written "B. liver"; the texts of the choices are
    not known here.
    """

    def __init__(self, key: str, **options: Any) -> None:
        if key not in METRICS:
            raise TomovoxError(f"no metric {key!r}; known: {', '.join(METRICS)}")
        self.metric: Metric = METRICS[key]
        self.result = key.replace(".", "_")
        super().__init__(config_name=self.result, **{"keep_in_memory": True, **options})

    def _info(self) -> evaluate.MetricInfo:
        texts = {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
        return evaluate.MetricInfo(
            description=self.metric.signature(),
            citation="",
            inputs_description="predictions and references: texts of equal number",
            features=datasets.Features(texts),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        task = self.metric.tasks[0]
        pairs = zip(predictions, references, strict=True)
        rows = [
            Prediction(str(i), task, str(i), "", reference, said)
            for i, (said, reference) in enumerate(pairs)
        ]
        if not rows:
            raise TomovoxError(f"{self.result}: no predictions; give at least one")
        value = self.metric.over(self.metric.contributions(rows))
        if value is None:
            raise TomovoxError(f"{self.result}: texts alone give it no value; score a run")
        return {self.result: value}


class SentenceBleu1(OfflineMetric):
    """BLEU-1 of each pair, averaged: M3D-Bench's "BLEU"."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metric_key("bleu1", "m3d"), **options)


class CorpusBleu4(OfflineMetric):
    """BLEU-4 with counts pooled over the corpus."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metric_key("bleu4", "standard"), **options)


class Rouge1(OfflineMetric):
    """ROUGE-1 F1 without stemming, averaged."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metric_key("rouge1", "standard"), **options)


class RougeL(OfflineMetric):
    """ROUGE-L F1 without stemming, averaged."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metric_key("rougeL", "standard"), **options)


class Meteor(OfflineMetric):
    """METEOR, averaged; raises Unavailable without WordNet 3.0."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metric_key("meteor", "standard"), **options)


class ExactMatch(OfflineMetric):
    """Share of predictions that equal their reference but for case, punctuation and articles."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metric_key("exact_match", "standard"), **options)
