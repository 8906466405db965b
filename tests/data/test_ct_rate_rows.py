"""Do check and audit read a prepared CT-RATE as training does?"""

import numpy as np
import pytest
from ct_rate_tree import CtRate

from tomovox.data.audit import audit
from tomovox.data.audit_rows import read_rows
from tomovox.data.check import check_tree
from tomovox.schema import TomovoxError


def scan(seed: int) -> np.ndarray:
    """Return (n H W) int16 HU that look like no other seed's: half air, half tissue."""
    half = np.random.default_rng(seed).permutation(6 * 8 * 8).reshape(6, 8, 8) % 2
    return np.where(half, 20, -1000).astype(np.int16)


@pytest.fixture
def source(tmp_path) -> CtRate:
    source = CtRate(tmp_path / "raw")
    for k, name in enumerate(("train_1_a_1", "valid_1_a_1", "valid_1_a_2", "valid_2_a_1")):
        source.volume(name, scan(k), findings=f"Report of scan {name[:9]} and no other at all.")
    source.ask("valid_2_a_1", "short_answer", "Is there a nodule?", "Yes.")
    source.ask("train_1_a_1", "multiple_choice", "Where? (a) right (b) left", "(a) right")
    return source


def problems(source: CtRate) -> list[str]:
    target = source.root.parent / "prepared"
    if not target.exists():
        source.prepare(target)
    return [problem.line() for problem in check_tree(target).problems]


def test_a_whole_tree_has_no_problem_and_its_rows_are_counted(source):
    assert not problems(source)
    counts = check_tree(source.root.parent / "prepared").counts
    assert [(c.data_set, c.split, c.records, c.volumes, c.cases) for c in counts] == [
        ("CT-RATE reports", "train", 1, 1, 1),
        ("CT-RATE choices", "train", 1, 1, 1),
        ("CT-RATE reports", "test", 2, 3, 2),
        ("CT-RATE questions", "test", 1, 1, 1),
    ]


def test_volumes_that_are_not_there_are_errors(source):
    source.prepare(source.root.parent / "prepared")
    next((source.root.parent / "prepared").rglob("valid_1_a_2.npy")).unlink()
    assert any("valid_1_a_2.npy" in line and "no such volume" in line for line in problems(source))


def test_volumes_without_labels_are_warned_of(source):
    source.labels["valid"].pop()
    assert any("has no row of 1 volumes, such as valid_2_a_1" in line for line in problems(source))


def test_volumes_of_other_parts_of_the_body_are_warned_of(source):
    source.write()
    path = source.root / "dataset" / "metadata" / "no_chest_valid.txt"
    path.write_text("valid_2_a_1.nii.gz\nvalid_9_a_1.nii.gz\n")
    assert any("1 volumes show no chest, such as valid_2_a_1" in line for line in problems(source))


def test_a_tree_as_downloaded_says_what_to_run(source):
    with pytest.raises(TomovoxError, match="run tomovox data prepare"):
        check_tree(source.write().root)


def leaked(source: CtRate) -> dict[str, list[str]]:
    target = source.root.parent / "prepared"
    source.prepare(target)
    return audit(read_rows(target)).leaked


def test_an_audit_finds_nothing_where_nothing_is_shared(source):
    assert not leaked(source)


def test_a_volume_that_training_has_met_speaks_against_all_records_of_its_scan(source):
    source.volume("valid_3_a_1", scan(9), findings="Another scan of somebody else here.")
    source.volume("valid_3_a_2", scan(0), findings="Another scan of somebody else here.")
    found = leaked(source)
    assert found.keys() == {f"{t}/test/valid_3_a" for t in ("report", "retrieval", "case_report")}
    assert all(kinds == ["volume_identical"] for kinds in found.values())


def test_a_report_that_training_has_met_is_found(source):
    source.volume("valid_3_a_1", scan(9), findings="Report of scan train_1_a and no other at all.")
    assert leaked(source)["report/test/valid_3_a"] == ["report_identical"]
