"""Which laws does every metric of the catalogue obey?"""

import random

import numpy as np
import pytest
from law_rows import CHOICES, exchanged, perfect, records, silent, with_labels

from tomovox.metrics.catalogue import Metric, metric_key, metrics_of
from tomovox.metrics.choice_columns import CHOICE_METRICS, every_order
from tomovox.metrics.clinical_columns import CLINICAL_METRICS
from tomovox.metrics.metric import PROTOCOLS
from tomovox.metrics.place_columns import PLACE_METRICS
from tomovox.metrics.retrieval_columns import PAIR_METRICS
from tomovox.metrics.text_columns import TEXT_METRICS
from tomovox.schema import Task, TomovoxError

METRICS = with_labels()
NEEDS = {"meteor": pytest.mark.needs_wordnet, "bertscore_f1": pytest.mark.needs_minilm}
ALL = [pytest.param(k, id=k, marks=NEEDS.get(m.name, ())) for k, m in METRICS.items()]
STANDARD = [p for p in ALL if p.values[0].endswith(".standard")]

DATA_ONLY = {f"chance_r{k}.standard" for k in (1, 5, 10)}
"""What says something of the records, not of the answers."""

OF_MANY = {
    key for key, m in METRICS.items() if m.tasks == (Task.RETRIEVAL,) or m.measure is every_order
}
"""What a record contributes here depends on others: its gallery, its question's other orders."""

SILENT = {
    "iou.m3d": -1.0,  # three records, none with two boxes
    "refusal_rate.standard": 1.0,
    # twelve records that all score the same: they stay in order, or the wrong ones come first
    **{f"{way}_r{k}.m3d": k / 12 for way in ("i2t", "t2i") for k in (1, 5, 10)},
    **{f"{way}_median_rank.m3d": 6.5 for way in ("i2t", "t2i")},
    **{f"{way}_median_rank.standard": 12.0 for way in ("i2t", "t2i")},
    **{f"chance_r{k}.standard": k / 12 for k in (1, 5, 10)},
    "crg.standard": 1 / 3,
}
"""What answers without any content score; 0 where nothing stands here."""


def value_of(metric: Metric, rows) -> float:
    return metric.over(metric.contributions(rows))


def best_of(metric: Metric) -> float:
    return 1.0 if metric.unit == "rank" or not metric.lower_is_better else 0.0


@pytest.mark.parametrize(("key", "metric"), METRICS.items())
def test_a_metric_stands_under_its_name_and_protocol(key, metric):
    assert key == metric_key(metric.name, metric.protocol) and metric.protocol in PROTOCOLS


def test_no_two_families_name_the_same_metric():
    families = (TEXT_METRICS, CLINICAL_METRICS, CHOICE_METRICS, PLACE_METRICS, PAIR_METRICS)
    assert sum(map(len, families)) == len(METRICS)


@pytest.mark.parametrize("key", ALL)
def test_no_answer_is_better_than_the_reference(key, tmp_path):
    metric = METRICS[key]
    task = metric.tasks[0]
    same = value_of(metric, perfect(task, tmp_path))
    for make in (exchanged, silent):
        other = value_of(metric, make(task, tmp_path))
        assert (same <= other) if metric.lower_is_better else (same >= other)


@pytest.mark.parametrize("key", [p for p in ALL if p.values[0] not in DATA_ONLY])
def test_some_answer_is_worse_than_the_reference(key, tmp_path):
    metric = METRICS[key]
    task = metric.tasks[0]
    values = [value_of(metric, make(task, tmp_path)) for make in (perfect, exchanged, silent)]
    assert len(set(values)) > 1


@pytest.mark.parametrize("key", [p for p in STANDARD if p.values[0] not in DATA_ONLY])
def test_the_reference_itself_reaches_the_best_value(key, tmp_path):
    metric = METRICS[key]
    same = value_of(metric, perfect(metric.tasks[0], tmp_path))
    # METEOR takes .5 / m^3 off a perfect text of m words.
    assert same == pytest.approx(best_of(metric), abs=1e-3)


@pytest.mark.parametrize("make", [perfect, exchanged, silent])
@pytest.mark.parametrize("key", ALL)
def test_a_value_lies_in_its_range(key, make, tmp_path):
    metric = METRICS[key]
    low, high = (1, 12) if metric.unit == "rank" else (-1 if key == "iou.m3d" else 0, 1)
    assert low <= value_of(metric, make(metric.tasks[0], tmp_path)) <= high


@pytest.mark.parametrize("key", ALL)
def test_the_order_of_records_does_not_matter(key, tmp_path):
    metric = METRICS[key]
    rows = exchanged(metric.tasks[0], tmp_path)
    order = random.Random(1).sample(range(len(rows)), len(rows))
    there = metric.contributions(rows)
    assert metric.contributions([rows[i] for i in order]) == [
        pytest.approx(there[i], abs=1e-6) for i in order
    ]


@pytest.mark.parametrize("key", [p for p in ALL if p.values[0] not in OF_MANY])
def test_batches_give_the_contributions_of_the_whole(key, tmp_path):
    metric = METRICS[key]
    rows = exchanged(metric.tasks[0], tmp_path)
    parts = metric.contributions(rows[:1]) + metric.contributions(rows[1:])
    assert parts == [pytest.approx(each, abs=1e-6) for each in metric.contributions(rows)]


@pytest.mark.parametrize("key", ALL)
def test_there_is_one_contribution_per_record(key, tmp_path):
    metric = METRICS[key]
    rows = perfect(metric.tasks[0], tmp_path)
    assert len(metric.contributions(rows)) == len(rows)


@pytest.mark.parametrize("key", ALL)
def test_an_empty_answer_is_decided(key, tmp_path):
    metric = METRICS[key]
    found = value_of(metric, silent(metric.tasks[0], tmp_path))
    assert found == pytest.approx(SILENT.get(key, 0.0), abs=1e-12)


@pytest.mark.parametrize("key", ALL)
def test_no_records_give_no_value(key):
    assert METRICS[key].contributions([]) == []
    assert METRICS[key].over([]) is None


@pytest.mark.parametrize("task", [Task.SEG_SEMANTIC, Task.SEG_REFERRING, Task.RETRIEVAL])
def test_a_model_that_only_speaks_has_no_value_beyond_text(task):
    rows = records(task, ["no idea"] * 2, ["right"] * 2)
    for metric in metrics_of(task).values():
        assert metric.over(metric.contributions(rows)) is None


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_signature_names_averaging_library_and_protocol_on_one_line(metric):
    name, *fields = metric.signature().split("|")
    assert name == metric.name and "\n" not in metric.signature()
    assert all(":" in field or field == "f1" for field in fields)
    assert [field.split(":")[0] for field in fields[-3:]] == ["lib", "protocol", "v"]
    assert any(field.startswith("avg:") for field in fields)
    assert "absent" not in metric.signature()


def test_no_two_metrics_have_one_signature():
    assert len({metric.signature() for metric in METRICS.values()}) == len(METRICS)


def test_every_task_has_metrics_in_both_protocols():
    for task in Task:
        assert {metric.protocol for metric in metrics_of(task).values()} == set(PROTOCOLS)


def test_a_region_is_described_as_a_report_is():
    described = [key for key in metrics_of(Task.REPORT) if key not in CLINICAL_METRICS]
    assert list(metrics_of(Task.REG)) == described


@pytest.mark.parametrize("key", CLINICAL_METRICS)
def test_without_labels_no_report_counts_for_a_clinical_metric(key):
    rows = records(Task.REPORT, ["a cyst"], ["a cyst"])
    assert CLINICAL_METRICS[key].contributions(rows) == [None]
    assert not CLINICAL_METRICS[key].measure([])


@pytest.mark.parametrize("metric", [m for m in METRICS.values() if m.trivial is not None])
def test_the_trivial_value_is_that_of_answers_without_content(metric, tmp_path):
    assert value_of(metric, silent(metric.tasks[0], tmp_path)) == pytest.approx(metric.trivial)


@pytest.mark.parametrize("metric", [m for m in METRICS.values() if m.pool_rows is not None])
def test_a_pool_of_rows_is_the_pool_of_each(metric, tmp_path):
    counts = [metric.contributions(rows(metric.tasks[0], tmp_path)) for rows in (exchanged, silent)]
    rows = np.array([np.sum(each, axis=0) for each in counts], float)
    assert metric.pool_rows(rows) == pytest.approx(
        [float(metric.pool(row)) for row in rows.tolist()]
    )


def test_a_closed_reference_without_letter_names_the_record():
    with pytest.raises(TomovoxError, match=r"^r00: reference 'liver'"):
        METRICS["accuracy.m3d"].measure(records(Task.VQA_CLOSED, ["A"], [CHOICES[0]]))
