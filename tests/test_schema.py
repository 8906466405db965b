"""Does a line of predictions hold what its fields say, and an error stay one line?"""

import json

import pytest

from tomovox.data.faults import DataFault
from tomovox.schema import (
    PREDICTIONS,
    Prediction,
    Task,
    TomovoxError,
    from_line,
    read_predictions,
    to_line,
)

WHOLE = Prediction(
    *("vqa_closed/test/0", Task.VQA_CLOSED, "a", "Which plane?", "A. Axial", "A. Axial", "plane"),
    *(("Axial", "Coronal"), (0.25, 0.75), "masks/a.npz", (1.0, 2.0, 0.5), "AAAA", "AAAA"),
    (-1.0, -2.0),
)


def changed(**fields: object) -> str:
    return json.dumps(json.loads(to_line(WHOLE)) | fields)


def test_a_line_is_read_back_as_it_was_written():
    assert from_line(to_line(WHOLE), "p:1") == WHOLE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("slice_scores", "0.25"), ("slice_scores", ["a"]), ("slice_scores", 3)),
        *(("slice_scores", [True]), ("soft", [None]), ("soft", {"a": 1}), ("choices", "ABCD")),
        *(("choices", [1]), ("choice_logprobs", [10**400]), ("choice_logprobs", None)),
        *(("mask", 3), ("question_type", None), ("volume_embedding", [0.5]), ("text", 1)),
        *(("text", "\ud800"), ("choices", ["\ud800"]), ("id", [])),
    ],
)
def test_a_field_of_another_type_is_refused_by_its_name(field, value):
    with pytest.raises(TomovoxError, match=rf"^p:1: {field} holds"):
        from_line(changed(**{field: value}), "p:1")


def test_a_field_that_is_not_known_is_passed_over():
    assert from_line(changed(seconds=3), "p:1") == WHOLE


@pytest.mark.parametrize("line", [b"\xff\xfe\x00", b"[" * 100_000, b"9" * 5000, b"", b"{}", b"3"])
def test_a_line_that_is_no_prediction_is_named(tmp_path, line):
    (tmp_path / PREDICTIONS).write_bytes(to_line(WHOLE).encode() + b"\n" + line + b"\n")
    with pytest.raises(TomovoxError, match=r"predictions\.jsonl:2: "):
        list(read_predictions(tmp_path / PREDICTIONS))


def test_an_error_is_one_printable_line_whatever_it_quotes():
    error = TomovoxError("a\nb.csv: column 'x\x1b[2J\u2028' is not known;\tmend it")
    assert str(error).isprintable()


@pytest.mark.parametrize("kind", [TomovoxError, DataFault])
def test_an_error_that_a_worker_wrapped_is_its_last_line(kind):
    wrapped = f"Caught in worker 0.\nTraceback:\n  x\ntomovox.schema.{kind.__name__}: v.npy: cut\n"
    assert str(kind(wrapped)) == "v.npy: cut"
