"""Does the table say the truth of a suite in which the truth is known?"""

import numpy as np
import pandas
import pytest

from tomovox.judge import compare
from tomovox.judge.compare import COMPARED, TESTED, Comparison, compared, with_intervals
from tomovox.judge.tables import build_table
from tomovox.judge.verdicts import verdict_of
from tomovox.metrics.bleu import bleu_of_counts, bleu_of_rows
from tomovox.metrics.catalogue import METRICS
from tomovox.schema import TomovoxError
from tomovox.statistics.multiplicity import benjamini_hochberg, holm
from tomovox.statistics.power import detectable

METRIC = METRICS["accuracy.standard"]
CASES, KINDS = 100, ("organ", "plane")
TRUTH = {"blind": 0.45, "equal": 0.45, "better": 0.60, "seeing": 0.75}
"""Share of right answers: two models of one strength, and two that are better by set margins."""


def samples(share: float, seed: int, metric=METRIC) -> list[dict]:
    """Return answers of 100 cases of six questions; a case is easy or hard as a whole."""
    random = np.random.default_rng(seed)
    ease = random.normal(0, 0.1, CASES)
    return [
        {
            "id": f"vqa_closed/test/{case:03d}{number}",
            "case": f"{case:03d}",
            "task": "vqa_closed",
            "question_type": KINDS[number % 2],
            "metric": metric.name,
            "protocol": metric.protocol,
            "value": float(random.random() < share + ease[case]),
        }
        for case in range(CASES)
        for number in range(6)
    ]


def suite() -> dict:
    """Return samples by run: the models, and controls of two of them."""
    runs = {(name, 0, "none"): samples(share, i) for i, (name, share) in enumerate(TRUTH.items())}
    runs["seeing", 0, "no_image"] = samples(TRUTH["blind"], 11)  # lost without the image
    runs["better", 0, "no_image"] = runs["better", 0, "none"]  # never looked at it
    return runs


def rows_of(runs: dict) -> dict:
    """Return the rows that the samples give, as the judge would make them."""
    rows = {}
    for run, mine in runs.items():
        types = [[s["value"] for s in mine if s["question_type"] == kind] for kind in KINDS]
        every = [s["value"] for s in mine]
        values = {"all": float(np.mean(every)), "macro": float(np.mean([*map(np.mean, types)]))}
        values |= {kind: float(np.mean(each)) for kind, each in zip(KINDS, types, strict=True)}
        counts = dict.fromkeys(values, len(every)) | dict(zip(KINDS, map(len, types), strict=True))
        rows[run] = [
            {
                "task": "vqa_closed",
                "question_type": kind,
                "metric": METRIC.name,
                "protocol": METRIC.protocol,
                "value": value,
                "n": counts[kind],
                "signature": "s",
            }
            for kind, value in values.items()
        ]
    return rows


@pytest.fixture(scope="module")
def table() -> pandas.DataFrame:
    return compared(build_table(rows_of(suite())), suite())


def row(table: pandas.DataFrame, model: str, control: str = "none", kind: str = "all") -> dict:
    chosen = table[table["model"].eq(model) & table["control"].eq(control)]
    return chosen[chosen["question_type"] == kind].to_dict("records")[0]


def test_models_of_one_strength_tie(table):
    assert verdict_of(row(table, "equal")) == "tie"


def test_a_model_that_is_better_by_a_margin_is_called_better(table):
    for model in ("better", "seeing"):
        cell = row(table, model)
        assert verdict_of(cell) == "better" and cell["difference_lo"] > 0
        assert cell["difference_lo"] < TRUTH[model] - TRUTH["blind"] < cell["difference_hi"]


def test_a_model_that_loses_nothing_without_the_image_ties_with_itself(table):
    cell = row(table, "better", "no_image")
    assert cell["difference"] == 0 and cell["p"] == 1 and verdict_of(cell) == "tie"
    assert verdict_of(row(table, "seeing", "no_image")) == "worse"


def test_the_reference_is_compared_with_nobody(table):
    assert np.isnan(row(table, "blind")["p"]) and verdict_of(row(table, "blind")) == ""


def test_the_best_is_marked_only_where_it_beats_every_other(table):
    assert [m for m in TRUTH if row(table, m)["best"]] == ["seeing"]
    tied = {run: mine for run, mine in suite().items() if run[0] in ("blind", "equal")}
    assert not compared(build_table(rows_of(tied)), tied)["best"].any()


def test_every_value_lies_in_its_interval_and_knows_its_cases(table):
    assert ((table["lo"] < table["value"]) & (table["value"] < table["hi"])).all()
    assert (table["cases"] == CASES).all()


@pytest.mark.parametrize(("correction", "adjust"), [("holm", holm), ("bh", benjamini_hochberg)])
def test_p_is_corrected_over_all_rows_and_types_of_a_metric_controls_apart(correction, adjust):
    runs = suite()
    frame = compared(build_table(rows_of(runs)), runs, Comparison(correction=correction))
    models = frame[(frame["control"] == "none") & (frame["model"] != "blind")]
    controls = frame[frame["control"] != "none"]
    assert (len(models), len(controls)) == (3 * 4, 2 * 4)
    for family in (models, controls):
        expected = adjust(family["p"].to_numpy())
        np.testing.assert_array_equal(family["p_adjusted"], expected)
        assert (family["p_adjusted"] > family["p"]).any()


def test_a_detectable_difference_is_that_of_the_smallest_p_of_its_family(table):
    for control, family in (("none", 12), ("no_image", 8)):
        cell = row(table, "seeing", control)
        error = cell["difference_standard_error"]
        assert cell["detectable"] == detectable(error, level=0.05 / family)
        assert detectable(error) < cell["detectable"] < 0.3


def test_what_answers_alike_in_every_record_has_no_detectable_difference(table):
    cell = row(table, "better", "no_image")
    assert cell["difference_standard_error"] == 0 and np.isnan(cell["detectable"])


def test_intervals_alone_are_those_of_the_comparison(table):
    alone = with_intervals(build_table(rows_of(suite())), suite())
    pandas.testing.assert_frame_equal(alone, table[alone.columns], check_exact=True)


def test_equal_models_are_told_apart_in_no_more_than_one_of_twenty_tables(monkeypatch):
    """Of 100 tables at a rate of 5 %, more than 9 are told apart in one of 35 series."""
    monkeypatch.setattr(compare, "SWAPS", 999)
    monkeypatch.setattr(compare, "DRAWS", 50)
    false, raw = 0, 0
    for seed in range(100):
        runs = {
            (name, 0, "none"): [s for s in samples(0.5, 10 * seed + i) if int(s["case"]) < 30]
            for i, name in enumerate(["blind", "a", "b"])
        }
        frame = compared(build_table(rows_of(runs)), runs)
        false += (frame["p_adjusted"] < 0.05).any()
        raw += (frame["p"] < 0.05).any()
    assert false <= 9 < raw


def test_the_order_of_runs_and_records_changes_no_digit(table):
    turned = {run: list(reversed(mine)) for run, mine in reversed(suite().items())}
    again = compared(build_table(rows_of(suite())), turned)
    pandas.testing.assert_frame_equal(again, table, check_exact=True)


def test_another_reference_may_be_chosen():
    runs = suite()
    table = compared(build_table(rows_of(runs)), runs, Comparison(reference="seeing"))
    assert verdict_of(row(table, "better")) == "worse"


def test_an_unknown_reference_is_refused_with_the_known_ones():
    with pytest.raises(TomovoxError, match="'best' is no model of this table; it has better, b"):
        compared(build_table(rows_of(suite())), suite(), Comparison(reference="best"))


def test_only_records_that_both_answered_are_compared():
    runs = suite()
    whole = compared(build_table(rows_of(runs)), runs)
    half = {**runs, ("better", 0, "none"): runs["better", 0, "none"][:300]}
    table = compared(build_table(rows_of(half)), half)
    shared = [s["value"] for s in half["better", 0, "none"]]
    ids = {s["id"] for s in half["better", 0, "none"]}
    other = [s["value"] for s in runs["blind", 0, "none"] if s["id"] in ids]
    assert row(table, "better")["difference"] == pytest.approx(np.mean(shared) - np.mean(other))
    assert row(table, "equal")["difference"] == row(whole, "equal")["difference"]
    assert [row(table, "better")[name] for name in ("pair_n", "pair_cases")] == [300, 50]
    assert [row(whole, "better")[name] for name in ("pair_n", "pair_cases")] == [600, CASES]


def test_what_has_no_samples_has_no_statistics():
    runs = suite()
    frame = build_table(rows_of(runs))
    bare = compared(frame, {("blind", 0, "none"): runs["blind", 0, "none"]})
    assert bare[bare["model"] == "seeing"][[*COMPARED, *TESTED[:-1]]].isna().all(axis=None)


# ---- BLEU of many rows -------------------------------------------------------------------------


def test_bleu_of_rows_is_bleu_of_each_row():
    random = np.random.default_rng(0)
    possible = random.integers(1, 30, (50, 4))
    matches = random.integers(0, possible + 1)
    counts = np.concatenate([matches, possible, random.integers(0, 30, (50, 2))], axis=1)
    expected = [bleu_of_counts(row) for row in counts.tolist()]
    np.testing.assert_allclose(bleu_of_rows(counts.astype(float)), expected, rtol=1e-12)
