"""Do predictions survive a cut, and is a file complete before it is called finished?"""

import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from tomovox.files import append_lines
from tomovox.metrics.masks import read_mask_file
from tomovox.predict import (
    PARTIAL,
    PREDICTIONS,
    PredictionWriter,
    answered,
    finish,
    keep_masks,
)
from tomovox.schema import (
    Batch,
    Generated,
    Prediction,
    Questions,
    Record,
    Studies,
    Task,
    TomovoxError,
    read_predictions,
    to_line,
)


def record(number: int, case: str) -> Record:
    name = f"vqa_open/test/{number:06d}"
    return Record(name, Task.VQA_OPEN, "test", case, (f"{case}.npy",), "Which?", "liver")


STUDIES = [[record(3, "a"), record(1, "a")], [record(2, "b"), record(0, "b")]]
RECORDS = [r for study in STUDIES for r in study]


def said(*records: Record, text: str = "liver") -> list[str]:
    return [to_line(Prediction.of(r, text)) for r in records]


def ids(path: Path) -> list[str]:
    return [prediction.id for prediction in read_predictions(path)]


# ---- continuing --------------------------------------------------------------------------------


def test_nothing_is_answered_before_the_first_line(tmp_path):
    assert answered(tmp_path, STUDIES) == set()


def test_whole_studies_are_answered(tmp_path):
    append_lines(tmp_path / PARTIAL, said(*STUDIES[0]))
    assert answered(tmp_path, STUDIES) == {r.id for r in STUDIES[0]}


def test_a_study_answered_in_part_is_asked_again(tmp_path, capsys):
    append_lines(tmp_path / PARTIAL, said(*STUDIES[0], STUDIES[1][0]))
    assert answered(tmp_path, STUDIES) == {r.id for r in STUDIES[0]}
    assert ids(tmp_path / PARTIAL) == [r.id for r in STUDIES[0]]
    assert "1 answers of a cut study" in capsys.readouterr().err


def test_a_torn_last_line_is_cut_off_with_its_study(tmp_path):
    first, second = said(*STUDIES[1])
    append_lines(tmp_path / PARTIAL, [*said(*STUDIES[0]), first])
    with (tmp_path / PARTIAL).open("a") as stream:
        stream.write(second[: len(second) // 2])
    assert answered(tmp_path, STUDIES) == {r.id for r in STUDIES[0]}
    assert ids(tmp_path / PARTIAL) == [r.id for r in STUDIES[0]]


def test_a_file_of_one_torn_line_is_empty_again(tmp_path):
    (tmp_path / PARTIAL).write_text(said(RECORDS[0])[0][:-5])
    assert answered(tmp_path, STUDIES) == set()
    assert (tmp_path / PARTIAL).read_text() == ""


def test_a_line_torn_inside_a_character_is_cut_off(tmp_path):
    append_lines(tmp_path / PARTIAL, said(*STUDIES[0]))
    whole = (tmp_path / PARTIAL).read_bytes()
    (tmp_path / PARTIAL).write_bytes(whole + '{"id": "ü'.encode()[:-1])
    assert answered(tmp_path, STUDIES) == {r.id for r in STUDIES[0]}
    assert (tmp_path / PARTIAL).read_bytes() == whole


def test_continuing_twice_changes_nothing(tmp_path):
    append_lines(tmp_path / PARTIAL, said(*STUDIES[0], STUDIES[1][0]))
    answered(tmp_path, STUDIES)
    before = (tmp_path / PARTIAL).read_bytes()
    assert answered(tmp_path, STUDIES) == {r.id for r in STUDIES[0]}
    assert (tmp_path / PARTIAL).read_bytes() == before


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    append_lines(tmp_path / PARTIAL, [*said(RECORDS[0]), "broken", *said(RECORDS[1])])
    with pytest.raises(TomovoxError, match=r"predictions\.partial\.jsonl:2: not a JSON line"):
        answered(tmp_path, STUDIES)


# ---- finishing ---------------------------------------------------------------------------------


def test_finished_predictions_are_sorted_by_id(tmp_path):
    append_lines(tmp_path / PARTIAL, said(*RECORDS))
    assert finish(tmp_path, RECORDS) == 4
    assert ids(tmp_path / PREDICTIONS) == sorted(r.id for r in RECORDS)
    assert not (tmp_path / PARTIAL).exists()


def test_the_finished_file_does_not_depend_on_where_a_run_was_cut(tmp_path):
    for folder, order in ((tmp_path / "a", RECORDS), (tmp_path / "b", RECORDS[::-1])):
        append_lines(folder / PARTIAL, said(*order))
        finish(folder, RECORDS)
    first, second = (tmp_path / f / PREDICTIONS for f in "ab")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("written", "wanted", "fault"),
    [
        (RECORDS[:3], RECORDS, r"1 records unanswered \['vqa_open/test/000000'\]"),
        (RECORDS, RECORDS[:3], r"1 unknown \['vqa_open/test/000000'\]"),
    ],
    ids=["missing", "extra"],
)
def test_finish_refuses_missing_and_extra_records_and_keeps_the_lines(
    tmp_path, written, wanted, fault
):
    append_lines(tmp_path / PARTIAL, said(*written))
    with pytest.raises(TomovoxError, match=fault):
        finish(tmp_path, wanted)
    assert len(ids(tmp_path / PARTIAL)) == len(written)
    assert not (tmp_path / PREDICTIONS).exists()


def test_finish_refuses_a_record_that_was_answered_twice(tmp_path):
    append_lines(tmp_path / PARTIAL, said(RECORDS[0], RECORDS[0]))
    with pytest.raises(TomovoxError, match="stands there twice"):
        finish(tmp_path, RECORDS[:1])


# ---- writing -----------------------------------------------------------------------------------


class Numbers:
    """A template whose text is the ids themselves."""

    def decode(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))


def write(
    folder: Path, scores: torch.Tensor | None, logprobs: list[list[float]] | None = None
) -> None:
    count = len(STUDIES[0])
    empty = torch.zeros(count, 1, dtype=torch.long)
    batch = Batch(
        studies=Studies([torch.zeros(1, 2, 4, 4)], torch.tensor([0])),
        questions=Questions(["?"] * count, empty, empty.bool(), torch.zeros(count).long()),
        input_ids=empty,
        attention_mask=empty.bool(),
        labels=None,
        records=STUDIES[0],
    )
    writer = PredictionWriter(folder, Numbers())
    writer.on_predict_batch_start()
    generated = Generated(torch.tensor([[4, 5], [6, 7]]), scores, choice_logprobs=logprobs)
    writer.write_on_batch_end(None, None, generated, None, batch, 0, 0)


def test_a_line_holds_what_was_asked_and_said(tmp_path):
    write(tmp_path, None)
    lines = list(read_predictions(tmp_path / PARTIAL))
    assert [(p.id, p.text) for p in lines] == [(STUDIES[0][0].id, "4 5"), (STUDIES[0][1].id, "6 7")]
    assert lines[0].reference == "liver" and lines[0].slice_scores == ()


def test_slice_scores_go_to_the_line_of_their_question(tmp_path):
    write(tmp_path, torch.tensor([[0.25, 0.75], [1.0, 0.0]]))
    scores = [p.slice_scores for p in read_predictions(tmp_path / PARTIAL)]
    assert scores == [(0.25, 0.75), (1.0, 0.0)]


def test_likelihoods_go_to_the_line_of_their_question(tmp_path):
    write(tmp_path, None, [[-1.25, -0.5], []])
    lines = read_predictions(tmp_path / PARTIAL)
    assert [p.choice_logprobs for p in lines] == [(-1.25, -0.5), ()]


def test_cost_goes_to_the_timing_file_and_never_to_a_prediction(tmp_path):
    write(tmp_path, None)
    (timing,) = map(json.loads, (tmp_path / "timing.jsonl").read_text().splitlines())
    assert timing["case"] == "a" and timing["questions"] == 2
    assert timing["study"] == STUDIES[0][0].id
    assert "seconds" not in (tmp_path / PARTIAL).read_text()


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="forgets no peak")
def test_memory_that_was_freed_before_prediction_does_not_count(tmp_path):
    freed = np.ones(2 * 10**7)
    size = freed.nbytes / 1024
    del freed
    before = peak()
    PredictionWriter(tmp_path, Numbers()).on_predict_start()
    assert peak() < before - size / 2


def test_a_machine_that_forgets_no_peak_predicts_all_the_same(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refuse)
    PredictionWriter(tmp_path, Numbers()).on_predict_start()


# ---- masks -------------------------------------------------------------------------------------


def drawn(folder: Path, logits: torch.Tensor, true: torch.Tensor) -> list[Prediction]:
    """Return the predictions of a batch whose second question asks for a mask."""
    count = len(STUDIES[0])
    empty = torch.zeros(count, 1, dtype=torch.long)
    batch = Batch(
        studies=Studies([torch.zeros(1, 2, 4, 4)], torch.tensor([0])),
        questions=Questions(["?"] * count, empty, empty.bool(), torch.zeros(count).long()),
        input_ids=empty,
        attention_mask=empty.bool(),
        labels=None,
        records=STUDIES[0],
        masks=true,
        mask_rows=torch.tensor([1]),
    )
    answers = [Prediction.of(record, "[SEG]") for record in STUDIES[0]]
    keep_masks(folder, answers, Generated(empty, mask_logits=logits), batch)
    return answers


def test_the_drawn_and_the_true_mask_are_kept_with_their_sums(tmp_path):
    true = torch.zeros(1, 1, 2, 4, 4, dtype=torch.bool)
    true[..., :2] = True
    logits = torch.where(torch.rand(true.shape) > 0.5, 2.0, -2.0)
    first, second = drawn(tmp_path, logits, true)
    assert first.mask == "" and first.soft == ()
    p = logits.sigmoid()
    wanted = [float(p.sum()), 16.0, float((p * true).sum())]
    assert second.soft == pytest.approx(wanted, abs=1e-3)
    kept, there = read_mask_file(tmp_path / second.mask, second.id)
    assert np.array_equal(kept, (logits > 0)[0, 0].numpy())
    assert np.array_equal(there, true[0, 0].numpy())


def test_where_nothing_was_drawn_the_mask_is_empty(tmp_path):
    true = torch.ones(1, 1, 2, 4, 4, dtype=torch.bool)
    _, second = drawn(tmp_path, torch.full(true.shape, -torch.inf), true)
    assert second.soft == (0.0, 32.0, 0.0)
    assert not read_mask_file(tmp_path / second.mask, second.id)[0].any()
