"""Which columns have tables of texts and of choices, and what does each compute exactly?

The metrics themselves stand in `text`, `meteor`, `bleu`, `bertscore` and `choices`.
"""

from __future__ import annotations

from collections.abc import Callable

from tomovox.metrics import bertscore, bleu, choices, text
from tomovox.metrics.meteor import meteor as meteor_of_pairs
from tomovox.metrics.metric import Metric, Rows
from tomovox.metrics.resources import Unavailable
from tomovox.schema import Task, TomovoxError


def sentence_bleu1(rows: Rows) -> list[float]:
    """Return BLEU-1 of each answer on its own."""
    return bleu.sentence_bleu(*_texts(rows), k=1)


def bleu_counts(k: int) -> Callable[[Rows], list[list[int]]]:
    """Return what measures the counts of BLEU-k, to be added over records."""
    return lambda rows: bleu.bleu_counts(*_texts(rows), k=k)


def rouge1(rows: Rows) -> list[float]:
    """Return ROUGE-1 F1 of each answer."""
    return text.rouge_n(*_texts(rows), n=1)


def rouge2(rows: Rows) -> list[float]:
    """Return ROUGE-2 F1 of each answer."""
    return text.rouge_n(*_texts(rows), n=2)


def rouge_l(rows: Rows) -> list[float]:
    """Return ROUGE-L F1 of each answer."""
    return text.rouge_l(*_texts(rows))


def meteor(rows: Rows) -> list[float]:
    """Return METEOR of each answer; raise Unavailable without WordNet."""
    return meteor_of_pairs(*_texts(rows))


def exact_match(rows: Rows) -> list[float]:
    """Return 1.0 where answer and reference are equal after normalisation."""
    return text.exact_match(*_texts(rows))


def bertscore_f1(rows: Rows) -> list[float]:
    """Return BERTScore F1 of each answer; raise Unavailable without an encoder."""
    return bertscore.bertscore_f1(*_texts(rows))


def accuracy_m3d(rows: Rows) -> list[float]:
    """Return 1.0 where the reference's letter and a dot stand anywhere in the answer."""
    return choices.choice_accuracy_m3d(*_texts(_letters_checked(rows)))


def accuracy(rows: Rows) -> list[float]:
    """Return 1.0 where the answer's parsed choice is the reference's."""
    return choices.choice_accuracy(*_texts(_letters_checked(rows)), [row.choices for row in rows])


def parsed_rate(rows: Rows) -> list[float]:
    """Return 1.0 where the answer names exactly one choice."""
    return choices.choice_parsed([row.text for row in rows], [row.choices for row in rows])


def _bertscore_details() -> str:
    try:
        encoder = bertscore.backbone()
    except Unavailable:
        return "avg:record|encoder:none"
    return f"avg:record|encoder:{encoder.name}|layer:{encoder.layer}|idf:no|rescale:no|empty:0"


def _texts(rows: Rows) -> tuple[list[str], list[str]]:
    return [row.text for row in rows], [row.reference for row in rows]


def _letters_checked(rows: Rows) -> Rows:
    for row in rows:
        try:
            choices.reference_letter(row.reference)
        except TomovoxError as error:
            raise TomovoxError(f"{row.id}: {error}") from None
    return rows


TEXT = (Task.REPORT, Task.CASE_REPORT, Task.VQA_OPEN, Task.REG)
CLOSED = (Task.VQA_CLOSED,)

SENTENCE_BLEU = "avg:record|tok:13a|case:mixed|smooth:none|empty:0"
CORPUS_BLEU = "avg:corpus|tok:13a|case:mixed|smooth:none|empty:0"
ROUGE = "avg:record|f1|stem:no|tok:az09|empty:0"
METEOR = "avg:record|tok:word_tokenize|wordnet:3.0|a:.9|b:3|g:.5|empty:0"

# Both protocols name the same function where they agree, so that it runs once.
TEXT_METRICS: dict[str, Metric] = {
    "accuracy.m3d": Metric(
        "accuracy",
        "m3d",
        CLOSED,
        "avg:record|rule:letter-dot-substring|case:mixed",
        "tomovox",
        accuracy_m3d,
        unit="percent",
        headline=True,
    ),
    "accuracy.standard": Metric(
        "accuracy",
        "standard",
        CLOSED,
        "avg:record|rule:parsed-choice|unparsed:wrong",
        "tomovox",
        accuracy,
        unit="percent",
        headline=True,
    ),
    "parsed_rate.standard": Metric(
        "parsed_rate",
        "standard",
        CLOSED,
        "avg:record|rule:parsed-choice",
        "tomovox",
        parsed_rate,
        unit="percent",
        headline=True,
    ),
    "bleu1.m3d": Metric(
        "bleu1", "m3d", TEXT, SENTENCE_BLEU, "sacrebleu", sentence_bleu1, headline=True
    ),
    "rouge1.m3d": Metric("rouge1", "m3d", TEXT, ROUGE, "tomovox", rouge1, headline=True),
    "meteor.m3d": Metric("meteor", "m3d", TEXT, METEOR, "nltk", meteor, headline=True),
    "bertscore_f1.m3d": Metric(
        "bertscore_f1", "m3d", TEXT, _bertscore_details, "bert-score", bertscore_f1, headline=True
    ),
    "bleu1.standard": Metric(
        "bleu1",
        "standard",
        TEXT,
        CORPUS_BLEU,
        "sacrebleu",
        bleu_counts(1),
        pool=bleu.bleu_of_counts,
        pool_rows=bleu.bleu_of_rows,
    ),
    "bleu2.standard": Metric(
        "bleu2",
        "standard",
        TEXT,
        CORPUS_BLEU,
        "sacrebleu",
        bleu_counts(2),
        pool=bleu.bleu_of_counts,
        pool_rows=bleu.bleu_of_rows,
    ),
    "bleu3.standard": Metric(
        "bleu3",
        "standard",
        TEXT,
        CORPUS_BLEU,
        "sacrebleu",
        bleu_counts(3),
        pool=bleu.bleu_of_counts,
        pool_rows=bleu.bleu_of_rows,
    ),
    "bleu4.standard": Metric(
        "bleu4",
        "standard",
        TEXT,
        CORPUS_BLEU,
        "sacrebleu",
        bleu_counts(4),
        pool=bleu.bleu_of_counts,
        pool_rows=bleu.bleu_of_rows,
        headline=True,
    ),
    "rouge1.standard": Metric("rouge1", "standard", TEXT, ROUGE, "tomovox", rouge1),
    "rouge2.standard": Metric("rouge2", "standard", TEXT, ROUGE, "tomovox", rouge2),
    "rougeL.standard": Metric("rougeL", "standard", TEXT, ROUGE, "tomovox", rouge_l, headline=True),
    "meteor.standard": Metric("meteor", "standard", TEXT, METEOR, "nltk", meteor),
    "exact_match.standard": Metric(
        "exact_match",
        "standard",
        TEXT,
        "avg:record|norm:squad|empty:0",
        "tomovox",
        exact_match,
        unit="percent",
        headline=True,
    ),
}
"""The metrics of texts and choices by "name.protocol", in the order of tables."""
