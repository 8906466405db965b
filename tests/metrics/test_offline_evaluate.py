"""Can somebody who works with `evaluate` use the metrics without a network?"""

import socket

import pytest

from tomovox.metrics.catalogue import METRICS
from tomovox.metrics.offline_evaluate import (
    CorpusBleu4,
    ExactMatch,
    Meteor,
    OfflineMetric,
    Rouge1,
    RougeL,
    SentenceBleu1,
)
from tomovox.schema import TomovoxError

SAID = ["the liver is large and smooth", "no mass is seen"]
WANTED = ["the liver is large and smooth", "a mass is seen"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    def refuse(*arguments, **named):
        raise AssertionError("a metric opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_combined_metrics_keep_their_names(tmp_path):
    import evaluate

    kinds = (SentenceBleu1, CorpusBleu4, Rouge1, RougeL, ExactMatch)
    combined = evaluate.combine([kind(cache_dir=str(tmp_path)) for kind in kinds])
    result = combined.compute(predictions=SAID, references=WANTED)
    assert list(result) == [
        "bleu1_m3d",
        "bleu4_standard",
        "rouge1_standard",
        "rougeL_standard",
        "exact_match_standard",
    ]
    assert result["exact_match_standard"] == 0.5


def test_batches_give_the_value_of_the_whole(tmp_path):
    whole = CorpusBleu4(cache_dir=str(tmp_path)).compute(predictions=SAID, references=WANTED)
    parts = CorpusBleu4(cache_dir=str(tmp_path))
    for said, wanted in zip(SAID, WANTED, strict=True):
        parts.add_batch(predictions=[said], references=[wanted])
    assert parts.compute() == whole


@pytest.mark.parametrize("key", METRICS)
def test_every_metric_can_be_made_by_its_key(key, tmp_path):
    metric = OfflineMetric(key, cache_dir=str(tmp_path))
    assert metric.description == METRICS[key].signature()


@pytest.mark.needs_wordnet
def test_meteor_runs(tmp_path):
    result = Meteor(cache_dir=str(tmp_path)).compute(predictions=SAID, references=WANTED)
    assert 0.5 < result["meteor_standard"] < 1


def test_an_unknown_key_is_refused():
    with pytest.raises(TomovoxError, match=r"no metric 'bleu9\.m3d'; known: accuracy\.m3d"):
        OfflineMetric("bleu9.m3d")


@pytest.mark.parametrize("key", ["dice.m3d", "i2t_r1.standard"])
def test_a_metric_that_needs_more_than_texts_is_refused_when_it_computes(key, tmp_path):
    metric = OfflineMetric(key, cache_dir=str(tmp_path))
    with pytest.raises(TomovoxError, match="texts alone give it no value"):
        metric.compute(predictions=SAID, references=WANTED)
