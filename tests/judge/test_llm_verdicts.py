"""Are verdicts scored as they stand in the file, and as nothing else?"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tomovox.judge.llm_verdicts import (
    Verdict,
    llm_metrics,
    new_verdict_file,
    read_verdicts,
    to_verdict_line,
    verdict_key,
)
from tomovox.schema import Prediction, Task, TomovoxError

PROMPT, ASKED, SERVED = "abc123", "org/Judge 7B", "judge-7b-0613"


def answer(number: int, text: str = "a mass", task: Task = Task.REPORT) -> Prediction:
    return Prediction(f"{task}/{number}", task, f"{number}", "Describe.", f"mass {number}", text)


def verdict(on: Prediction, score: float | None, prompt: str = PROMPT, **changes) -> Verdict:
    key = verdict_key(on, prompt, ASKED)
    return replace(Verdict(on.id, key, score, "a reply", prompt, ASKED, SERVED), **changes)


def write(folder: Path, *verdicts: Verdict, name: str = "judge-one.jsonl") -> Path:
    lines = "".join(to_verdict_line(each) + "\n" for each in verdicts)
    (folder / name).write_text(lines, encoding="utf-8")
    return folder / name


def contributions(folder: Path, predictions: list[Prediction]) -> dict[str, list]:
    return {m.name: m.contributions(predictions) for m in llm_metrics(folder, predictions)}


ANSWERS = [answer(0), answer(1), answer(2)]


def test_a_score_counts_as_its_share_of_100(tmp_path):
    write(tmp_path, *(verdict(a, s) for a, s in zip(ANSWERS, (100.0, 50, 0), strict=True)))
    assert contributions(tmp_path, ANSWERS)["llm_judge"] == [1.0, 0.5, 0.0]


def test_a_reply_without_a_score_is_left_out_of_the_mean_and_counted_apart(tmp_path):
    write(tmp_path, verdict(ANSWERS[0], 80.0), verdict(ANSWERS[1], None))
    assert contributions(tmp_path, ANSWERS[:2]) == {
        "llm_judge": [0.8, None],
        "llm_judge_parsed": [1.0, 0.0],
    }


def test_a_record_that_was_not_judged_counts_in_neither(tmp_path):
    write(tmp_path, verdict(ANSWERS[0], 80.0))
    assert contributions(tmp_path, ANSWERS[:2]) == {
        "llm_judge": [0.8, None],
        "llm_judge_parsed": [1.0, None],
    }


def test_a_verdict_on_another_answer_to_the_record_does_not_count(tmp_path):
    write(tmp_path, verdict(ANSWERS[0], 80.0))
    changed = [answer(0, text="no mass")]
    assert contributions(tmp_path, changed)["llm_judge"] == [None]


def test_of_two_prompts_in_a_file_the_last_counts(tmp_path):
    write(tmp_path, verdict(ANSWERS[0], 80.0, "old"), verdict(ANSWERS[0], 60.0, "new"))
    assert contributions(tmp_path, ANSWERS[:1])["llm_judge"] == [0.6]


def test_the_signature_names_the_served_model_and_the_prompt(tmp_path):
    write(tmp_path, verdict(ANSWERS[0], 80.0))
    signature = llm_metrics(tmp_path, ANSWERS)[0].signature()
    assert f"|judge:{SERVED}|prompt:{PROMPT}|unparsed:out|" in signature


def test_the_signature_names_every_model_that_answered(tmp_path):
    write(tmp_path, verdict(ANSWERS[0], 80.0), verdict(ANSWERS[1], 80.0, model="a|b\n"))
    assert f"|judge:a-b-+{SERVED}|" in llm_metrics(tmp_path, ANSWERS)[0].signature()


def test_verdicts_on_answers_that_are_gone_leave_no_trace_in_the_signature(tmp_path):
    gone = verdict(answer(0, text="gone"), 80.0, model="other")
    write(tmp_path, gone, verdict(ANSWERS[0], 80.0))
    assert f"|judge:{SERVED}|" in llm_metrics(tmp_path, ANSWERS)[0].signature()


def test_a_run_without_verdicts_has_no_such_metric(tmp_path):
    assert llm_metrics(tmp_path, ANSWERS) == []


def test_two_judges_of_one_run_are_refused(tmp_path):
    for name in ("judge-one.jsonl", "judge-two.jsonl"):
        write(tmp_path, verdict(ANSWERS[0], 80.0), name=name)
    with pytest.raises(TomovoxError, match=r"judge-one\.jsonl and judge-two\.jsonl: a run has one"):
        llm_metrics(tmp_path, ANSWERS)


def test_the_file_is_named_after_the_model(tmp_path):
    assert new_verdict_file(tmp_path, "../Org/Judge_7B").name == "judge-org-judge-7b.jsonl"


def test_what_is_written_is_read_again(tmp_path):
    odd = verdict(ANSWERS[0], 66.5, reply="line\u2028sep \ud800 \x85 日本\n")
    assert read_verdicts(write(tmp_path, odd)) == [odd]


def test_a_torn_last_line_is_not_read(tmp_path):
    path = write(tmp_path, verdict(ANSWERS[0], 80.0), verdict(ANSWERS[1], 80.0))
    path.write_bytes(path.read_bytes()[:-9])
    assert [each.id for each in read_verdicts(path)] == [ANSWERS[0].id]


@pytest.mark.parametrize(
    "changes", [{"score": 101}, {"score": "80"}, {"score": True}, {"reply": None}]
)
def test_a_value_that_no_verdict_has_names_its_place(tmp_path, changes):
    path = write(tmp_path, verdict(ANSWERS[0], 80.0))
    row = json.loads(path.read_text(encoding="utf-8")) | changes
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")
    with pytest.raises(TomovoxError, match=r"judge-one\.jsonl:2: no verdict"):
        read_verdicts(path)


@pytest.mark.parametrize("line", ["", "{", "[]", "3", '{"id": "report/0"}'])
def test_a_line_that_is_no_verdict_names_its_place(tmp_path, line):
    (tmp_path / "judge-one.jsonl").write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(TomovoxError, match=r"judge-one\.jsonl:1: no verdict"):
        read_verdicts(tmp_path / "judge-one.jsonl")
