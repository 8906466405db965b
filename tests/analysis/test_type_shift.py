"""Do types differ where they were made to, and only as often as chance where they were not?"""

import numpy as np
import pytest
from made_attended import KINDS, attended, noisy_run, one, run_of, uniform_run

from tomovox.analysis.divergence import jensen_shannon
from tomovox.analysis.type_shift import mean_divergence, permuted, type_rows

FIRST, LAST = (0.65, *(0.05,) * 7), (*(0.05,) * 7, 0.65)


def planted(cases=12):
    """Return records of types that look at the first slice, but for the type organ."""
    return run_of(lambda case, kind: LAST if kind == "organ" else FIRST, cases)


@pytest.mark.parametrize("pair", ["organ vs plane", "location vs organ", "all"])
def test_planted_types_differ(pair):
    row = one(type_rows(planted()), "type_shift", pair)
    assert row.p < 0.001 and row.difference > 0.1


def test_types_that_look_alike_do_not_differ_beside_one_that_does():
    row = one(type_rows(planted()), "type_shift", "location vs plane")
    assert (row.value, row.p) == (0, 1)


def test_the_value_is_the_divergence_of_the_mean_distributions():
    row = one(type_rows(planted()), "type_shift", "organ vs plane")
    assert row.value == pytest.approx(jensen_shannon(np.array([FIRST]), np.array([LAST]))[0])


def test_the_whole_is_the_mean_over_pairs():
    rows = type_rows(noisy_run())
    whole = one(rows, "type_shift")
    pairs = [row.value for row in rows if row is not whole]
    assert len(pairs) == 3 and whole.value == pytest.approx(np.mean(pairs))


def test_a_uniform_scorer_does_not_move():
    row = one(type_rows(uniform_run(slices=7)), "type_shift")
    assert row.value == pytest.approx(0, abs=1e-12) and row.p == 1


def test_p_is_uniform_when_types_mean_nothing():
    """Volumes differ much and types not at all."""
    kinds, volumes = np.tile(np.arange(3), 15), np.repeat(np.arange(15), 3)
    found = []
    for seed in range(400):
        generator = np.random.default_rng(seed)
        logits = np.repeat(2 * generator.normal(size=(15, 8)), 3, axis=0)
        scores = np.exp(logits + generator.normal(size=logits.shape))
        grid = scores / scores.sum(axis=1, keepdims=True)
        found.append(permuted(grid, kinds, volumes, 99, seed)[1])
    shares = [np.mean(np.array(found) <= level) for level in (0.05, 0.25, 0.5, 0.75)]
    assert shares == pytest.approx([0.05, 0.25, 0.5, 0.75], abs=0.06)


def test_anatomy_cannot_make_types_differ():
    """Each volume is asked one type only, and looks where it likes: nothing can be told."""
    records = [
        attended(case, KINDS[case % 2], LAST if case % 2 else FIRST, question="?")
        for case in range(20)
    ]
    (row,) = type_rows(records)
    assert row.value > 0.1 and row.p == 1


def test_types_that_differ_in_one_plane_differ_there_only():
    records = run_of(lambda case, kind: LAST if kind == "organ" and case % 2 else FIRST, cases=24)
    rows = type_rows(records)
    assert one(rows, "type_shift", plane="coronal").p < 0.001
    assert one(rows, "type_shift", plane="axial").value == 0


def test_types_of_another_task_do_not_count():
    records = [*planted(), attended(task="vqa_closed", id="x", kind="phase", scores=FIRST)]
    assert repr(type_rows(records)) == repr(type_rows(planted()))


def test_a_type_without_a_record_has_no_divergence():
    assert np.isnan(mean_divergence(np.array([[[1.0, 0, 1], [0, 0, 0]]]))).all()


def test_the_order_of_the_records_changes_nothing():
    records = noisy_run()
    assert repr(type_rows(records)) == repr(type_rows(records[::-1]))
