"""Are the made-up answers what they are said to be, and do they stand where they must?"""

from dataclasses import replace

import pytest

from tomovox.judge.sanity import (
    NEGATED,
    REFERENCE,
    SHUFFLED,
    negated,
    sanity_board,
    sanity_sheets,
    shuffled,
)
from tomovox.metrics import catalogue
from tomovox.metrics.catalogue import METRICS
from tomovox.metrics.resources import Unavailable
from tomovox.schema import Prediction, Task, TomovoxError

TEXTS = (
    "The liver is enlarged. No mass is seen.",
    "A small nodule lies in the right lung; there is no effusion.",
    "Both kidneys are normal without stones.",
    "The spleen has a cyst of 3.5 cm.",
    "Free fluid around the bladder.",
    "The aorta appears dilated above the diaphragm.",
)


@pytest.fixture(autouse=True)
def lexical_metrics_only(monkeypatch):
    """Leave out the metrics that need data or an encoder; they are tested elsewhere."""

    def none(rows):
        raise Unavailable("left out here")

    for key in ("meteor.m3d", "meteor.standard", "bertscore_f1.m3d"):
        monkeypatch.setitem(catalogue.METRICS, key, replace(METRICS[key], measure=none))


def record(number, reference, case="", kind="", task=Task.REPORT, text="The liver is seen."):
    key = f"{task}/{number:03d}"
    return Prediction(key, task, case or str(number), "Describe.", reference, text, kind)


REPORTS = [record(i, text) for i, text in enumerate(TEXTS)]


def values(board, name, column="value"):
    mine = board[(board["model"] == name) & board["value"].notna()]
    keys = mine["metric"] + "." + mine["protocol"]
    return dict(zip(keys, mine[column], strict=True))


def test_no_metric_puts_anything_above_the_reference():
    board = sanity_board({"model-s0": REPORTS})
    best = values(board, REFERENCE)
    assert best and all(value == pytest.approx(1) for value in best.values())
    for name in ("model", NEGATED, SHUFFLED):
        assert all(value <= best[key] for key, value in values(board, name).items())


def test_every_metric_puts_another_case_below_the_reference():
    board = sanity_board({"model-s0": REPORTS})
    best, floor = values(board, REFERENCE), values(board, SHUFFLED)
    assert best.keys() == floor.keys() and all(floor[key] < best[key] for key in best)


def test_words_of_a_denied_report_still_score_above_another_case():
    board = sanity_board({"model-s0": REPORTS})
    assert values(board, NEGATED)["rouge1.m3d"] > values(board, SHUFFLED)["rouge1.m3d"]


def test_the_board_is_a_table_of_whole_tasks():
    open_ = [record(i, "axial", kind="plane", task=Task.VQA_OPEN) for i in range(3)]
    closed = replace(REPORTS[0], id="c", task=Task.VQA_CLOSED, reference="A. liver")
    frame = sanity_board({"model-s0": [*REPORTS, *open_, closed]})
    assert set(frame["task"]) == {"report", "vqa_open"}
    assert set(frame["question_type"]) == {"all"}
    assert set(frame["model"]) == {"model", REFERENCE, NEGATED, SHUFFLED}


def test_made_up_rows_hold_the_records_of_all_runs():
    board = sanity_board({"a": REPORTS[:2], "b": REPORTS[1:]})
    assert set(board[board["model"] == REFERENCE]["n"]) == {len(REPORTS)}


# ---- the way from floor to ceiling ------------------------------------------------------------


def test_the_ends_of_the_way_are_the_floor_and_the_ceiling():
    board = sanity_board({"model-s0": REPORTS})
    for name, end in ((SHUFFLED, 0), (REFERENCE, 1)):
        for column in ("way", "way_lo", "way_hi"):
            assert set(values(board, name, column).values()) == {end}


def test_a_way_is_the_share_of_the_gap_that_lies_below_the_value():
    board = sanity_board({"model-s0": REPORTS})
    low, high = values(board, SHUFFLED), values(board, REFERENCE)
    shares = {k: (v - low[k]) / (high[k] - low[k]) for k, v in values(board, NEGATED).items()}
    assert values(board, NEGATED, "way") == pytest.approx(shares)


def test_a_way_counts_the_records_that_its_row_has():
    right = [replace(r, text=r.reference) for r in REPORTS[:3]]
    board = sanity_board({"right": right, "model": REPORTS})
    assert set(values(board, "right", "way").values()) == {1}
    assert set(values(board, "right", "cases").values()) == {3}


def test_a_metric_whose_ceiling_is_no_higher_than_its_floor_has_no_way():
    answers = [record(i, "axial", task=Task.VQA_OPEN) for i in range(4)]
    assert sanity_board({"model-s0": answers})["way"].isna().all()


def test_a_sheet_says_the_ends_as_values_and_the_rest_as_ways():
    answers = [replace(r, text=r.reference) for r in REPORTS]
    m3d, standard = sanity_sheets(sanity_board({"model-s0": answers}))
    assert m3d.heads == ("model", "bleu1", "rouge1") and "rougeL" in standard.heads
    rows = {name: cells for name, *cells in m3d.rows}
    assert list(rows) == [f"{REFERENCE}, value", f"{SHUFFLED}, value", NEGATED, "model"]
    assert rows[f"{REFERENCE}, value"] == ["1.000"] * 2
    assert rows["model"] == ["100% [100, 100]"] * 2


def test_a_sheet_says_which_metrics_have_no_way_and_why():
    answers = [record(i, "axial", task=Task.VQA_OPEN) for i in range(4)]
    (m3d, _) = sanity_sheets(sanity_board({"model-s0": answers}))
    assert m3d.heads == ("model",)
    assert "vqa_open, bleu1 of protocol m3d: the ceiling is not clearly above the floor" in m3d.told
    assert "vqa_open, meteor of protocol m3d: unavailable: left out here" in m3d.told


def test_a_row_without_the_task_is_not_available():
    open_ = [record(i, text, task=Task.VQA_OPEN) for i, text in enumerate(TEXTS)]
    sheets = sanity_sheets(sanity_board({"a": [*REPORTS, *open_], "b": REPORTS}))
    rows = {sheet.section: dict((r[0], r[1]) for r in sheet.rows) for sheet in sheets}
    assert rows["vqa_open"]["b"] == "n/a" != rows["report"]["b"]


# ---- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({}, "no answers to report or case_report or vqa_open"),
        ({REFERENCE: REPORTS}, r"run \(reference\): the name is that of a made-up row"),
        (
            {"a": REPORTS, "b": [replace(REPORTS[0], reference="other")]},
            "report/000: a and b have different references",
        ),
        ({"a": REPORTS[:1]}, "report/000: no other case has a reference"),
    ],
)
def test_runs_that_have_no_common_board_are_refused(runs, message):
    with pytest.raises(TomovoxError, match=message):
        sanity_board(runs)


# ---- references of other cases ---------------------------------------------------------------

TWO_EACH = [record(i, f"text {i}", case=str(i // 2), kind="organ") for i in range(10)]


def test_every_reference_is_given_once_and_to_another_case():
    answers = shuffled(TWO_EACH, 0)
    assert sorted(a.text for a in answers) == sorted(r.reference for r in TWO_EACH)
    case_of = {r.reference: r.case for r in TWO_EACH}
    assert all(case_of[a.text] != a.case for a in answers)


def test_references_stay_with_their_task_and_question_type():
    mixed = [
        replace(record(i, kind, kind=kind, task=Task.VQA_OPEN), id=f"{kind}{i}")
        for kind in ("plane", "organ")
        for i in range(4)
    ]
    assert all(answer.text == answer.question_type for answer in shuffled(mixed, 0))


def test_a_record_without_another_case_is_left_out():
    assert shuffled([replace(r, case="one") for r in TWO_EACH], 0) == []


def test_the_seed_alone_decides_who_gets_what():
    assert shuffled(TWO_EACH, 0) == shuffled(TWO_EACH[::-1], 0) != shuffled(TWO_EACH, 1)


# ---- the opposite ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "opposite"),
    [
        ("No mass is seen.", "Mass is seen."),
        ("There is no effusion", "There is effusion"),
        ("The liver is enlarged.", "The liver is not enlarged."),
        ("The liver is not enlarged.", "The liver is enlarged."),
        ("CT without contrast.", "CT with contrast."),
        ("Pleural effusion.", "No pleural effusion."),
        ("CT of the chest", "No CT of the chest"),
        ("axial", "no axial"),
        ("A cyst of 3.5 cm", "No a cyst of 3.5 cm"),
        ("Cyst; the liver is large.\nNo stones.", "No cyst; the liver is not large.\nStones."),
        ("Noted", "No noted"),
        ("Yes.", "No."),
        ("no", "yes"),
    ],
)
def test_every_sentence_is_denied(text, opposite):
    assert negated(text) == opposite


@pytest.mark.parametrize("text", TEXTS)
def test_a_denied_text_differs(text):
    assert negated(text) != text


@pytest.mark.parametrize("text", ["", " ", "..."])
def test_a_text_without_words_is_left_as_it_is(text):
    assert negated(text) == text
