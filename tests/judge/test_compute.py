"""Is what a row cost counted once, left empty where nobody knows it, and readable?"""

import json
from pathlib import Path

import pandas as pd
import pytest

from tomovox.judge.compute import (
    COLUMNS,
    SIZE,
    TIMING,
    TRAINING,
    compute_of,
    compute_sheet,
    count_text,
    memory_text,
    three_digits,
    time_text,
    write_compute,
)
from tomovox.schema import TomovoxError

SIZES = {
    **{"parameters": 3_238_440, "trainable": 1_540_416, "visual_tokens": 32},
    **{"perceive": 0.9, "attend": 0.08, "prefill": 0.18, "token": 0.003, "note": ""},
    "shared": ["shared/language-a", "shared/vision3d-b"],
}
TRAINED = [
    {"stage": "align", "samples": 100, "seconds": 2.5},
    {"stage": "instruct", "samples": 900, "seconds": 10.0},
]
TIMED = [
    {"study": "a", "questions": 2, "seconds": 0.5, "peak_mib": 700},
    {"study": "b", "questions": 3, "seconds": 0.25, "peak_mib": 900},
]


def lines(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def made(folder: Path, size=SIZES, trained=TRAINED, timed=TIMED) -> Path:
    """Write a RUN folder with two shared stages beside it."""
    run = folder / "med2e3-s0"
    lines(run / TRAINING, trained)
    lines(run / TIMING, timed)
    lines(run / SIZE, [size])
    for place, seconds in zip(SIZES["shared"], (60.0, 30.5), strict=True):
        lines(folder / place / "stage.json", [{"seconds": seconds}])
    return run


def figures(run: Path) -> dict:
    (row,) = compute_of({("med2e3", 0, "none"): run}).to_dict("records")
    return row


def csv_of(frame: pd.DataFrame, folder: Path) -> list[list[str]]:
    (path,) = write_compute(frame, folder)
    return [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]


# ---- what is counted ---------------------------------------------------------------------------


def test_all_stages_of_training_count(tmp_path):
    row = figures(made(tmp_path))
    assert (row["samples"], row["train_seconds"]) == (1000, 12.5)


def test_a_stage_that_was_trained_again_counts_once(tmp_path):
    cut = {"stage": "instruct", "samples": 900, "seconds": 99.0}
    again = made(tmp_path / "again", trained=[TRAINED[0], cut, TRAINED[1]])
    assert figures(again)["train_seconds"] == figures(made(tmp_path / "once"))["train_seconds"]


def test_a_study_that_was_answered_again_counts_once(tmp_path):
    again = made(tmp_path / "again", timed=[{**TIMED[0], "seconds": 99.0}, TIMED[1], TIMED[0]])
    once = made(tmp_path / "once")
    assert figures(again)["predict_seconds"] == figures(once)["predict_seconds"] == 0.75


def test_studies_of_one_case_each_count(tmp_path):
    unnamed = [{"case": "c", "questions": 13, "seconds": 0.5, "peak_mib": 1} for _ in range(2)]
    assert figures(made(tmp_path, timed=unnamed))["predict_seconds"] == 1.0


def test_a_line_that_a_cut_left_unfinished_is_passed_over(tmp_path):
    run = made(tmp_path)
    with (run / TIMING).open("a", encoding="utf-8") as stream:
        stream.write('{"study": "c", "seco')
    assert figures(run)["predict_seconds"] == 0.75


def test_memory_is_the_highest_of_all_studies(tmp_path):
    assert figures(made(tmp_path))["peak_mib"] == 900


def test_a_question_costs_its_visual_tokens_and_its_prompt_but_no_volume(tmp_path):
    row = figures(made(tmp_path))
    assert row["gflops_question"] == pytest.approx(SIZES["attend"] + SIZES["prefill"])
    assert row["gflops_volume"] == SIZES["perceive"]


def test_shared_stages_are_counted_apart(tmp_path):
    assert figures(made(tmp_path))["shared_seconds"] == 90.5


# ---- what is not known -------------------------------------------------------------------------


def test_an_empty_folder_knows_nothing_and_says_no_zero(tmp_path):
    _, row = csv_of(compute_of({("majority", 0, "none"): tmp_path}), tmp_path)
    assert row == ["majority", "0", "none", *[""] * (len(COLUMNS) - 3)]


def test_a_model_without_shared_stages_spent_no_time_on_them(tmp_path):
    assert figures(made(tmp_path, size={**SIZES, "shared": []}))["shared_seconds"] == 0


def test_a_sum_of_which_a_part_is_not_known_is_not_known(tmp_path):
    run = made(tmp_path, trained=[{"stage": "align", "seconds": 1.0}, TRAINED[1]])
    assert pd.isna(figures(run)["samples"]) and figures(run)["train_seconds"] == 11.0


def test_shared_stages_that_are_gone_leave_their_time_unknown(tmp_path):
    run = made(tmp_path)
    (tmp_path / SIZES["shared"][0] / "stage.json").unlink()
    assert pd.isna(figures(run)["shared_seconds"])


def test_a_model_without_visual_tokens_has_0_of_them(tmp_path):
    assert figures(made(tmp_path, size={**SIZES, "visual_tokens": 0}))["visual_tokens"] == 0


def test_a_control_has_the_columns_of_prediction_alone(tmp_path):
    control = made(tmp_path) / "controls" / "no_image"
    lines(control / TIMING, TIMED)
    (row,) = compute_of({("med2e3", 0, "no_image"): control}).to_dict("records")
    known = {key for key, value in row.items() if not pd.isna(value) and value != ""}
    assert known == {"model", "seed", "control", "predict_seconds", "peak_mib"}


# ---- the file and the sheet --------------------------------------------------------------------


def test_the_file_does_not_depend_on_the_order_of_the_runs(tmp_path):
    run = made(tmp_path)
    names = [("b", 0, "none"), ("b", 0, "flip"), ("b", None, "none"), ("a", 1, "none")]
    there = csv_of(compute_of(dict.fromkeys(names, run)), tmp_path)
    back = csv_of(compute_of(dict.fromkeys(reversed(names), run)), tmp_path)
    assert there == back
    ordered = [tuple(row[:3]) for row in there[1:]]
    assert ordered == [
        ("a", "1", "none"), ("b", "", "none"), ("b", "0", "none"), ("b", "0", "flip")
    ]  # fmt: skip


def test_the_sheet_has_a_readable_row_per_model_and_none_for_what_is_unknown(tmp_path):
    run = made(tmp_path)
    places = {"med2e3": run, "majority": tmp_path / "majority-s0"}
    frame = compute_of({(model, 0, "none"): place for model, place in places.items()})
    sheet = compute_sheet(frame)
    (row,) = sheet.rows
    assert dict(zip(sheet.heads, row, strict=True)) == {
        **{"model": "med2e3", "parameters": "3.24 M", "trainable": "1.54 M"},
        **{"visual tokens": "32", "GFLOPs per volume": "0.9", "GFLOPs per question": "0.26"},
        **{"GFLOPs per token": "0.003", "samples": "1,000", "training": "12 s"},
        **{"shared stages": "1 min 30 s", "prediction": "0.8 s", "memory": "900 MiB"},
    }


def test_controls_stay_out_of_the_sheet(tmp_path):
    run = made(tmp_path)
    frame = compute_of({("med2e3", 0, control): run for control in ("none", "no_image")})
    assert [row[0] for row in compute_sheet(frame).rows] == ["med2e3"]


def test_the_sheet_tells_why_figures_are_missing(tmp_path):
    floor = tmp_path / "majority-s0"
    lines(floor / SIZE, [{"parameters": None, "note": "no network", "shared": None}])
    sheet = compute_sheet(compute_of({("majority", 0, "none"): floor}))
    assert not sheet.rows and "majority: no network" in sheet.told


def test_what_is_not_known_of_a_row_is_n_a_in_the_sheet(tmp_path):
    run = made(tmp_path)
    (run / SIZE).unlink()
    (row,) = compute_sheet(compute_of({("med2e3", 0, "none"): run})).rows
    assert row[1] == "n/a"


@pytest.mark.parametrize(
    ("text", "value", "told"),
    [
        (count_text, 6_983_026_640, "6.98 B"),
        (count_text, 135_000_000, "135 M"),
        (count_text, 74_112, "74.1 k"),
        (count_text, 512, "512"),
        (three_digits, 5154.3, "5,154"),
        (three_digits, 99.96, "100"),
        (three_digits, 0.0142, "0.0142"),
        (time_text, 11_100, "3 h 5 min"),
        (time_text, 723, "12 min 3 s"),
        (time_text, 59.7, "1 min 0 s"),
        (time_text, 0.42, "0.4 s"),
        (memory_text, 1129, "1.1 GiB"),
        (memory_text, 812, "812 MiB"),
    ],
)
def test_figures_are_read_in_the_unit_that_fits(text, value, told):
    assert text(value) == told


# ---- what was damaged --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "content"),
    [
        *((SIZE, "[]"), (SIZE, "{"), (SIZE, '{"parameters": "3"}'), (SIZE, '{"perceive": -1}')),
        *((SIZE, '{"parameters": 1e999}'), (SIZE, '{"note": 3}'), (SIZE, '{"shared": "ab"}')),
        *((SIZE, '{"shared": ["../../a"]}'), (SIZE, '{"token": true}')),
        *((TRAINING, "3\n"), (TRAINING, '{"stage": "a", "samples": 0.5}\n')),
        *((TIMING, '{"study": ["a"], "seconds": "2"}\n'), (TIMING, '{"peak_mib": 700.5}\n')),
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path, file, content):
    run = made(tmp_path)
    (run / file).write_text(content, encoding="utf-8")
    with pytest.raises(TomovoxError, match=rf"{file}.*; remove|{file}.*remove the line"):
        figures(run)


def test_a_study_whose_memory_is_not_known_counts_no_peak(tmp_path):
    assert figures(made(tmp_path, timed=[{"study": "a"}, TIMED[0]]))["peak_mib"] == 700
