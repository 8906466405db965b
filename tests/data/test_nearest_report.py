"""Does the most similar training volume decide the report, and nothing else?"""

import numpy as np
import pytest

from tomovox.data import nearest_report
from tomovox.data.nearest_report import grid_of, most_alike, nearest_reports
from tomovox.data.records import read_cap
from tomovox.schema import TomovoxError


@pytest.fixture
def root(m3d):
    """Four training studies and two of test with volumes of their own, larger than the grid."""
    m3d.fill(train=4, test=2)
    for case in range(1, 7):
        voxels = np.random.default_rng(case).random((1, 8, 16, 16), dtype=np.float32)
        m3d.write_volume(m3d.image(case), voxels)
    return m3d


def asked(m3d, *cases):
    return {m3d.image(case): f"report/test/{case}" for case in cases}


def answers(m3d, *cases, **options):
    found = nearest_reports(m3d.root, read_cap(m3d.root, "train"), asked(m3d, *cases), **options)
    return [found[m3d.image(case)] for case in cases]


def report(case):
    return f"Finding number {case}.\nNo fluid."


@pytest.mark.parametrize("case", [1, 2, 3, 4])
def test_a_volume_that_equals_a_training_volume_gets_its_report(root, case):
    root.write_volume(root.image(5), np.load(root.root / root.image(case)))
    assert answers(root, 5) == [report(case)]


def test_brightness_contrast_noise_and_size_do_not_change_the_neighbour(root):
    voxels = np.load(root.root / root.image(3))
    root.write_volume(root.image(5), 0.3 + 0.5 * voxels)
    noise = np.random.default_rng(0).normal(0, 0.05, voxels.shape).astype(np.float32)
    root.write_volume(root.image(6), (voxels + noise).clip(0, 1).repeat(2, -1).repeat(2, -2))
    assert answers(root, 5, 6) == [report(3)] * 2


def test_the_text_of_the_test_split_changes_no_answer(root):
    before = answers(root, 5, 6)
    for case in (5, 6):
        root.write_text(root.text(case), report(1))
    assert answers(root, 5, 6) == before


def test_of_equal_volumes_the_lowest_record_id_answers_in_any_order(root):
    for case in (2, 4, 5):
        root.write_volume(root.image(case), np.load(root.root / root.image(2)))
    training = read_cap(root.root, "train")
    for records in (training, training[::-1]):
        found = nearest_reports(root.root, records, asked(root, 5))
        assert found == {root.image(5): report(2)}


def test_blocks_and_workers_change_no_answer(root, monkeypatch):
    whole = answers(root, 5, 6)
    monkeypatch.setattr(nearest_report, "AT_ONCE", 1)
    assert answers(root, 5, 6, workers=3) == whole


def test_every_volume_is_told_once(root):
    told = []
    answers(root, 5, 6, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("case", [2, 6])
def test_a_volume_that_cannot_be_read_is_named_with_its_record(root, case):
    (root.root / root.image(case)).unlink()
    with pytest.raises(TomovoxError, match=rf"{root.image(case)} \(record report/t\w+/0*\d\)"):
        answers(root, 5, 6)


def test_a_product_of_grids_is_their_correlation():
    one, two = np.random.default_rng(0).random((2, 1, 8, 16, 16), dtype=np.float32)
    product = float(grid_of(one) @ grid_of(two))
    assert product == pytest.approx(np.corrcoef(one.ravel(), two.ravel())[0, 1], abs=1e-5)


def test_a_grid_without_contrast_is_like_no_other():
    assert not grid_of(np.full((1, 8, 16, 16), 0.5, np.float32)).any()


def test_last_digits_decide_nothing():
    known = np.eye(3, 2048, dtype=np.float32)
    question = np.zeros((1, 2048), np.float32)
    question[0, :3] = 0.1, 0.5, 0.5 + 1e-7
    assert most_alike(question, known).tolist() == [1]
