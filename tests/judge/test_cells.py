"""Do lines of a table stand in order, and do their counts tell what is known?"""

import pandas as pd
import pytest

from tomovox.judge.cells import is_below, lines_of, runs_of, span

RUNS = {
    ("a", 0, "none"): "a (seed 0)",
    ("a", 0, "no_image"): "a (seed 0), no_image",
    ("a", 1, "none"): "a (seed 1)",
    ("a", None, "reported"): "a, reported",
    ("b", None, "none"): "b",
}


def test_controls_stand_below_their_seed_and_figures_below_all_seeds():
    shuffled = list(RUNS)[::-1]
    frame = pd.DataFrame(shuffled, columns=["model", "seed", "control"]).astype({"seed": "Int64"})
    assert list(runs_of(frame).items()) == list(RUNS.items())


@pytest.mark.parametrize(
    ("run", "below"),
    [
        (("a", 0, "none"), False),
        (("a", 0, "no_image"), True),
        (("a", 2, "no_image"), False),
        (("a", None, "reported"), True),
        (("c", None, "reported"), False),
    ],
)
def test_a_line_is_below_where_its_model_has_one(run, below):
    assert is_below(run, RUNS) is below


def test_a_reported_line_stands_only_where_it_has_a_figure():
    column, other = ("all", "bleu1", "m3d"), ("all", "bleu1", "standard")
    cells = {(("a", None, "reported"), *column): {"value": 0.5}}
    assert lines_of(RUNS, cells, [other, column]) == RUNS
    assert "a, reported" not in lines_of(RUNS, cells, [other]).values()
    assert len(lines_of(RUNS, cells, [other])) == len(RUNS) - 1


@pytest.mark.parametrize(
    ("numbers", "text"), [([3, 3], "n=3"), ([3, 10], "n=3-10"), ([3, pd.NA, None], "n=3")]
)
def test_a_span_leaves_out_what_is_not_known(numbers, text):
    assert span(numbers) == text
