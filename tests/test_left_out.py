"""Are the records of unreadable volumes left out of every step, counted and named?"""

import csv
import json
from pathlib import Path

import pytest
from test_experiment import tiny

from tomovox.data.phantom import write_phantom
from tomovox.experiment import ExperimentRun
from tomovox.left_out import LEFT_OUT, count_left_out, left_out_notes, write_left_out
from tomovox.schema import TomovoxError, read_predictions

TRAIN, TEST = ("train", "vqa/train/1", "cut off"), ("test", "vqa/test/1", "no such volume")


# ---- the file --------------------------------------------------------------------------------


def test_the_file_names_split_record_and_reason(tmp_path):
    write_left_out(tmp_path, [TRAIN, TEST], ["train", "test"])
    lines = (tmp_path / LEFT_OUT).read_text(encoding="utf-8").splitlines()
    assert lines == ["split\tid\treason", "\t".join(TEST), "\t".join(TRAIN)]


def test_what_is_left_out_is_counted_by_split(tmp_path):
    write_left_out(tmp_path, [TRAIN, TEST], ["train", "test"])
    assert count_left_out(tmp_path) == {"test": 1, "train": 1}


def test_a_split_that_was_not_checked_keeps_its_lines(tmp_path):
    write_left_out(tmp_path, [TRAIN], ["train"])
    write_left_out(tmp_path, [TEST], ["test"])
    assert count_left_out(tmp_path) == {"test": 1, "train": 1}


def test_a_mended_split_loses_its_lines_and_an_empty_file_is_removed(tmp_path):
    write_left_out(tmp_path, [TEST], ["test"])
    write_left_out(tmp_path, [], ["test"])
    assert not (tmp_path / LEFT_OUT).exists() and count_left_out(tmp_path) == {}


def test_a_reason_stays_on_its_line(tmp_path):
    write_left_out(tmp_path, [("test", "a", 'two\nlines\tand a "tab')], ["test"])
    assert count_left_out(tmp_path) == {"test": 1}


def test_a_note_names_the_rows_whose_test_is_not_whole(tmp_path):
    write_left_out(tmp_path / "a-s0", [TEST], ["test"])
    write_left_out(tmp_path / "b-s0", [TRAIN], ["train"])
    (note,) = left_out_notes([tmp_path / "a-s0", tmp_path / "b-s0", tmp_path / "c-s0"])
    assert note == "a-s0: 1 test records left out (unreadable volumes): see left_out.tsv"


# ---- an experiment ---------------------------------------------------------------------------


def truncate_one(root: Path, split: str) -> set[str]:
    """Cut off the volume of a split's first question; return the ids that ask about it."""
    with (root / f"M3D-VQA/M3D_VQA_{split}.csv").open(encoding="utf-8", newline="") as stream:
        images = [row["Image Path"] for row in csv.DictReader(stream)]
    path = root / images[0]
    path.write_bytes(path.read_bytes()[:500])
    rows = [number for number, image in enumerate(images) if image == images[0]]
    return {f"vqa_closed/{split}/{number:06d}" for number in rows}


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> tuple[Path, dict[str, set[str]]]:
    """An experiment over data with a truncated training and a truncated test volume, run once."""
    folder = tmp_path_factory.mktemp("left_out")
    root = folder / "data"
    write_phantom(root, cases=10, seed=0, shape=(8, 32, 32), test_cases=2, val_cases=1, series=1)
    lost = {split: truncate_one(root, split) for split in ("train", "test")}
    data = {"tasks": ["vqa_closed"], "batch_size": 2, "on_bad_volume": "list"}
    overrides = {
        "data": data,
        "model": {"init_args": {"max_new_tokens": 2}},
        "trainer": {"accelerator": "cpu"},
    }
    path = tiny(folder, data={"root": str(root)}, overrides=overrides)
    ExperimentRun(path, folder / "out").run()
    return folder / "out", lost


def rows(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/predictions.jsonl"))


def test_every_row_answers_the_readable_records_only(broken):
    folder, lost = broken
    for row in rows(folder):
        answered = {prediction.id for prediction in read_predictions(row / "predictions.jsonl")}
        assert answered and not answered & lost["test"]


def test_every_row_lists_what_it_left_out(broken):
    folder, lost = broken
    for row in rows(folder):
        floor = row.name.startswith("majority")
        wanted = {"test": len(lost["test"])} | ({} if floor else {"train": len(lost["train"])})
        results = json.loads((row / "results.json").read_text(encoding="utf-8"))
        assert count_left_out(row) == results["left_out"] == wanted, row


def test_a_vision_stage_trains_without_the_unreadable_volume(broken):
    folder, lost = broken
    stages = sorted((folder / "shared").glob("vision*"))
    assert len(stages) == 2
    for stage in stages:
        figures = json.loads((stage / "stage.json").read_text(encoding="utf-8"))
        assert figures["left_out"] == count_left_out(stage)["train"] == len(lost["train"])


def test_the_table_says_that_the_test_is_not_whole(broken):
    folder, lost = broken
    table = (folder / "table.md").read_text(encoding="utf-8").replace("\\", "")
    for row in rows(folder):
        assert f"{row.name}: {len(lost['test'])} test records left out" in table


@pytest.mark.parametrize("content", ["", "a\tb\n", "split\tid\treason\ntest\ta\n", "\ufffd\n"])
def test_what_is_no_list_of_what_was_left_out_is_named(tmp_path, content):
    (tmp_path / "left_out.tsv").write_bytes(
        content.encode("latin1", "replace").replace(b"?", b"\xff")
    )
    with pytest.raises(TomovoxError, match=r"left_out\.tsv: "):
        count_left_out(tmp_path)
