"""Does every row become a metric with its own name, and nothing a number that is none?"""

import math

from tomovox.tracking.names import (
    attention_metrics,
    compared_metrics,
    metric_name,
    reliance_metrics,
    score_metrics,
    unavailable_tags,
)

ROW = {
    "task": "vqa_closed",
    "question_type": "plane",
    "metric": "accuracy",
    "protocol": "standard",
    "value": 0.5,
    "n": 4,
}
NAME = "vqa_closed.plane.accuracy.standard"
COMPARED = {
    **ROW,
    "control": "none",
    "lo": 0.25,
    "hi": 0.75,
    "difference": math.nan,
    "p_adjusted": math.nan,
}
MISSING = {**ROW, "value": None, "note": "unavailable: no WordNet"}


def test_a_name_holds_only_what_mlflow_allows():
    assert metric_name({**ROW, "question_type": "a (b)|c"}) == "vqa_closed.a_b_c.accuracy.standard"


def test_scores_and_n_are_metrics():
    assert score_metrics([ROW]) == {NAME: 0.5, f"{NAME}.n": 4.0}


def test_an_unavailable_score_is_a_tag_and_no_number():
    assert score_metrics([MISSING]) == {f"{NAME}.n": 4.0}
    assert unavailable_tags([ROW, MISSING]) == {f"unavailable.{NAME}": "unavailable: no WordNet"}


def test_a_score_that_is_nan_is_a_tag_and_no_number():
    row = {**ROW, "value": math.nan}
    assert score_metrics([row]) == {f"{NAME}.n": 4.0}
    assert unavailable_tags([row]) == {f"unavailable.{NAME}": ""}


def test_statistics_are_metrics_and_what_is_nan_is_not_there():
    assert compared_metrics([COMPARED]) == {f"{NAME}.lo": 0.25, f"{NAME}.hi": 0.75}


def test_of_a_control_the_score_is_a_metric_of_the_same_run():
    rows = [{**COMPARED, "control": c, "value": v} for c, v in (("no_image", 0.25), ("b", None))]
    assert compared_metrics(rows) == {f"control.no_image.{NAME}": 0.25}


def test_visual_reliance_is_a_metric_where_there_is_a_gain():
    row = {"control": "no_image", "task": "rec", "question_type": "all", "reliance": 0.5}
    rows = [row, {**row, "question_type": "plane", "reliance": math.nan}]
    assert reliance_metrics(rows) == {"reliance.no_image.rec.all": 0.5}


def test_where_a_run_looked_is_named_by_statistic_and_place():
    row = {"statistic": "deletion_auc", "hidden": "input", "task": "rec", "question_type": "all"}
    rows = [
        {**row, "value": 0.5},
        {**row, "statistic": "entropy", "hidden": "", "value": 2.0},
        {**row, "statistic": "evidence_mass", "hidden": "", "value": math.nan},
    ]
    assert attention_metrics(rows) == {
        "attention.deletion_auc.input.rec.all": 0.5,
        "attention.entropy.rec.all": 2.0,
    }
