"""Are the rows and samples of a run a function of its predictions, and of nothing else?"""

import json
import random
from dataclasses import replace
from statistics import fmean

import pytest

from tomovox.judge import score as judged
from tomovox.judge.score import ALL, score, score_run
from tomovox.metrics import catalogue
from tomovox.metrics.catalogue import METRICS
from tomovox.metrics.resources import Unavailable
from tomovox.schema import Prediction, Task, TomovoxError, to_line

CHOICES = ("liver", "spleen", "left kidney", "kidney")


@pytest.fixture(autouse=True)
def lexical_metrics_only(monkeypatch):
    """Leave out the metrics that need data or an encoder; they are tested elsewhere."""

    def none(rows):
        raise Unavailable("left out here")

    for key in ("meteor.m3d", "meteor.standard", "bertscore_f1.m3d"):
        monkeypatch.setitem(catalogue.METRICS, key, replace(METRICS[key], values=none))


def closed(number: int, text: str, kind: str = "plane") -> Prediction:
    return Prediction(
        f"vqa_closed/{number:03d}", Task.VQA_CLOSED, f"{number // 2}", "Which organ?", "B. spleen",
        text, kind, CHOICES,
    )  # fmt: skip


def report(number: int, text: str, reference: str) -> Prediction:
    return Prediction(
        f"report/{number:03d}", Task.REPORT, f"{number}", "Describe.", reference, text
    )


PREDICTIONS = [
    closed(0, "B. spleen", "plane"),
    closed(1, "spleen", "plane"),
    closed(2, "A. liver", "organ"),
    closed(3, "no idea", "organ"),
    report(0, "the liver is large", "the liver is large"),
    report(1, "a mass", "no mass is seen"),
]


def row(rows, task, kind, metric, protocol):
    (found,) = (
        r
        for r in rows
        if (r["task"], r["question_type"], r["metric"], r["protocol"])
        == (task, kind, metric, protocol)
    )
    return found


@pytest.mark.parametrize(
    ("kind", "metric", "protocol", "value", "n"),
    [
        (ALL, "accuracy", "m3d", 0.25, 4),
        (ALL, "accuracy", "standard", 0.5, 4),
        (ALL, "parsed_rate", "standard", 0.75, 4),
        ("plane", "accuracy", "standard", 1.0, 2),
        ("organ", "accuracy", "standard", 0.0, 2),
        ("organ", "parsed_rate", "standard", 0.5, 2),
    ],
)
def test_closed_questions_are_counted_by_type_and_protocol(kind, metric, protocol, value, n):
    found = row(score(PREDICTIONS).rows, "vqa_closed", kind, metric, protocol)
    assert (found["value"], found["n"]) == (value, n)


def test_the_order_of_the_file_does_not_matter():
    shuffled = random.Random(3).sample(PREDICTIONS, len(PREDICTIONS))
    assert score(shuffled) == score(PREDICTIONS)


def test_every_row_is_the_mean_or_the_pool_of_its_samples():
    scores = score(PREDICTIONS)
    for found in scores.rows:
        mine = [
            s
            for s in scores.samples
            if (s["task"], s["metric"], s["protocol"])
            == (found["task"], found["metric"], found["protocol"])
            and found["question_type"] in (ALL, s["question_type"])
        ]
        if "note" in found:
            assert not mine
            continue
        assert len(mine) == found["n"]
        if "value" in mine[0]:
            assert found["value"] == pytest.approx(fmean(s["value"] for s in mine))
        else:
            sums = [sum(column) for column in zip(*(s["counts"] for s in mine), strict=True)]
            pool = METRICS[f"{found['metric']}.{found['protocol']}"].pool
            assert found["value"] == pool(sums)


def test_an_unavailable_metric_has_no_value_and_says_why():
    found = row(score(PREDICTIONS).rows, "report", ALL, "meteor", "standard")
    assert found["value"] is None
    assert found["note"] == "unavailable: left out here"
    assert found["n"] == 2


def test_both_protocols_share_one_computation(monkeypatch):
    calls = []
    shared = METRICS["rouge1.m3d"].values

    def counted(rows):
        calls.append(len(rows))
        return shared(rows)

    for key in ("rouge1.m3d", "rouge1.standard"):
        monkeypatch.setitem(catalogue.METRICS, key, replace(METRICS[key], values=counted))
    score(PREDICTIONS)
    assert calls == [2]


def test_a_task_without_metrics_is_counted_not_dropped():
    box = Prediction("rec/0", Task.REC, "0", "Where?", "[0,0,0,1,1,1]", "here")
    scores = score([box, *PREDICTIONS])
    assert scores.unscored == {"rec": 1}
    assert all(found["task"] != "rec" for found in scores.rows)


def test_no_predictions_give_no_rows():
    assert score([]) == judged.Scores()


def test_a_bad_reference_names_the_record():
    with pytest.raises(TomovoxError, match="vqa_closed/000: reference 'spleen'"):
        score([replace(closed(0, "B"), reference="spleen")])


def test_a_run_is_written_with_samples_rows_and_versions(tmp_path):
    lines = "".join(to_line(p) + "\n" for p in PREDICTIONS)
    (tmp_path / "predictions.jsonl").write_text(lines, encoding="utf-8")
    scores = score_run(tmp_path)
    samples = (tmp_path / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [json.loads(line) for line in samples] == scores.samples
    assert results["rows"] == scores.rows
    assert results["versions"]["sacrebleu"] and results["python"].count(".") == 2
    assert results["signatures"]["bleu4.standard"] == METRICS["bleu4.standard"].signature()


def test_scoring_twice_writes_the_same_bytes(tmp_path):
    lines = "".join(to_line(p) + "\n" for p in PREDICTIONS)
    (tmp_path / "predictions.jsonl").write_text(lines, encoding="utf-8")
    written = []
    for _ in range(2):
        score_run(tmp_path)
        names = ("scores.jsonl", "results.json")
        written.append([(tmp_path / name).read_bytes() for name in names])
    assert written[0] == written[1]


def test_a_run_without_predictions_is_an_error(tmp_path):
    with pytest.raises(TomovoxError, match=r"predictions\.jsonl: cannot be read"):
        score_run(tmp_path)
