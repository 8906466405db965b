"""Is every case answered by one process, whatever their number, and is nothing lost in between?"""

from collections import Counter
from pathlib import Path

import pytest

from tomovox.schema import Prediction, Record, Task, TomovoxError, to_line
from tomovox.shards import ALONE, Shard, devices_of, divided, merged_lines, shard_files

PARTIAL = "predictions.partial.jsonl"


def study(case: str, questions: int, series: int = 0) -> list[Record]:
    name = f"{case}-{series}"
    return [
        Record(f"vqa_open/test/{name}-{i}", Task.VQA_OPEN, "test", case, (name,), "?", "!")
        for i in range(questions)
    ]


STUDIES = [study(case, 1 + 3 * i % 7) for i, case in enumerate("abcdefg")]
STUDIES += [study("a", 2, series=1), study("c", 5, series=1)]
COUNTS = [1, 2, 3, 7]


def flat(studies) -> list[str]:
    return [record.id for part in studies for record in part]


# ---- which cases -------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
def test_every_question_is_in_exactly_one_part(count):
    found = Counter(name for part in divided(STUDIES, count) for name in flat(part))
    assert found == Counter(flat(STUDIES))


@pytest.mark.parametrize("count", COUNTS)
def test_the_studies_of_a_case_stay_together(count):
    parts = divided(STUDIES, count)
    cases = [{records[0].case for records in part} for part in parts]
    assert sum(map(len, cases)) == len(set().union(*cases))


def test_the_order_of_the_studies_decides_nothing():
    one, other = divided(STUDIES, 3), divided(STUDIES[::-1], 3)
    assert [set(flat(part)) for part in one] == [set(flat(part)) for part in other]


def test_parts_differ_by_no_more_questions_than_the_largest_case_has():
    questions = [len(flat(part)) for part in divided(STUDIES, 3)]
    cases = Counter(r.case for records in STUDIES for r in records)
    assert max(questions) - min(questions) <= max(cases.values())


def test_no_process_is_left_without_a_case():
    assert [len(part) for part in divided(STUDIES[:2], 5)] == [1, 1]


def test_of_nothing_there_is_no_part():
    assert divided([], 3) == []


# ---- files -------------------------------------------------------------------------------------


def test_a_process_that_is_alone_writes_the_file_itself():
    assert ALONE.file(PARTIAL) == PARTIAL


def test_one_of_several_has_a_file_of_its_own():
    assert Shard(1, 3).file(PARTIAL) == "predictions.partial.1-of-3.jsonl"
    assert Shard(1, 3).file("timing.jsonl") == "timing.1-of-3.jsonl"


def test_the_files_of_any_number_of_processes_are_found(tmp_path):
    names = [Shard(rank, 2).file(PARTIAL) for rank in range(2)] + [Shard(2, 12).file(PARTIAL)]
    others = [f".{PARTIAL}.7.tmp", "predictions.jsonl", f"{PARTIAL}.old"]
    for name in [PARTIAL, *names, *others]:
        (tmp_path / name).touch()
    assert {path.name for path in shard_files(tmp_path, PARTIAL)} == {PARTIAL, *names}


def test_a_folder_that_is_not_there_has_none(tmp_path):
    assert shard_files(tmp_path / "nowhere", PARTIAL) == []


def said(path: Path, *records: Record) -> Path:
    lines = (to_line(Prediction.of(record, "!")) for record in records)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_the_lines_of_all_files_are_merged(tmp_path):
    files = [said(tmp_path / str(i), *STUDIES[i]) for i in range(3)]
    assert list(merged_lines(files)) == flat(STUDIES[:3])


def test_an_id_in_two_files_is_named_with_both(tmp_path):
    files = [said(tmp_path / str(i), *STUDIES[0]) for i in range(2)]
    with pytest.raises(
        TomovoxError, match=r"vqa_open/test/a-0-0 stands there and in .*one of 0, 1"
    ):
        merged_lines(files)


# ---- devices -----------------------------------------------------------------------------------


def test_a_config_without_devices_has_one():
    assert devices_of({"accelerator": "cpu"}, "x", alone=False) == [
        {"accelerator": "cpu", "devices": 1}
    ]


def test_each_of_several_devices_is_asked_for_alone_and_without_a_bar():
    asked = {"accelerator": "cpu", "devices": 3, "strategy": "ddp", "max_epochs": 9}
    alone = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False}
    assert devices_of(asked, "x", alone=False) == [alone] * 3


def test_alone_there_is_one_device_whatever_the_config_says():
    assert len(devices_of({"accelerator": "cpu", "devices": 3}, "x", alone=True)) == 1


def test_devices_that_are_not_there_are_one_line():
    with pytest.raises(TomovoxError, match="x: trainer: "):
        devices_of({"accelerator": "cpu", "devices": -2}, "x", alone=False)


def test_a_scheduler_of_one_task_changes_nothing(monkeypatch):
    slurm = {"NTASKS": "1", "NTASKS_PER_NODE": "1", "JOB_ID": "7", "JOB_NAME": "job"}
    for key, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{key}", value)
    assert len(devices_of({"accelerator": "cpu", "devices": 2}, "x", alone=False)) == 2
