"""Is a row about the right records, and does its interval know that a case answers many of them?"""

import numpy as np
import pytest
from made_attended import attended, noisy_run

from tomovox.analysis.agreement import agreement_rows
from tomovox.analysis.distribution import DISTRIBUTION, distribution_rows
from tomovox.analysis.localisation import LOCALISATION, localisation_rows
from tomovox.analysis.rows import LEAST_CASES, Group, Measure, mean_rows, part, parts
from tomovox.analysis.type_shift import type_rows
from tomovox.analysis.volume_shift import shift_rows
from tomovox.statistics.bootstrap import interval

ROWS = {
    "distribution": distribution_rows,
    "localisation": localisation_rows,
    "type_shift": type_rows,
    "volume_shift": shift_rows,
    "agreement": lambda records: agreement_rows({0: records, 1: records}),
}


def test_a_task_is_parted_by_type_and_plane_and_phase():
    groups = {found.group for found in parts(noisy_run(cases=2 * LEAST_CASES))}
    kinds = {Group("vqa_open", kind) for kind in ("all", "plane", "organ", "location")}
    planes = {Group("vqa_open", plane=plane) for plane in ("axial", "coronal")}
    phases = {Group("vqa_open", phase=phase) for phase in ("arterial", "portal venous")}
    assert groups == kinds | planes | phases


def test_a_plane_of_few_cases_is_no_group():
    groups = {found.group for found in parts(noisy_run(cases=2 * LEAST_CASES - 1))}
    assert {group.plane for group in groups} == {"", "axial"}


def test_records_without_a_type_are_in_the_whole_only():
    (found,) = parts([attended(question_type="", plane="", phase="")])
    assert found.group == Group("vqa_open")


def test_tasks_are_never_pooled():
    records = [attended(0), attended(1, task="report", question_type="")]
    sizes = {f.group.task: len(f.places) for f in parts(records) if f.group.question_type == "all"}
    assert sizes == {"report": 1, "vqa_open": 1}


def test_a_row_counts_records_and_cases():
    row = next(iter(mean_rows([Measure("x", np.zeros(36), {})], parts(noisy_run(cases=12)))))
    assert (row.n, row.cases) == (36, 12)


def test_the_interval_is_that_of_cases_and_not_of_records():
    """Twelve cases of fifty records that all say the same are twelve observations."""
    records = [attended(c, id=f"{c}/{i}", question_type="") for c in range(12) for i in range(50)]
    values = np.repeat(np.random.default_rng(0).normal(size=12), 50)
    whole = part(records, Group("vqa_open"), np.arange(len(records)))
    (row,) = mean_rows([Measure("x", values, {})], [whole])
    generator = np.random.default_rng(1)
    record_wise = [generator.choice(values, len(values)).mean() for _ in range(1000)]
    low, high = interval(np.array(record_wise))
    assert row.hi - row.lo > 4 * (high - low)


def test_a_row_without_baseline_has_no_difference():
    (row, *_) = mean_rows([Measure("x", np.ones(36), {})], parts(noisy_run(cases=12)))
    assert row.against == "" and np.isnan([row.baseline, row.difference, row.p]).all()


def test_a_difference_is_value_less_baseline_on_the_same_records():
    values, base = np.random.default_rng(0).normal(size=(2, 36))
    (row, *_) = mean_rows([Measure("x", values, {"b": base})], parts(noisy_run(cases=12)))
    assert row.difference == pytest.approx((values - base).mean())


@pytest.mark.parametrize("rows_of", ROWS.values(), ids=ROWS)
def test_no_records_have_no_rows(rows_of):
    assert rows_of([]) == []


@pytest.mark.parametrize("rows_of", ROWS.values(), ids=ROWS)
def test_a_single_case_has_values_and_no_interval(rows_of):
    """All draws of one case are alike: their interval would look certain."""
    rows = rows_of(noisy_run(cases=1))
    ends = [(row.lo, row.hi, row.difference_lo, row.difference_hi) for row in rows]
    assert np.isnan(ends).all() and not np.isnan([row.value for row in rows]).any()


@pytest.mark.parametrize(
    ("name", "statistics"),
    [
        ("distribution", set(DISTRIBUTION)),
        ("localisation", set(LOCALISATION)),
        ("type_shift", set()),
        ("volume_shift", set()),
        ("agreement", {"seed_divergence", "seed_correlation"}),
    ],
)
def test_a_single_record_has_the_rows_that_need_no_other(name, statistics):
    rows = ROWS[name]([attended(evidence=(1,), scope="slice")])
    assert {row.statistic for row in rows} == statistics
