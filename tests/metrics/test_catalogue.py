"""Which laws does every metric of the catalogue obey?"""

import math
import random
from statistics import fmean

import pytest

from tomovox.metrics.catalogue import METRICS, Metric, metric_key, metrics_of
from tomovox.schema import Prediction, Task, TomovoxError

CHOICES = ("liver", "spleen", "left kidney", "kidney")
SENTENCES = [
    "There is a simple cyst of 3.2 cm in the right lobe of the liver.",
    "No pleural effusion is seen on either side of the chest.",
    "The spleen is enlarged and reaches the left iliac fossa today.",
    "Compared with the last scan the nodule has not changed its size.",
]
NEEDS = {"meteor": pytest.mark.needs_wordnet, "bertscore_f1": pytest.mark.needs_minilm}
ALL = [pytest.param(m, id=k, marks=NEEDS.get(m.name, ())) for k, m in METRICS.items()]


def records(metric: Metric, answers: list[str], references: list[str]) -> list[Prediction]:
    task = metric.tasks[0]
    return [
        Prediction(f"r{i}", task, f"c{i}", "q", reference, answer, "", CHOICES)
        for i, (answer, reference) in enumerate(zip(answers, references, strict=True))
    ]


def value_of(metric: Metric, rows: list[Prediction]) -> float:
    if metric.values:
        return fmean(metric.values(rows))
    return metric.pool([sum(column) for column in zip(*metric.counts(rows), strict=True)])


def references_of(metric: Metric) -> list[str]:
    if Task.VQA_CLOSED in metric.tasks:
        return [f"{letter}. {text}" for letter, text in zip("ABCD", CHOICES, strict=True)]
    return SENTENCES


def shuffled_answers(metric: Metric) -> list[str]:
    references = references_of(metric)
    return references[1:] + references[:1]


@pytest.mark.parametrize(("key", "metric"), METRICS.items())
def test_a_metric_stands_under_its_name_and_protocol(key, metric):
    assert key == metric_key(metric.name, metric.protocol)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_metric_is_averaged_or_pooled(metric):
    assert (metric.values is None) == (metric.counts is not None) == (metric.pool is not None)


@pytest.mark.parametrize("metric", ALL)
def test_the_reference_itself_scores_best(metric):
    same = value_of(metric, records(metric, references_of(metric), references_of(metric)))
    other = value_of(metric, records(metric, shuffled_answers(metric), references_of(metric)))
    # METEOR takes .5 / m^3 off a perfect text of m words.
    assert same == pytest.approx(1.0, abs=1e-3)
    assert same > other or metric.name == "parsed_rate"


@pytest.mark.parametrize("metric", ALL)
def test_a_value_lies_between_0_and_1(metric):
    answers = ["", "A. liver", SENTENCES[1], "no"]
    assert 0.0 <= value_of(metric, records(metric, answers, references_of(metric))) <= 1.0


@pytest.mark.parametrize("metric", ALL)
def test_the_order_of_records_does_not_matter(metric):
    rows = records(metric, shuffled_answers(metric), references_of(metric))
    other = random.Random(1).sample(rows, len(rows))
    assert value_of(metric, rows) == pytest.approx(value_of(metric, other), abs=1e-12)


@pytest.mark.parametrize("metric", ALL)
def test_there_is_one_number_or_row_of_counts_per_record(metric):
    rows = records(metric, references_of(metric), references_of(metric))
    assert len((metric.values or metric.counts)(rows)) == len(rows)


@pytest.mark.parametrize("metric", ALL)
def test_an_empty_answer_scores_zero(metric):
    references = references_of(metric)
    assert value_of(metric, records(metric, [""] * len(references), references)) == 0.0


@pytest.mark.parametrize("metric", ALL)
def test_no_records_give_no_values(metric):
    assert (metric.values or metric.counts)([]) == []


@pytest.mark.parametrize("metric", ALL)
def test_a_signature_is_one_line_of_fields_after_the_name(metric):
    name, *fields = metric.signature().split("|")
    assert name == metric.name
    assert all(":" in field or field == "f1" for field in fields)
    assert not math.isnan(len(fields)) and "\n" not in metric.signature()


def test_the_two_protocols_of_one_name_have_two_signatures_where_they_differ():
    assert METRICS["accuracy.m3d"].signature() != METRICS["accuracy.standard"].signature()
    assert METRICS["bleu1.m3d"].signature() != METRICS["bleu1.standard"].signature()


def test_the_tasks_of_text_and_choice_have_metrics():
    assert list(metrics_of(Task.REPORT)) == list(metrics_of(Task.VQA_OPEN))
    assert {m.name for m in metrics_of(Task.VQA_CLOSED).values()} == {"accuracy", "parsed_rate"}


def test_a_closed_reference_without_letter_names_the_record():
    metric = METRICS["accuracy.m3d"]
    with pytest.raises(TomovoxError, match=r"^r0: reference 'liver'"):
        metric.values(records(metric, ["A"], ["liver"]))
