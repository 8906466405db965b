"""Do the sheets say what the rows say, and no more?"""

import numpy as np
import pytest
from made_attended import attended, noisy_run, oracle_run, run_of, uniform_run

from tomovox.analysis.claims import NO_DIFFERENCE
from tomovox.analysis.elsewhere import scrambled_rows, word_rows
from tomovox.analysis.localisation import localisation_rows
from tomovox.analysis.summary import (
    attention_sheets,
    headlines,
    summary_markdown,
    verdict_of,
)
from tomovox.analysis.table import attention_table
from tomovox.analysis.type_shift import type_rows
from tomovox.analysis.volume_shift import shift_rows

SCRAMBLED, MOVED, LOCAL = "scrambled weights", "How far", "find the slices"
PARTED, TYPED = "every question type", "the type of the question"


def frame_of(rows, seed=0):
    return attention_table({("m", seed): rows})


def sheet_of(rows, title, seed=0):
    """Return the one sheet whose title says so."""
    (found,) = [s for s in attention_sheets(frame_of(rows, seed)) if title in s.title]
    return found


def words_of(records):
    scores = {record.id: record.scores for record in records}
    return word_rows(records, {}, scores)


def alike(records, rows_of):
    return scrambled_rows(records, {record.id: rows_of(record) for record in records})


def cell(**changes):
    return {"p_adjusted": 0.01, "difference": 0.1, "against": "gaussian", **changes}


# ---- verdicts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "better than the centre prior"),
        ({"difference": -0.1}, "worse than the centre prior"),
        ({"against": "other_question"}, "better than its own scores for other questions"),
        ({"p_adjusted": 0.05}, NO_DIFFERENCE),
        ({"difference": 0.0}, NO_DIFFERENCE),
        ({"p_adjusted": float("nan")}, ""),
    ],
)
def test_a_verdict_is_in_words(changes, said):
    assert verdict_of(cell(**changes)) == said


def test_types_that_look_apart_move_with_words_and_not_with_meaning():
    records = run_of(lambda case, kind: np.eye(8)[int(kind == "organ")])
    assert sheet_of(type_rows(records), TYPED).rows[0][-1] == "moves with the words of the type"


def test_question_and_volume_have_numbers_and_no_verdict():
    sheet = sheet_of([*shift_rows(noisy_run()), *words_of(noisy_run())], MOVED)
    assert "verdict" not in sheet.heads
    assert sheet.rows[0][sheet.heads.index("shuffled_words [95 %]")].startswith("0 ")


# ---- scrambled weights -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows_of", "said"),
    [
        (lambda record: np.array([record.scores] * 20), "high"),
        (lambda record: 1 - np.array([record.scores] * 20), "low"),
    ],
)
def test_likeness_to_scrambled_weights_is_high_or_low(rows_of, said):
    records = noisy_run()
    assert sheet_of(alike(records, rows_of), SCRAMBLED).rows[0][-1] == said


def test_an_interval_on_both_sides_of_the_half_is_open():
    scrambles = np.array([noisy_run()[0].scores] * 20)
    scrambles[:5] = 1 - scrambles[:5]
    records = [attended(case, scores=scrambles[-1]) for case in range(12)]
    assert sheet_of(alike(records, lambda record: scrambles), SCRAMBLED).rows[0][-1] == "open"


def test_a_uniform_scorer_has_no_likeness_and_nothing_learned():
    records = uniform_run()
    rows = words_of(records) + alike(records, lambda record: np.array([record.scores] * 20))
    assert sheet_of(rows, SCRAMBLED).rows == (("m", "vqa_open", "n/a", ""),)


def test_no_sheet_calls_scores_learned():
    records = noisy_run()
    rows = alike(records, lambda record: 1 - np.array([record.scores] * 20))
    cells = [text for sheet in attention_sheets(frame_of(rows)) for r in sheet.rows for text in r]
    assert not [text for text in cells if "learned" in text]


# ---- where the answer is -----------------------------------------------------------------------


def test_each_baseline_stands_below_its_statistic():
    heads = [row[0].strip() for row in sheet_of(localisation_rows(oracle_run()), LOCAL).rows]
    assert heads == ["m", "uniform", "gaussian", "area"] * 2


def test_a_baseline_of_fewer_records_says_how_many():
    records = oracle_run()
    whole = {"evidence": tuple(range(8)), "scope": "volume"}
    records.append(attended(0, "phase", (0.125,) * 8, **whole))
    heads = [row[0].strip() for row in sheet_of(localisation_rows(records), LOCAL).rows]
    assert "other_question (3 records)" in heads


def test_question_types_stand_before_planes_and_phases():
    rows = sheet_of(localisation_rows(oracle_run(cases=20)), PARTED).rows
    names = ["location", "organ", "plane", "axial", "coronal", "arterial", "portal venous"]
    assert [row[1] for row in rows] == names


def test_a_question_type_without_a_baseline_is_shown_with_the_others():
    frame = frame_of(localisation_rows(oracle_run(cases=20)))
    lost = (frame["question_type"] == "organ") & (frame["against"] == "uniform")
    (sheet,) = [s for s in attention_sheets(frame[~lost]) if PARTED in s.title]
    (organ,) = [row for row in sheet.rows if row[1] == "organ"]
    assert organ[4] == "" and organ[5]


def test_a_run_without_a_seed_is_shown(tmp_path):
    rows = localisation_rows(oracle_run(cases=20))
    assert sheet_of(rows, PARTED, seed=None).rows == sheet_of(rows, PARTED).rows


# ---- the whole ---------------------------------------------------------------------------------


def test_a_table_of_nothing_has_no_sheets():
    assert attention_sheets(frame_of([])) == []


def test_no_two_sheets_have_one_title():
    rows = [*localisation_rows(oracle_run()), *shift_rows(noisy_run()), *type_rows(noisy_run())]
    titles = [sheet.title for sheet in attention_sheets(frame_of(rows))]
    assert len(set(titles)) == len(titles) > 3


def test_headlines_are_about_all_planes_and_phases():
    found = headlines(frame_of(localisation_rows(oracle_run(cases=20))))
    assert {row["plane"] + row["phase"] for row in found} == {""}
    assert {row["question_type"] for row in found} > {"all", "organ"}


def test_a_page_tells_each_line_once():
    frame = frame_of([*localisation_rows(oracle_run()), *type_rows(noisy_run())])
    page = summary_markdown(attention_sheets(frame, ("told of the model",)))
    assert page.count("told of the model") == 1
