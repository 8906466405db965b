"""Are kept scores read only where scoring again would give the same?"""

import json
from dataclasses import replace

import pytest

from tomovox.judge.kept_scores import read_scores
from tomovox.judge.score import RESULTS, SAMPLES, Scores, score_run
from tomovox.metrics import catalogue
from tomovox.metrics.catalogue import METRICS
from tomovox.metrics.resources import Unavailable
from tomovox.schema import PREDICTIONS, Prediction, Task, to_line

CHOICES = ("liver", "spleen", "left kidney", "kidney")


@pytest.fixture(autouse=True)
def made_metrics(monkeypatch):
    """Put constants in place of the metrics that need data or an encoder."""
    for key in ("meteor.m3d", "meteor.standard", "bertscore_f1.m3d"):
        made = replace(METRICS[key], details="made", measure=lambda rows: [0.1] * len(rows))
        monkeypatch.setitem(catalogue.METRICS, key, made)


@pytest.fixture
def run(tmp_path):
    """A scored RUN folder with two questions, a report, and a task that no metric counts."""
    said = [
        *("B. spleen", "no idea"),
        *("the liver is large", "é \u2028 中"),
    ]
    kinds = [Task.VQA_CLOSED, Task.VQA_CLOSED, Task.REPORT, Task.REC]
    answers = [
        Prediction(f"{task}/{n}", task, str(n), "Which?", "B. spleen", text, "organ", CHOICES)
        for n, (task, text) in enumerate(zip(kinds, said, strict=True))
    ]
    write(tmp_path, answers)
    return tmp_path


def write(folder, answers):
    lines = "".join(f"{to_line(answer)}\n" for answer in answers)
    (folder / PREDICTIONS).write_text(lines, encoding="utf-8")
    score_run(folder)


def rewrite(path, change):
    """Change a JSON file in place."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def test_kept_scores_are_those_of_scoring_again(run):
    assert read_scores(run) == score_run(run)


def test_a_run_without_any_record_keeps_empty_scores(tmp_path):
    write(tmp_path, [])
    assert read_scores(tmp_path) == Scores()


def test_reading_writes_nothing(run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    read_scores(run)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize("name", [PREDICTIONS, RESULTS, SAMPLES])
def test_what_is_not_there_holds_nothing(run, name):
    (run / name).unlink()
    assert read_scores(run) is None


def test_other_predictions_are_scored_again(run):
    with (run / PREDICTIONS).open("a", encoding="utf-8") as stream:
        stream.write("\n")
    assert read_scores(run) is None


@pytest.mark.parametrize("name", ["python", "versions", "signatures", "rows", "unscored"])
def test_results_of_another_form_are_scored_again(run, name):
    rewrite(run / RESULTS, lambda results: results.pop(name))
    assert read_scores(run) is None


def test_scores_of_another_version_are_scored_again(run):
    rewrite(run / RESULTS, lambda results: results["versions"].update(scipy="0.1"))
    assert read_scores(run) is None


def test_a_metric_that_means_something_else_now_is_scored_again(run, monkeypatch):
    changed = replace(METRICS["accuracy.m3d"], details="avg:record|rule:another")
    monkeypatch.setitem(catalogue.METRICS, "accuracy.m3d", changed)
    assert read_scores(run) is None


def test_a_metric_that_is_no_more_is_scored_again(run, monkeypatch):
    # The dict itself is changed: one that is put back whole keeps its order.
    known = dict(catalogue.METRICS)
    with monkeypatch.context() as patch:
        patch.delitem(catalogue.METRICS, "accuracy.m3d")
        kept = read_scores(run)
    catalogue.METRICS.clear()
    catalogue.METRICS.update(known)
    assert kept is None


def test_a_metric_that_could_not_run_is_tried_again(run, monkeypatch):
    def none(rows):
        raise Unavailable("no encoder")

    lacking = replace(METRICS["meteor.m3d"], measure=none)
    monkeypatch.setitem(catalogue.METRICS, "meteor.m3d", lacking)
    score_run(run)
    assert read_scores(run) is None


@pytest.mark.parametrize("kept", [slice(1, None), slice(-1)])
def test_a_lost_line_of_samples_is_scored_again(run, kept):
    lines = (run / SAMPLES).read_text(encoding="utf-8").split("\n")[:-1]
    (run / SAMPLES).write_text("\n".join(lines[kept]) + "\n", encoding="utf-8")
    assert read_scores(run) is None


def test_a_torn_line_of_samples_is_scored_again(run):
    (run / SAMPLES).write_bytes((run / SAMPLES).read_bytes()[:-9])
    assert read_scores(run) is None


def test_a_judged_run_is_scored_again(run):
    (run / "judge-some.jsonl").touch()
    assert read_scores(run) is None
