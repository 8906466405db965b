"""Is the share of a gain that vanishes all of it for a model that looks, and none for another?"""

import numpy as np
import pytest
from test_compare import samples, suite

from tomovox.judge.reliance import reliance, reliance_sheets


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


def test_without_controls_there_is_no_sheet():
    assert reliance_sheets(reliance({("blind", 0, "none"): samples(0.45, 0)})) == []
