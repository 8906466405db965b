"""Is a model called the best only where it is, whatever records and seeds its runs have?"""

import numpy as np
import pytest
from test_compare import CASES, KINDS, rows_of, samples

from tomovox.judge.best import best_runs
from tomovox.judge.columns import columns_of
from tomovox.judge.compare import compared
from tomovox.judge.tables import build_table


def best(runs: dict) -> set[tuple]:
    """Model, seed and question type of each cell that a table prints in bold."""
    frame = compared(build_table(rows_of(runs)), runs)
    chosen = frame[frame["best"]][["model", "seed", "question_type"]]
    return set(chosen.itertuples(index=False, name=None))


def fixed(right, ids=range(CASES * 6)) -> list[dict]:
    """Return answers to the records `ids`, right where `right` says so."""
    asked = samples(0.5, 0)
    return [asked[i] | {"value": float(right(i))} for i in ids]


def test_a_model_that_answered_only_what_is_easy_is_not_the_best():
    """A: 80 % of its half, where blind has 93 %; blind has 58 % of all."""
    easy = range(CASES * 3)
    runs = {
        ("a", 0, "none"): fixed(lambda i: i % 5 > 0, easy),
        ("blind", 0, "none"): fixed(lambda i: i % 15 > 0 if i in easy else i % 4 == 0),
    }
    assert ("a", 0, "all") not in best(runs)


def test_without_records_in_common_nothing_is_the_best():
    runs = {
        ("a", 0, "none"): fixed(lambda i: True, range(300)),
        ("blind", 0, "none"): fixed(lambda i: False, range(300)),
        ("c", 0, "none"): fixed(lambda i: i % 2 == 0, range(300, 600)),
    }
    assert best(runs) == set()
    del runs["c", 0, "none"]
    assert best(runs) == {("a", 0, kind) for kind in ("all", "macro", *KINDS)}


def test_a_lucky_seed_makes_no_model_the_best():
    runs = {("a", seed, "none"): samples(share, seed) for seed, share in enumerate((0.5, 0.5, 0.8))}
    runs |= {("blind", seed, "none"): samples(0.5, seed + 9) for seed in range(3)}
    assert best(runs) == set()


def test_all_runs_of_a_model_are_the_best_where_each_wins():
    runs = {("a", seed, "none"): samples(0.8, seed) for seed in range(2)}
    runs |= {("blind", seed, "none"): samples(0.4, seed + 9) for seed in range(2)}
    assert {seed for _, seed, kind in best(runs) if kind == "all"} == {0, 1}


@pytest.mark.parametrize("gap", np.linspace(0.05, 0.12, 5))
def test_what_is_the_best_is_marked_as_better_than_the_reference(gap):
    runs = {(name, 0, "none"): samples(0.5 + gap * i, i) for i, name in enumerate(("blind", "a"))}
    frame = compared(build_table(rows_of(runs)), runs)
    bold = frame[frame["best"]]
    assert (bold["p_adjusted"] < 0.05).all() and (bold["difference"] > 0).all()


@pytest.mark.parametrize(("p", "marked"), [(0.01, True), (0.03, False)])
def test_the_tests_are_corrected_over_the_question_types(p, marked):
    """In place of Holm, each p is multiplied by how many there are: four with all and macro."""
    runs = {
        ("a", 0, "none"): fixed(lambda i: i % 2 == 0),
        ("b", 0, "none"): fixed(lambda i: i % 4 == 1),
    }
    (column,) = columns_of(runs)
    found = best_runs(column, lambda *_: p, lambda each: each * len(each), 0.05)
    assert bool(list(found)) is marked
