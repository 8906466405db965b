"""Is each kind of leak found where it was planted, and nothing anywhere else?"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from seg_tree import write_seg

from tomovox.data.audit import audit
from tomovox.data.audit_report import Audit
from tomovox.data.audit_rows import read_rows
from tomovox.data.audit_text import words_of
from tomovox.data.phantom import write_phantom
from tomovox.data.records import read_records
from tomovox.data.seg_records import SEGMENTATION_CODES
from tomovox.schema import Record, Task

TEST_CASE, TRAIN_CASE = "ct_case/000001", "ct_case/000030"
TEST_TABLE, TRAIN_TABLE = "M3D-VQA/M3D_VQA_test.csv", "M3D-VQA/M3D_VQA_train.csv"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "data"
    write_phantom(
        root, cases=40, seed=0, shape=(16, 32, 32), test_cases=8, val_cases=4, refseg=True
    )
    return root


@pytest.fixture
def root(phantom, tmp_path) -> Path:
    return shutil.copytree(phantom, tmp_path / "data")


def audited(root: Path) -> Audit:
    return audit(read_rows(root))


def pairs(found: Audit) -> list[tuple[str, ...]]:
    return [(f.kind, f.split, f.id, f.other_split, f.other_id) for f in found.findings]


def volumes(root: Path, case: str) -> list[str]:
    folder = root / "M3D_Cap_npy" / case
    return [path.relative_to(root).as_posix() for path in sorted(folder.glob("*.npy"))]


def report(root: Path, case: str) -> Path:
    return root / "M3D_Cap_npy" / case / "text.txt"


def replace_volume(root: Path, source: str, target: str, noise: float = 0.0) -> None:
    voxels = np.load(root / source).astype(np.float32) / 255
    voxels += np.random.default_rng(0).normal(0, noise, voxels.shape).astype(np.float32)
    (root / target).unlink()  # it may be one file with an image of M3D-Seg
    np.save(root / target, voxels.clip(0, 1))


def add_row(root: Path, source: str, target: str) -> None:
    """Write the first question of a table at the end of a table too."""
    with (root / source).open(encoding="utf-8", newline="") as stream:
        first = list(csv.reader(stream))[1]
    with (root / target).open("a", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerow(first)


def add_to_test(root: Path, case: str) -> None:
    """List the first series of a training case in the test split of M3D-Cap too."""
    path = root / "M3D_Cap_npy" / "M3D_Cap.json"
    splits = json.loads(path.read_text())
    splits["test"] += [row for row in splits["train"] if case in row["text"]][:1]
    path.write_text(json.dumps(splits))


def records(root: Path, *tasks: Task, split: str = "test") -> list[Record]:
    return [record for task in tasks for record in read_records(root, task, split)]


def test_an_untouched_phantom_has_no_leak(phantom):
    found = audited(phantom)
    assert (pairs(found), found.leaked, found.faults) == ([], {}, [])


def test_the_same_words_in_two_splits_are_an_identical_report(root):
    text = report(root, TRAIN_CASE).read_text()
    report(root, TEST_CASE).write_text(text.upper().replace(".", " .\n"))
    found = audited(root)
    assert pairs(found) == [("report_identical", "test", TEST_CASE, "train", TRAIN_CASE)]
    assert found.findings[0].words == len(words_of(text))


def test_one_word_changed_is_a_near_report(root):
    words = report(root, TRAIN_CASE).read_text().split()
    report(root, TEST_CASE).write_text(" ".join(["Perhaps", *words[1:]]))
    found = audited(root)
    assert pairs(found) == [("report_near", "test", TEST_CASE, "train", TRAIN_CASE)]


def test_the_closest_report_is_named_when_several_are_alike(root):
    text = report(root, TRAIN_CASE).read_text()
    report(root, "ct_case/000020").write_text(" ".join(["Perhaps", *text.split()[1:]]))
    report(root, TEST_CASE).write_text(text)
    assert pairs(audited(root)) == [("report_identical", "test", TEST_CASE, "train", TRAIN_CASE)]


def test_of_validation_and_test_the_test_split_is_marked(root):
    report(root, TEST_CASE).write_text(report(root, "ct_case/000009").read_text())
    found = audited(root)
    assert pairs(found) == [("report_identical", "test", TEST_CASE, "val", "ct_case/000009")]
    assert {name.split("/")[1] for name in found.leaked}.isdisjoint({"val"})


@pytest.mark.parametrize(("noise", "kind"), [(0.0, "volume_identical"), (0.01, "volume_near")])
def test_a_volume_under_another_case_is_a_duplicate(root, noise, kind):
    target, source = volumes(root, TEST_CASE)[0], volumes(root, TRAIN_CASE)[0]
    replace_volume(root, source, target, noise)
    assert pairs(audited(root)) == [(kind, "test", target, "train", source)]


def test_a_copy_in_its_own_split_is_no_leak(root):
    replace_volume(root, volumes(root, TEST_CASE)[0], volumes(root, "ct_case/000002")[0])
    assert pairs(audited(root)) == []


def test_a_case_in_two_splits_is_told_once(root):
    add_to_test(root, TRAIN_CASE)
    assert pairs(audited(root)) == [("case", "test", TRAIN_CASE, "train", TRAIN_CASE)]


def test_the_case_report_of_a_case_in_two_splits_is_marked(root):
    add_to_test(root, TRAIN_CASE)
    crossing = records(root, Task.CASE_REPORT)[-1]
    assert crossing.case == TRAIN_CASE
    assert audited(root).leaked[crossing.id] == ["case"]


def test_a_later_volume_of_a_case_speaks_against_its_case_report(root):
    replace_volume(root, volumes(root, TRAIN_CASE)[0], volumes(root, TEST_CASE)[1])
    (asked,) = [r.id for r in records(root, Task.CASE_REPORT) if r.case == TEST_CASE]
    assert audited(root).leaked[asked] == ["volume_identical"]


def test_a_question_twice_in_a_table_marks_the_second(root):
    rows = len(records(root, Task.VQA_OPEN))
    add_row(root, TEST_TABLE, TEST_TABLE)
    found = audited(root)
    second = f"vqa_closed/test/{rows:06d}"
    assert pairs(found) == [("question", "test", second, "test", "vqa_closed/test/000000")]
    assert found.leaked == {name: ["question"] for name in (second, f"vqa_open/test/{rows:06d}")}


def test_a_question_of_two_splits_is_found_beside_its_case(root):
    add_row(root, TRAIN_TABLE, TEST_TABLE)
    kinds = [(f.kind, f.split, f.other_split) for f in audited(root).findings]
    assert kinds == [("case", "test", "train"), ("question", "test", "train")]


def test_a_question_twice_in_training_marks_no_record(root):
    add_row(root, TRAIN_TABLE, TRAIN_TABLE)
    found = audited(root)
    assert [f.kind for f in found.findings] == ["question"] and not found.leaked


def test_the_marked_records_are_all_that_ask_about_the_volume(root):
    target = volumes(root, TEST_CASE)[0]
    replace_volume(root, volumes(root, TRAIN_CASE)[0], target)
    tasks = (Task.REPORT, Task.RETRIEVAL, Task.CASE_REPORT, Task.VQA_CLOSED, Task.VQA_OPEN)
    asked = {r.id for r in records(root, *tasks) if target in r.volumes}
    for pool in ("test1k", "test500", "test100"):
        of_pool = records(root, Task.REPORT, Task.RETRIEVAL, Task.CASE_REPORT, split=pool)
        asked |= {r.id for r in of_pool if target in r.volumes}
    for task in (Task.VQA_CLOSED, Task.VQA_OPEN):
        asked |= {r.id for r in records(root, task, split="test5k") if target in r.volumes}
    assert set(audited(root).leaked) == asked


def test_the_marked_records_of_a_seg_image_are_those_of_all_its_tasks(tmp_path, m3d):
    m3d.fill(train=1, test=1)
    write_seg(tmp_path)  # all its images are one and the same
    tasks = (Task.REC, Task.REG, Task.SEG_SEMANTIC, Task.SEG_REFERRING)
    asked = {r.id for r in records(tmp_path, *tasks)}
    asked |= {r.id for r in records(tmp_path, Task.REC, Task.REG, split="bench")}
    drawn = {n for n in asked if n.startswith("seg") and n.split("/")[2] in SEGMENTATION_CODES}
    asked |= {name.replace("/test/", "/bench/") for name in drawn}
    found = audited(tmp_path)
    assert {f.kind for f in found.findings} == {"volume_identical"}
    assert set(found.leaked) == asked


def test_a_volume_that_cannot_be_read_is_listed_and_the_rest_compared(root):
    first, second = volumes(root, TEST_CASE)
    replace_volume(root, volumes(root, TRAIN_CASE)[0], first)
    (root / second).write_bytes(b"no array")
    found = audited(root)
    assert [f.kind for f in found.findings] == ["volume_identical"]
    (line,) = found.unread().splitlines()[1:]
    assert second in line


def test_a_bad_row_is_listed_and_the_rest_compared(root):
    with (root / TEST_TABLE).open("a", encoding="utf-8") as stream:
        stream.write("only one cell\n")
    add_to_test(root, TRAIN_CASE)
    found = audited(root)
    assert [f.kind for f in found.findings] == ["case"]
    assert "M3D_VQA_test.csv" in found.unread()


def test_progress_counts_every_volume(phantom):
    told = []
    rows = read_rows(phantom)
    audit(rows, lambda done, total: told.append((done, total)), workers=2)
    total = len({row.volume for row in rows.rows})
    assert told == [(done, total) for done in range(1, total + 1)]
