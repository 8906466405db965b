"""Are the rows and samples of a run a function of its predictions, and of nothing else?"""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from tomovox.judge import score as judged
from tomovox.judge.llm_verdicts import Verdict, to_verdict_line, verdict_key
from tomovox.judge.score import (
    ALL,
    MACRO,
    RESULTS,
    SAMPLES,
    read_results,
    read_samples,
    score,
    score_run,
)
from tomovox.metrics import catalogue
from tomovox.metrics.catalogue import METRICS
from tomovox.metrics.masks import write_mask_file
from tomovox.metrics.resources import Unavailable
from tomovox.schema import Prediction, Task, TomovoxError, to_line

KINDS = (ALL, MACRO, "plane", "organ")
CHOICES = ("liver", "spleen", "left kidney", "kidney")


@pytest.fixture(autouse=True)
def lexical_metrics_only(monkeypatch):
    """Leave out the metrics that need data or an encoder; they are tested elsewhere."""

    def none(rows):
        raise Unavailable("left out here")

    for key in ("meteor.m3d", "meteor.standard", "bertscore_f1.m3d"):
        monkeypatch.setitem(catalogue.METRICS, key, replace(METRICS[key], measure=none))


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
        (MACRO, "accuracy", "standard", 0.5, 4),
        ("plane", "accuracy", "standard", 1.0, 2),
        ("organ", "accuracy", "standard", 0.0, 2),
        ("organ", "parsed_rate", "standard", 0.5, 2),
    ],
)
def test_closed_questions_are_counted_by_type_and_protocol(kind, metric, protocol, value, n):
    found = row(score(PREDICTIONS).rows, "vqa_closed", kind, metric, protocol)
    assert (found["value"], found["n"]) == (value, n)


def test_a_question_asked_again_in_other_orders_counts_once():
    moved = [(*CHOICES[i:], *CHOICES[:i]) for i in (1, 2, 3)]
    copies = [
        replace(closed(0, "A"), id=f"vqa_closed/000~{i}", choices=choices, reference=f"{letter}.")
        for i, (choices, letter) in enumerate(zip(moved, "ADC", strict=True), 1)
    ]
    before, after = score(PREDICTIONS), score([*PREDICTIONS, *copies])
    new = [r for r in after.rows if r not in before.rows]
    assert {r["metric"] for r in new} == {"consistency", "accuracy_all_orders"}
    assert row(new, "vqa_closed", ALL, "consistency", "standard")["n"] == 1
    assert [r for r in after.rows if r not in new] == before.rows
    assert not [sample for sample in after.samples if "~" in sample["id"]]


def test_the_order_of_the_file_does_not_matter():
    shuffled = random.Random(3).sample(PREDICTIONS, len(PREDICTIONS))
    assert score(shuffled) == score(PREDICTIONS)


def test_every_row_but_macro_is_what_its_metric_makes_of_its_samples():
    scores = score(PREDICTIONS)
    for found in scores.rows:
        if found["question_type"] == MACRO:
            continue
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
        metric = METRICS[f"{found['metric']}.{found['protocol']}"]
        contributions = [s["value"] if "value" in s else s["counts"] for s in mine]
        assert found["value"] == pytest.approx(metric.over(contributions))


def test_macro_is_the_unweighted_mean_of_the_types():
    answers = [closed(0, "B", "plane"), closed(1, "A", "organ"), closed(2, "A", "organ")]
    rows = score(answers).rows
    values = {
        kind: row(rows, "vqa_closed", kind, "accuracy", "standard")["value"] for kind in KINDS
    }
    assert values == {ALL: pytest.approx(1 / 3), MACRO: 0.5, "plane": 1.0, "organ": 0.0}


@pytest.mark.parametrize("kinds", [["plane", "plane"], ["", ""]])
def test_one_type_or_none_has_no_macro_row(kinds):
    rows = score([closed(i, "B", kind) for i, kind in enumerate(kinds)]).rows
    assert MACRO not in {found["question_type"] for found in rows}


def test_an_unavailable_metric_has_no_value_and_says_why():
    found = row(score(PREDICTIONS).rows, "report", ALL, "meteor", "standard")
    assert found["value"] is None
    assert found["note"] == "unavailable: left out here"
    assert found["n"] == 2


def test_both_protocols_share_one_computation(monkeypatch):
    calls = []
    shared = METRICS["rouge1.m3d"].measure

    def counted(rows):
        calls.append(len(rows))
        return shared(rows)

    for key in ("rouge1.m3d", "rouge1.standard"):
        monkeypatch.setitem(catalogue.METRICS, key, replace(METRICS[key], measure=counted))
    score(PREDICTIONS)
    assert calls == [2]


def test_a_task_that_the_model_is_not_able_to_do_is_counted_and_has_no_rows():
    asked = Prediction("seg/0", Task.SEG_SEMANTIC, "0", "Segment the liver.", "[SEG]", "no")
    scores = score([asked, *PREDICTIONS])
    assert scores.unscored == {"seg_semantic": 1}
    assert all(found["task"] != "seg_semantic" for found in [*scores.rows, *scores.samples])


def box(number: int, text: str, reference: str, kind: str = "") -> Prediction:
    return Prediction(f"rec/{number}", Task.REC, "0", "Where?", reference, text, kind)


def test_negatives_are_left_out_of_overlaps_and_counted_apart():
    where = "[0.0, 0.0, 0.0, 0.5, 0.5, 0.5]"
    rows = score([box(0, where, where), box(1, "none", where), box(2, "none", "not there")]).rows
    found = {
        f"{r['metric']}.{r['protocol']}": (r["value"], r["n"]) for r in rows if r["task"] == "rec"
    }
    assert found["iou.standard"] == (0.5, 2)
    assert found["refusal_rate.standard"] == (1.0, 1)
    assert found["iou.m3d"] == (pytest.approx(-1 / 3, abs=1e-5), 3)


def test_a_metric_that_no_record_counts_for_has_no_row():
    rows = score([box(0, "none", "[0.0, 0.0, 0.0, 0.5, 0.5, 0.5]")]).rows
    assert "refusal_rate" not in {found["metric"] for found in rows}


def test_macro_is_the_mean_of_the_types_that_count():
    where = "[0.0, 0.0, 0.0, 0.5, 0.5, 0.5]"
    rows = score([box(0, "no", where, "cls"), box(1, "no", "not there", "des")]).rows
    found = row(rows, "rec", MACRO, "refusal_rate", "standard")
    assert (found["value"], found["n"]) == (1.0, 1)


def test_masks_are_found_below_the_run_folder(tmp_path):
    true = np.zeros((4, 5, 6), bool)
    true[1:3, 1:3, 1:3] = True
    write_mask_file(tmp_path / "masks" / "seg_0.npz", np.roll(true, 1, 2), true)
    asked = Prediction("seg/0", Task.SEG_SEMANTIC, "0", "Segment.", "[SEG]", "[SEG]")
    line = replace(asked, mask="masks/seg_0.npz", soft=(8.0, 8.0, 4.0))
    (tmp_path / "predictions.jsonl").write_text(to_line(line) + "\n", encoding="utf-8")
    rows = score_run(tmp_path).rows
    assert row(rows, "seg_semantic", ALL, "dice", "standard")["value"] == 0.5
    assert row(rows, "seg_semantic", ALL, "dice", "m3d")["value"] == 8 / 17


@pytest.mark.parametrize("mask", ["../other/0.npz", "/tmp/0.npz"])
def test_a_mask_outside_of_the_run_is_refused(tmp_path, mask):
    line = Prediction("seg/0", Task.SEG_SEMANTIC, "0", "Segment.", "[SEG]", "[SEG]", mask=mask)
    with pytest.raises(TomovoxError, match=r"^seg/0: mask .* is not below the run"):
        score([line], tmp_path)


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
    assert results["primary"] == {"report": "rougeL.standard", "vqa_closed": "accuracy.standard"}
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


def write_judged(folder, scores):
    """Write the reports of PREDICTIONS and a verdict on each of them."""
    reports = [p for p in PREDICTIONS if p.task == Task.REPORT]
    lines = "".join(to_line(p) + "\n" for p in PREDICTIONS)
    (folder / "predictions.jsonl").write_text(lines, encoding="utf-8")
    verdicts = [
        Verdict(p.id, verdict_key(p, "p", "judge"), value, "reply", "p", "judge", "judge-1")
        for p, value in zip(reports, scores, strict=True)
    ]
    lines = "".join(to_verdict_line(verdict) + "\n" for verdict in verdicts)
    (folder / "judge-judge.jsonl").write_text(lines, encoding="utf-8")


def test_verdicts_of_a_language_model_give_rows_of_their_own(tmp_path):
    write_judged(tmp_path, [40.0, None])
    rows = score_run(tmp_path).rows
    value, parsed = (
        row(rows, "report", ALL, metric, "standard") for metric in ("llm_judge", "llm_judge_parsed")
    )
    assert (value["value"], value["n"]) == (0.4, 1)
    assert (parsed["value"], parsed["n"]) == (0.5, 2)


def test_replies_without_any_score_give_no_value(tmp_path):
    write_judged(tmp_path, [None, None])
    found = {r["metric"]: r["value"] for r in score_run(tmp_path).rows}
    assert "llm_judge" not in found and found["llm_judge_parsed"] == 0.0


def test_a_run_that_was_not_judged_has_the_rows_it_had(tmp_path):
    write_judged(tmp_path, [40.0, 60.0])
    (tmp_path / "judge-judge.jsonl").unlink()
    assert score_run(tmp_path) == score(PREDICTIONS)


@pytest.mark.parametrize("line", ["{", "3", "{}", "[" * 5000])
def test_a_damaged_line_of_scores_is_named(tmp_path, line):
    (tmp_path / SAMPLES).write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(TomovoxError, match=rf"{SAMPLES}:1: .*score again"):
        list(read_samples(tmp_path))


@pytest.mark.parametrize("content", ["{", "[]", '{"versions": {"a": 1}}'])
def test_damaged_results_are_named(tmp_path, content):
    (tmp_path / RESULTS).write_text(content, encoding="utf-8")
    with pytest.raises(TomovoxError, match=rf"{RESULTS}: .*score again"):
        read_results(tmp_path)
