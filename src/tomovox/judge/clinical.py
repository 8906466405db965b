"""Which findings have a run's answers and their references? As a file, and as metrics.

Nothing here labels: `tomovox score --labels` and experiments write the file, scoring reads it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tomovox.files import write_atomically
from tomovox.metrics.catalogue import METRICS, metric_key
from tomovox.metrics.clinical_columns import CLINICAL, of_labels, of_values, unlabelled, without
from tomovox.metrics.metric import Metric
from tomovox.parsed import is_number, read_object
from tomovox.schema import Prediction, TomovoxError

CLINICAL_FILE = "clinical.json"
"""The file of a RUN folder with what labellers and scorers say of its reports."""

LABELS = "labels"
"""What `unavailable` calls all metrics that compare findings."""

AGAIN = "run tomovox score with --labels or --scorer again, or remove the file"


@dataclass(frozen=True)
class LabelledAnswer:
    """The findings that an answer and its reference have, and the values of scorers, by metric.

    `key` is the digest of both texts.
    """

    key: str
    said: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Labelled:
    """What is known of the reports of a run, by the id of their record.

    `labels` are the findings that were looked for, none where no labels were asked for. The
    `labeller`, found again by what was `asked` for, read the answers; `references` is the file or
    the labeller that the labels of the references come from. `scorers` has what goes into the
    signature of each metric with values, and `unavailable` why one, or LABELS, could not be made.
    """

    labels: tuple[str, ...] = ()
    labeller: str = ""
    asked: str = ""
    references: str = ""
    answers: Mapping[str, LabelledAnswer] = field(default_factory=dict)
    scorers: Mapping[str, str] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """What the signature of a metric of labels says of where they come from."""
        return f"references:{_plain(self.references)}|labeller:{_plain(self.labeller)}"

    def metrics(self) -> list[Metric]:
        """Return the metrics that can be computed, and those that could not, with the reason."""
        pairs = {record: (mine.said, mine.wanted) for record, mine in self.answers.items()}
        found: list[Metric] = []
        if self.labels:
            mine = of_labels(pairs, self.labels, self.told)
            reason = self.unavailable.get(LABELS)
            found += mine if reason is None else without(mine, reason)
        for name, details in self.scorers.items():
            values = {r: a.values[name] for r, a in self.answers.items() if name in a.values}
            one = of_values(metric_key(name, "standard"), values, details)
            reason = self.unavailable.get(name)
            found += [one] if reason is None else without([one], reason)
        return found

    def after(self, earlier: Labelled | None) -> Labelled:
        """Return this, and of the same answers what was only known `earlier`."""
        keys = {record: mine.key for record, mine in self.answers.items()}
        if earlier is None or keys != {r: mine.key for r, mine in earlier.answers.items()}:
            return self
        base = self if self.labels else replace(earlier, scorers={}, unavailable={})
        old, new = earlier.unavailable, self.unavailable
        made_again = {*self.scorers, *([LABELS] if self.labels else [])}
        values = {r: {**earlier.answers[r].values, **m.values} for r, m in self.answers.items()}
        answers = {r: replace(mine, values=values[r]) for r, mine in base.answers.items()}
        return replace(
            base,
            answers=answers,
            scorers={**earlier.scorers, **self.scorers},
            unavailable={k: why for k, why in old.items() if k not in made_again} | dict(new),
        )


def answer_key(prediction: Prediction) -> str:
    """Return the digest of an answer and its reference."""
    texts = json.dumps([prediction.reference, prediction.text])
    return hashlib.sha256(texts.encode()).hexdigest()[:16]


def clinical_metrics(folder: Path, predictions: Iterable[Prediction]) -> list[Metric]:
    """Return the clinical metrics of a RUN folder; none where nothing was labelled.

    Raises TomovoxError for a bad file, and for one that is of other answers.
    """
    found = read_labelled(folder)
    if found is None:
        return []
    for prediction in predictions:
        if prediction.task in CLINICAL:
            mine = found.answers.get(prediction.id)
            if mine is None or mine.key != answer_key(prediction):
                raise TomovoxError(
                    f"{folder / CLINICAL_FILE}: has labels of another answer to {prediction.id}; "
                    f"{AGAIN}"
                )
    return found.metrics()


def one_labelling(runs: Mapping[str, Labelled]) -> tuple[str, ...]:
    """Return the labels that runs, by their names, were compared by; none where none has labels.

    Raises TomovoxError where two have other labels, or other ones of a reference: the tables were
    changed between them, and their answers would be compared with two truths.
    """
    first: dict[str, tuple[str, tuple[str, ...]]] = {}
    for name, run in runs.items():
        if not run.labels or LABELS in run.unavailable:
            continue
        truth = {"": run.labels} | {record: mine.wanted for record, mine in run.answers.items()}
        for record, mine in truth.items():
            other, same = first.setdefault(record, (name, mine))
            if same != mine:
                raise TomovoxError(
                    f"{record or 'findings'}: {other} and {name} have other labels of references; "
                    f"run tomovox score on both with the same --labels"
                )
    return first[""][1] if first else ()


def write_labelled(folder: Path, labelled: Labelled) -> None:
    """Write folder/clinical.json, whole or not."""
    text = json.dumps(asdict(labelled), ensure_ascii=False, indent=1)
    write_atomically(folder / CLINICAL_FILE, text + "\n")


def read_labelled(folder: Path) -> Labelled | None:
    """Return what folder/clinical.json holds, None without the file; TomovoxError for a bad one."""
    path = folder / CLINICAL_FILE
    if not path.is_file():
        return None
    row = read_object(path, AGAIN)
    right = row.keys() == {each.name for each in fields(Labelled)} and (
        isinstance(row["labeller"], str)
        and isinstance(row["asked"], str)
        and isinstance(row["references"], str)
        and _are_texts(row["labels"])
        and _are_texts_by_name(row["scorers"])
        and _are_texts_by_name(row["unavailable"])
        and isinstance(row["answers"], dict)
        and all(map(_is_answer, row["answers"].values()))
        and all(_is_outside(name) for name in row["scorers"])
    )
    if not right:
        raise TomovoxError(f"{path}: does not hold the labels of a run's reports; {AGAIN}")
    answers = {record: LabelledAnswer(**_tuples(mine)) for record, mine in row["answers"].items()}
    return Labelled(**_tuples(row) | {"answers": answers})


def _tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


def _is_answer(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and row.keys() == {each.name for each in fields(LabelledAnswer)}
        and isinstance(row["key"], str)
        and _are_texts(row["said"])
        and _are_texts(row["wanted"])
        and isinstance(row["values"], dict)
        and all(map(is_number, row["values"].values()))
    )


def _is_outside(name: str) -> bool:
    known = METRICS.get(metric_key(name, "standard"))
    return known is not None and known.measure is unlabelled and known.pool_rows is None


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _are_texts_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _plain(name: str) -> str:
    """Return a name as a signature can hold it."""
    return re.sub(r"[^\w.+-]+", "-", name)
