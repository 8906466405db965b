"""Do box metrics give the published values, and those that counting cells gives?"""

import json
from pathlib import Path

import numpy as np
import pytest

from tomovox.metrics.boxes_agreement import (
    BoxAnswer,
    box_answers,
    overlap,
    overlap_m3d,
    overlaps_by,
    parsed,
    refused,
)
from tomovox.schema import Prediction, Task

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "box_metrics.json").read_text(encoding="utf-8"))
PUBLISHED = json.loads(
    (HERE.parent / "parity" / "m3d_mini" / "case.json").read_text(encoding="utf-8")
)["iou"]
CELLS = 20


def answer_of(said: str, wanted: str) -> BoxAnswer:
    (answer,) = box_answers([Prediction("r", Task.REC, "c", "q", wanted, said)])
    return answer


def cells_of(box) -> np.ndarray:
    """The cells of a grid that a box on its lines holds."""
    held = np.zeros((CELLS,) * 3, bool)
    held[
        tuple(
            slice(round(a * CELLS), round(b * CELLS)) for a, b in zip(box[:3], box[3:], strict=True)
        )
    ] = True
    return held


@pytest.mark.parametrize("row", GOLDEN["rows"], ids=lambda row: row["reason"])
def test_the_values_are_those_of_the_golden_file(row):
    answer = answer_of(row["prediction"], row["reference"])
    found = {
        "iou.m3d": overlap_m3d(answer),
        "iou.standard": overlap(answer),
        "acc25.standard": overlaps_by(0.25)(answer),
        "acc50.standard": overlaps_by(0.5)(answer),
        "box_rate.standard": parsed(answer),
        "refusal_rate.standard": refused(answer),
    }
    assert found == {
        key: value if value is None else pytest.approx(value, abs=GOLDEN["tolerance"])
        for key, value in row["output"].items()
    }


def test_the_published_overlaps_are_given_back():
    ours = [overlap_m3d(answer_of(f"at {row['a']}", f"{row['b']}")) for row in PUBLISHED]
    assert ours == pytest.approx([row["m3d_iou"] for row in PUBLISHED], abs=1e-12)


def test_the_overlap_is_that_of_counted_cells():
    corners = np.random.default_rng(0).integers(0, CELLS + 1, (60, 2, 3))
    boxes = [tuple((row / CELLS).tolist()) for row in np.sort(corners, axis=1).reshape(60, 6)]
    for said, wanted in zip(boxes[:30], boxes[30:], strict=True):
        one, other = cells_of(said), cells_of(wanted)
        counted = (one & other).sum() / max((one | other).sum(), 1)
        assert overlap(BoxAnswer(said, wanted)) == pytest.approx(counted, abs=1e-9)


def test_the_published_overlap_is_never_above_the_true_one():
    corners = np.random.default_rng(1).random((40, 2, 3))
    boxes = [tuple(row) for row in np.sort(corners, axis=1).reshape(40, 6).tolist()]
    for said in boxes:
        answer = BoxAnswer(said, boxes[0])
        assert overlap_m3d(answer) <= overlap(answer)
