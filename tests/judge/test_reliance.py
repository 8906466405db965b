"""Is the share of a gain that vanishes all of it for a model that looks, and none for another?"""

import numpy as np
import pytest
from test_compare import samples, suite

from tomovox.judge.reliance import floor_of, reliance, reliance_sheets


@pytest.fixture(scope="module")
def found():
    return reliance(suite() | {("equal", 0, "no_image"): samples(0.45, 12)})


def test_reliance_is_all_of_the_gain_of_a_model_that_looks_and_none_of_one_that_does_not(found):
    whole = found[found["question_type"] == "all"].set_index("model")
    assert whole.loc["better", "reliance"] == 0
    assert whole.loc["seeing", "lo"] < 1 < whole.loc["seeing", "hi"]
    assert (whole["floor"] == "blind").all()


def test_a_model_that_gains_nothing_has_no_reliance(found):
    cells = found.set_index(["model", "question_type"])
    assert np.isnan(cells.loc[("equal", "all"), "reliance"])


def test_a_sheet_has_a_row_for_each_control_and_a_column_for_each_question_type(found):
    (sheet,) = reliance_sheets(found)
    assert sheet.section == "vqa_closed"
    assert sheet.heads == ("model", "control", "all", "plane", "organ")
    rows = {row[0]: row[1:] for row in sheet.rows}
    assert rows["better"][:2] == ("no_image", "0% [0, 0]")
    assert set(rows["equal"][1:]) == {"no gain"}


def test_seeds_of_one_model_are_told_apart():
    runs = {("blind", 0, "none"): samples(0.45, 0)}
    for seed in (0, 1):
        runs["seeing", seed, "none"] = samples(0.75, seed + 3)
        runs["seeing", seed, "no_image"] = samples(0.45, seed + 5)
    (sheet,) = reliance_sheets(reliance(runs, replicates=50))
    assert [row[0] for row in sheet.rows] == ["seeing (seed 0)", "seeing (seed 1)"]


def test_a_control_with_fewer_records_is_measured_on_these_alone():
    """The model knows half of what it was asked; the control was asked of that half alone."""
    model = [s | {"value": float(i < 300)} for i, s in enumerate(samples(0, 0))]
    floor = [s | {"value": float(i % 4 == 0)} for i, s in enumerate(samples(0, 0))]
    runs = {("blind", 0, "none"): floor, ("a", 0, "none"): model, ("a", 0, "b"): model[:300]}
    found = reliance(runs, replicates=50)
    (whole,) = found[found["question_type"] == "all"].to_dict("records")
    assert (whole["gain"], whole["kept"]) == (0.75, 0.75)
    assert (whole["reliance"], whole["lo"], whole["hi"], whole["cases"]) == (0, 0, 0, 50)


def test_the_floor_is_of_the_same_seed_else_of_the_lowest():
    runs = [("blind", 2, "none"), ("blind", 1, "none"), ("majority", 5, "none")]
    assert floor_of(("a", 2, "no_image"), runs) == ("blind", 2, "none")
    assert floor_of(("a", 5, "no_image"), runs) == ("blind", 1, "none")


def test_the_floor_is_of_the_same_experiment():
    runs = [("one/blind", 0, "none"), ("two/majority", 0, "none")]
    assert floor_of(("two/a", 0, "no_image"), runs) == ("two/majority", 0, "none")
    assert floor_of(("a", 0, "no_image"), runs) is None


def test_without_a_floor_the_sheet_says_so():
    runs = {("a", 0, "none"): samples(0.7, 0), ("a", 0, "no_image"): samples(0.5, 1)}
    (sheet,) = reliance_sheets(reliance(runs))
    assert sheet.title == "vqa_closed: no visual reliance in accuracy"
    assert sheet.rows == (("a", "no_image"),) and "no row blind, majority" in sheet.told[0]


def test_harm_by_an_input_that_was_never_taught_is_more_than_all_of_the_gain():
    runs = {("blind", 0, "none"): samples(0.45, 0), ("a", 0, "none"): samples(0.75, 1)}
    (sheet,) = reliance_sheets(reliance(runs | {("a", 0, "no_image"): samples(0.2, 2)}))
    assert int(sheet.rows[0][2].partition("%")[0]) > 100 and "harm" in sheet.told[0]


def test_without_controls_there_is_no_sheet():
    assert reliance_sheets(reliance({("blind", 0, "none"): samples(0.45, 0)})) == []
