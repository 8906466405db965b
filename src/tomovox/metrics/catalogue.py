"""Which metrics are there, for which task, in which protocol, and what exactly does each compute?

Two protocols are kept apart: `m3d` is what the published code of M3D-Bench computes, `standard` is
what the name means elsewhere. A value per record is averaged; a metric of the whole corpus gives
counts per record, which are added and then pooled, so that a resample of records can be scored too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from tomovox.metrics import bertscore, bleu, choices, text
from tomovox.metrics.resources import Unavailable
from tomovox.schema import Prediction, Task, TomovoxError

Rows = Sequence[Prediction]
TEXT_TASKS = (Task.REPORT, Task.VQA_OPEN)
CLOSED_TASKS = (Task.VQA_CLOSED,)


@dataclass(frozen=True)
class Metric:
    """One column of a table: a name in a protocol.

    Exactly one of `values` (one number a record, averaged) and `counts` (numbers a record, added
    over the records and given to `pool`) is set. `unit` says how tables print the value: "percent"
    or "fraction"; the value itself is a fraction in both. `details` follow the name in the
    signature. `headline` metrics stand in the table of the terminal.
    """

    name: str
    protocol: str
    tasks: tuple[Task, ...]
    details: Callable[[], str]
    values: Callable[[Rows], list[float]] | None = None
    counts: Callable[[Rows], list[list[int]]] | None = None
    pool: Callable[[Sequence[float]], float] | None = None
    unit: str = "fraction"
    headline: bool = False

    def signature(self) -> str:
        """Return what the number means in one line, as sacrebleu does:
        "bleu1|avg:sentence|tok:13a|...".
        """
        return f"{self.name}|{self.details()}|v:1"


def metrics_of(task: Task) -> dict[str, Metric]:
    """Return the metrics of a task, in the order of tables."""
    return {key: metric for key, metric in METRICS.items() if task in metric.tasks}


def metric_key(name: str, protocol: str) -> str:
    """Return the key of METRICS: "bleu1.m3d"."""
    return f"{name}.{protocol}"


def _texts(rows: Rows) -> tuple[list[str], list[str]]:
    return [row.text for row in rows], [row.reference for row in rows]


def _letters_checked(rows: Rows) -> Rows:
    for row in rows:
        try:
            choices.reference_letter(row.reference)
        except TomovoxError as error:
            raise TomovoxError(f"{row.id}: {error}") from None
    return rows


# Both protocols name the same function where they agree, so that it runs once.
def _sentence_bleu1(rows: Rows) -> list[float]:
    return bleu.sentence_bleu(*_texts(rows), k=1)


def _rouge1(rows: Rows) -> list[float]:
    return text.rouge_n(*_texts(rows), n=1)


def _rouge2(rows: Rows) -> list[float]:
    return text.rouge_n(*_texts(rows), n=2)


def _rouge_l(rows: Rows) -> list[float]:
    return text.rouge_l(*_texts(rows))


def _meteor(rows: Rows) -> list[float]:
    return text.meteor(*_texts(rows))


def _exact_match(rows: Rows) -> list[float]:
    return text.exact_match(*_texts(rows))


def _bertscore_f1(rows: Rows) -> list[float]:
    return bertscore.bertscore_f1(*_texts(rows))


def _accuracy_m3d(rows: Rows) -> list[float]:
    return choices.choice_accuracy_m3d(*_texts(_letters_checked(rows)))


def _accuracy(rows: Rows) -> list[float]:
    return choices.choice_accuracy(*_texts(_letters_checked(rows)), [row.choices for row in rows])


def _parsed_rate(rows: Rows) -> list[float]:
    return choices.choice_parsed([row.text for row in rows], [row.choices for row in rows])


def _bleu_counts(k: int) -> Callable[[Rows], list[list[int]]]:
    return lambda rows: bleu.bleu_counts(*_texts(rows), k=k)


@cache
def _library(name: str) -> str:
    try:
        return f"{name}-{version(name)}"
    except PackageNotFoundError:
        return f"{name}-absent"


def _corpus_bleu_details() -> str:
    return "avg:corpus|tok:13a|case:mixed|smooth:none|lib:evaluate-compatible"


def _rouge_details() -> str:
    return "avg:sentence|f1|stem:no|tok:az09|lib:rouge-score-compatible"


def _meteor_details() -> str:
    return f"avg:sentence|tok:word_tokenize|wordnet:3.0|a:.9|b:3|g:.5|lib:{_library('nltk')}"


def _bertscore_details() -> str:
    try:
        encoder = bertscore.backbone()
    except Unavailable:
        return f"avg:sentence|encoder:none|lib:{_library('bert-score')}"
    which = f"encoder:{encoder.name}|layer:{encoder.layer}|idf:no|rescale:no"
    return f"avg:sentence|{which}|lib:{_library('bert-score')}"


METRICS: dict[str, Metric] = {
    "accuracy.m3d": Metric(
        "accuracy",
        "m3d",
        CLOSED_TASKS,
        lambda: "rule:letter-dot-substring|case:mixed",
        values=_accuracy_m3d,
        unit="percent",
        headline=True,
    ),
    "accuracy.standard": Metric(
        "accuracy",
        "standard",
        CLOSED_TASKS,
        lambda: "rule:parsed-choice|unparsed:wrong",
        values=_accuracy,
        unit="percent",
        headline=True,
    ),
    "parsed_rate.standard": Metric(
        "parsed_rate",
        "standard",
        CLOSED_TASKS,
        lambda: "rule:parsed-choice",
        values=_parsed_rate,
        unit="percent",
        headline=True,
    ),
    "bleu1.m3d": Metric(
        "bleu1",
        "m3d",
        TEXT_TASKS,
        lambda: "avg:sentence|tok:13a|case:mixed|smooth:none|empty:0|lib:evaluate-compatible",
        values=_sentence_bleu1,
        headline=True,
    ),
    "rouge1.m3d": Metric(
        "rouge1", "m3d", TEXT_TASKS, _rouge_details, values=_rouge1, headline=True
    ),
    "meteor.m3d": Metric(
        "meteor", "m3d", TEXT_TASKS, _meteor_details, values=_meteor, headline=True
    ),
    "bertscore_f1.m3d": Metric(
        "bertscore_f1",
        "m3d",
        TEXT_TASKS,
        _bertscore_details,
        values=_bertscore_f1,
        headline=True,
    ),
    "bleu1.standard": Metric(
        "bleu1",
        "standard",
        TEXT_TASKS,
        _corpus_bleu_details,
        counts=_bleu_counts(1),
        pool=bleu.bleu_of_counts,
    ),
    "bleu2.standard": Metric(
        "bleu2",
        "standard",
        TEXT_TASKS,
        _corpus_bleu_details,
        counts=_bleu_counts(2),
        pool=bleu.bleu_of_counts,
    ),
    "bleu3.standard": Metric(
        "bleu3",
        "standard",
        TEXT_TASKS,
        _corpus_bleu_details,
        counts=_bleu_counts(3),
        pool=bleu.bleu_of_counts,
    ),
    "bleu4.standard": Metric(
        "bleu4",
        "standard",
        TEXT_TASKS,
        _corpus_bleu_details,
        counts=_bleu_counts(4),
        pool=bleu.bleu_of_counts,
        headline=True,
    ),
    "rouge1.standard": Metric("rouge1", "standard", TEXT_TASKS, _rouge_details, values=_rouge1),
    "rouge2.standard": Metric("rouge2", "standard", TEXT_TASKS, _rouge_details, values=_rouge2),
    "rougeL.standard": Metric(
        "rougeL", "standard", TEXT_TASKS, _rouge_details, values=_rouge_l, headline=True
    ),
    "meteor.standard": Metric("meteor", "standard", TEXT_TASKS, _meteor_details, values=_meteor),
    "exact_match.standard": Metric(
        "exact_match",
        "standard",
        TEXT_TASKS,
        lambda: "avg:sentence|norm:squad|empty:0",
        values=_exact_match,
        unit="percent",
        headline=True,
    ),
}
"""Every metric by "name.protocol", in the order of tables."""
