"""Is a clean number that of the records which did not leak, and of nothing else?"""

from dataclasses import replace

import numpy as np
import pandas
import pytest

from tomovox.judge.clean import (
    COLUMNS,
    clean_against_official,
    clean_scores,
    clean_sheets,
    write_clean,
)
from tomovox.judge.clean_split import CleanSplit
from tomovox.judge.outcome import Outcome
from tomovox.judge.score import Scores, score
from tomovox.judge.tables import build_table
from tomovox.judge.verdicts import Asked
from tomovox.metrics.catalogue import METRICS
from tomovox.metrics.resources import Unavailable
from tomovox.metrics.retrieval import encode_embedding
from tomovox.schema import Prediction, Task

MODEL, BLIND, CONTROL = ("med2e3", 0, "none"), ("blind", 0, "none"), ("med2e3", 0, "no_image")
TEXTS = ("the liver is large", "a mass in the lung", "no mass", "fluid")


@pytest.fixture(autouse=True, scope="module")
def lexical_metrics_only():
    """Leave out the metrics that need data or an encoder: they have rows without samples."""

    def none(rows):
        raise Unavailable("left out here")

    with pytest.MonkeyPatch.context() as patch:
        for key in ("meteor.m3d", "meteor.standard", "bertscore_f1.m3d"):
            patch.setitem(METRICS, key, replace(METRICS[key], measure=none))
        yield


def closed(number: int, right: bool, case: int | None = None) -> Prediction:
    case = number // 2 if case is None else case
    return Prediction(
        f"vqa_closed/test/{number:06d}", Task.VQA_CLOSED, str(case),
        "Which plane?", "A. axial", "A. axial" if right else "B. coronal",
        ("plane", "organ")[number % 2], ("axial", "coronal", "sagittal", "oblique"),
    )  # fmt: skip


def report(number: int, text: str) -> Prediction:
    name, reference = f"report/test/{number:06d}", TEXTS[number % 4]
    return Prediction(name, Task.REPORT, str(number), "Say.", reference, text)


def pair(number: int, random: np.random.Generator) -> Prediction:
    volume, text = map(encode_embedding, random.normal(size=(2, 3)).astype(np.float32))
    return Prediction(
        f"retrieval/test/{number:06d}", Task.RETRIEVAL, str(number), "", f"report {number}", "",
        volume_embedding=volume, text_embedding=text,
    )  # fmt: skip


def answers(share: float, seed: int) -> list[Prediction]:
    random = np.random.default_rng(seed)
    return [
        *(closed(number, bool(random.random() < share)) for number in range(40)),
        *(report(number, TEXTS[random.integers(4)]) for number in range(12)),
        *(pair(number, random) for number in range(15)),
    ]


PREDICTED = {MODEL: answers(0.8, 0), BLIND: answers(0.4, 1), CONTROL: answers(0.5, 2)}
LEAKED = {
    **{f"vqa_closed/test/{number:06d}": ("case",) for number in (0, 1, 7)},
    **{f"vqa_closed/test/{number:06d}": ("case", "question") for number in (11, 12)},
    **{f"report/test/{number:06d}": ("report_near",) for number in (0, 3)},
    "retrieval/test/000004": ("volume_identical",),
    "vqa_closed/val/000000": ("case",),
}
SPLIT = CleanSplit("clean_split.json", "0123456789abcdef", "M3D-Data", LEAKED, 0)


def samples_of(scores: dict) -> dict:
    return {run: found.samples for run, found in scores.items()}


def frame_of(predictions: dict, leaked: dict) -> pandas.DataFrame:
    scores = {run: score(mine) for run, mine in predictions.items()}
    return clean_against_official(samples_of(scores), leaked)


@pytest.fixture(scope="module")
def scores() -> dict:
    return {run: score(mine) for run, mine in PREDICTED.items()}


@pytest.fixture(scope="module")
def frame(scores) -> pandas.DataFrame:
    return clean_against_official(samples_of(scores), LEAKED)


def closed_cell(frame: pandas.DataFrame, kind: str = "all", run=MODEL) -> dict:
    chosen = frame[frame["metric"].eq("accuracy") & frame["protocol"].eq("standard")]
    chosen = chosen[chosen["question_type"].eq(kind)]
    chosen = chosen[chosen["model"].eq(run[0]) & chosen["control"].eq(run[2])]
    return chosen.to_dict("records")[0]


# ---- the whole table of the clean records ------------------------------------------------------


def test_leaving_out_nothing_changes_nothing(scores):
    assert clean_scores(scores, {}) == clean_scores(scores, {"report/test/999999"}) == scores


@pytest.mark.parametrize("gone", [(), ("organ",)], ids=["some", "all of a type"])
def test_clean_scores_are_those_of_the_predictions_without_the_leaked_ones(gone):
    predictions = [p for p in PREDICTED[MODEL] if p.task != Task.RETRIEVAL]
    leaked = LEAKED.keys() | {p.id for p in predictions if p.question_type in gone}
    found = clean_scores({MODEL: score(predictions)}, leaked)
    assert found == {MODEL: score(p for p in predictions if p.id not in leaked)}


def test_a_metric_that_is_not_known_here_is_a_mean():
    place = {"task": "report", "metric": "llm_judge", "protocol": "standard"}
    parts = [{"id": report(n, "").id, "value": v} for n, v in enumerate((1.0, 0.25, 0.75))]
    samples = [{"case": "", "question_type": "", **part, **place} for part in parts]
    row = {"question_type": "all", "value": 2 / 3, "n": 3, "signature": "s", **place}
    found = clean_scores({MODEL: Scores(samples, [row])}, LEAKED)[MODEL]
    assert [(r["value"], r["n"]) for r in found.rows] == [(0.5, 2)]


def test_ranks_stay_those_in_the_gallery_of_all_records(scores):
    before, after = (
        {s["id"]: s["value"] for s in found[MODEL].samples if s["metric"] == "i2t_median_rank"}
        for found in (scores, clean_scores(scores, LEAKED))
    )
    assert dict(before.items() - after.items()).keys() == {"retrieval/test/000004"}
    assert after.items() < before.items()


def test_a_run_of_which_all_leaked_is_gone(scores):
    assert clean_scores(scores, {p.id for p in PREDICTED[MODEL]}) == {}


def test_clean_scores_are_compared_as_any_others(scores):
    frame = Outcome.of(clean_scores(scores, LEAKED)).frame
    cells = frame[frame["metric"].eq("accuracy") & frame["question_type"].eq("all")]
    assert cells["n"].eq(35).all()
    assert cells["p_adjusted"].notna().eq(cells["model"] != "blind").all()


# ---- official beside clean ---------------------------------------------------------------------


def test_every_run_has_every_metric_by_question_type(scores, frame):
    table = build_table({run: mine.rows for run, mine in scores.items()})
    places = [set(map(tuple, t[list(COLUMNS[:5])].values)) for t in (table.dropna(), frame)]
    assert places[0] == places[1] and len(places[0]) > 20


@pytest.mark.parametrize("name, n, left_out", [("official", "n", {}), ("clean", "n_clean", LEAKED)])
def test_official_and_clean_are_the_values_of_the_two_tables(scores, frame, name, n, left_out):
    found = clean_scores(scores, left_out)
    table = build_table({run: mine.rows for run, mine in found.items()})
    table, mine = (either.set_index(list(COLUMNS[:7])) for either in (table, frame))
    np.testing.assert_allclose(mine[name], table["value"].loc[mine.index], rtol=1e-12)
    assert (mine[n] == table["n"].loc[mine.index]).all()


def test_the_difference_is_clean_less_official_and_lies_in_its_interval(frame):
    np.testing.assert_allclose(frame["difference"], frame["clean"] - frame["official"], atol=1e-15)
    assert frame["difference"].between(frame["difference_lo"], frame["difference_hi"]).all()


def test_without_a_leak_the_difference_is_exactly_nothing(scores):
    frame = clean_against_official(samples_of(scores), {})
    assert (frame[["difference", "difference_lo", "difference_hi"]] == 0).all(axis=None)
    assert frame["n"].eq(frame["n_clean"]).all() and frame["left_out"].eq("").all()


def test_leaked_records_that_alone_were_right_leave_a_clean_value_of_nothing():
    leaked = {closed(number, True).id: ("case",) for number in range(10)}
    cell = closed_cell(frame_of({MODEL: [closed(n, n < 10) for n in range(40)]}, leaked))
    assert (cell["official"], cell["clean"], cell["difference"]) == (0.25, 0, -0.25)
    assert (cell["n"], cell["n_clean"], cell["cases"], cell["cases_clean"]) == (40, 30, 20, 15)
    assert cell["difference_lo"] < -0.25 < cell["difference_hi"] < 0


def test_where_everything_leaked_there_is_no_clean_value():
    leaked = {closed(n, True).id: ("case",) for n in range(0, 8, 2)}  # all of "plane"
    frame = frame_of({MODEL: [closed(n, n < 4) for n in range(8)]}, leaked)
    plane = closed_cell(frame, "plane")
    assert np.isnan([plane[name] for name in ("clean", "difference", "difference_lo")]).all()
    assert plane["official"] == 0.5 and plane["n_clean"] == plane["cases_clean"] == 0
    assert closed_cell(frame, "macro")["clean"] == closed_cell(frame, "organ")["clean"]
    assert frame_of({MODEL: [closed(0, True)]}, leaked)["clean"].isna().all()


def test_questions_of_one_case_move_together():
    leaked, widths = {closed(n, True).id: ("case",) for n in range(80)}, []
    for size in (20, 1):  # questions of a case
        one = {MODEL: [closed(n, n < 80, case=n // size) for n in range(160)]}
        cell = closed_cell(frame_of(one, leaked))
        widths.append(cell["difference_hi"] - cell["difference_lo"])
    assert widths[0] > 3 * widths[1]


def test_values_stand_on_the_draws_of_the_ordinary_table():
    """Where only what leaked was right, clean is 0 in every draw: the ends are those of -value."""
    half, leaked = ("half", 0, "none"), {closed(n, True).id: ("case",) for n in range(20)}
    runs = PREDICTED | {half: [closed(n, n < 20) for n in range(40)]}
    mine = closed_cell(frame_of(runs, leaked), run=half)
    table = Outcome.of({run: score(found) for run, found in runs.items()}).frame
    table = table[table["metric"].eq("accuracy") & table["protocol"].eq("standard")]
    cell = closed_cell(table, run=half)
    assert (mine["difference_lo"], mine["difference_hi"]) == (-cell["hi"], -cell["lo"])


def test_the_order_of_runs_and_records_changes_no_digit(scores, frame):
    turned = {run: found.samples[::-1] for run, found in reversed(scores.items())}
    again = clean_against_official(turned, dict(reversed(LEAKED.items())))
    pandas.testing.assert_frame_equal(again, frame, check_exact=True)


def test_what_was_left_out_is_counted_by_kind(frame):
    assert closed_cell(frame)["left_out"] == "case 5; question 2"
    assert closed_cell(frame, kind="organ")["left_out"] == "case 3; question 1"


def test_runs_without_a_primary_metric_have_no_rows_and_no_file(tmp_path):
    frame = clean_against_official({MODEL: []}, LEAKED)
    assert frame.empty and write_clean(frame, tmp_path) == [] and clean_sheets(frame, SPLIT) == []


def test_the_file_has_six_digits(frame, tmp_path):
    assert write_clean(frame, tmp_path) == [tmp_path / "clean.csv"]
    head, line, *_ = (tmp_path / "clean.csv").read_text("utf-8").splitlines()
    assert head == ",".join(COLUMNS)
    assert len(line.split(",")[7].partition(".")[2]) == 6


def test_a_sheet_has_a_line_for_every_run_and_its_control_below(frame):
    sheet = next(s for s in clean_sheets(frame, SPLIT) if s.section == "vqa_closed")
    assert sheet.title.startswith("vqa_closed: accuracy")
    assert [row[0] for row in sheet.rows] == ["blind", "med2e3", "  no_image"]
    assert {row[-1] for row in sheet.rows} == {"35 of 40"} and sheet.rows[0][3].endswith("]")
    source, why = sheet.told
    assert clean_sheets(frame, SPLIT, Asked(metrics=("accuracy",)))[0].rows == sheet.rows
    assert "clean_split.json" in source and "0123456789ab)" in source
    assert why.endswith("case 5; question 2.")


def test_a_sheet_says_where_none_or_all_were_left_out():
    runs, leaked = {MODEL: [closed(0, True)], BLIND: [closed(1, True)]}, closed(1, True).id
    (sheet,) = clean_sheets(frame_of(runs, {leaked: ("case",)}), SPLIT)
    assert sheet.rows[0][1:] == ("100.0%", "none left", "", "0 of 1")
    assert sheet.rows[1][1:] == ("100.0%", "100.0%", "none left out", "1 of 1")
    assert sheet.told[1].endswith("case 1 (blind).")


@pytest.mark.parametrize(
    ("leaked", "said"),
    [
        (LEAKED, "None of the 6 leaked records of clean_split.json is in this comparison: other"),
        ({"report/val/000000": ("case",)}, "clean_split.json lists no record of"),
    ],
)
def test_a_sheet_tells_a_split_of_other_data_from_one_without_leaks(leaked, said):
    frame = frame_of({MODEL: [closed(30, True)]}, leaked)
    assert clean_sheets(frame, replace(SPLIT, leaked=leaked))[0].told[1].startswith(said)


def test_a_sheet_says_what_the_audit_did_not_check(frame):
    told = [sheet.told[-1] for sheet in clean_sheets(frame, replace(SPLIT, unchecked=3))]
    assert all(line.endswith("the audit: 3. More may have leaked.") for line in told)
