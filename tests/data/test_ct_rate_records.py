"""Do records of CT-RATE ask what the files ask, with the scan as study and the patient as case?"""

import json

import pytest
from ct_rate_tree import REPORT, CtRate

from tomovox.data.ct_rate import ABNORMALITIES
from tomovox.data.ct_rate_records import abnormalities, kernels
from tomovox.data.faults import Faults
from tomovox.data.records import CASE_QUESTIONS, REPORT_QUESTIONS, read_records
from tomovox.schema import Task, TomovoxError

CHOICES = "Where is it? (a) right lung (b) left lung"
FOLDER = "dataset/valid_fixed/valid_1/valid_1_a/"


@pytest.fixture
def root(tmp_path):
    source = CtRate(tmp_path / "raw")
    for name in ("valid_1_a_1", "valid_1_a_2", "valid_1_b_1", "valid_2_a_1", "train_1_a_1"):
        source.volume(name, impressions="Nodule.")
    source.ask("valid_1_a_2", "multiple_choice", CHOICES, "(b) left lung")
    source.ask("valid_1_a_1", "short_answer", "Is there a nodule?", "Yes.")
    source.ask("valid_2_a_1", "long_answer", "What is in the lungs?", "A nodule.")
    source.ask("valid_2_a_1", "report_generation", "Report.", REPORT)
    source.prepare(tmp_path / "prepared")
    return tmp_path / "prepared"


def test_a_report_is_asked_for_once_per_scan_with_all_reconstructions(root):
    records = read_records(root, Task.REPORT, "test")
    assert [r.id for r in records] == [f"report/test/valid_{x}" for x in ("1_a", "1_b", "2_a")]
    assert records[0].volumes == (f"{FOLDER}valid_1_a_1.npy", f"{FOLDER}valid_1_a_2.npy")
    assert [r.case for r in records] == ["valid_1", "valid_1", "valid_2"]
    assert {r.reference for r in records} == {REPORT}
    assert all(r.question in REPORT_QUESTIONS for r in records)
    assert records[0].context == f"{REPORT} Nodule."


def test_the_report_of_a_case_is_that_of_a_scan(root):
    records = read_records(root, Task.CASE_REPORT, "test")
    assert records[0].id == "case_report/test/valid_1_a" and len(records[0].volumes) == 2
    assert records[0].question in CASE_QUESTIONS


def test_a_closed_question_gets_our_letters_and_the_volume_it_names_first(root):
    (record,) = read_records(root, Task.VQA_CLOSED, "test")
    assert record.question == "Where is it? Choices: A. right lung B. left lung"
    assert (record.reference, record.choices) == ("B. left lung", ("right lung", "left lung"))
    assert record.volumes == (f"{FOLDER}valid_1_a_2.npy", f"{FOLDER}valid_1_a_1.npy")


def test_open_questions_are_short_or_long(root):
    short, long = read_records(root, Task.VQA_OPEN, "test")
    assert (short.question_type, short.question, short.reference) == (
        "short",
        "Is there a nodule?",
        "Yes.",
    )
    assert (long.question_type, long.case) == ("long", "valid_2")


def test_ids_are_unique_over_the_suite(root):
    ids = [
        record.id
        for task in (Task.REPORT, Task.CASE_REPORT, Task.RETRIEVAL, Task.VQA_CLOSED, Task.VQA_OPEN)
        for record in read_records(root, task, "test")
    ]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_the_split_of_papers_is_our_test_split(root, split):
    assert {r.split for r in read_records(root, Task.REPORT, split)} == {"test"}


def test_patients_are_never_in_two_splits(root):
    cases = [{r.case for r in read_records(root, Task.REPORT, s)} for s in ("train", "test")]
    assert not cases[0] & cases[1]


@pytest.mark.parametrize("split", ["val", "test1k"])
def test_a_split_that_there_is_not_says_which_there_are(root, split):
    with pytest.raises(TomovoxError, match="give train or test"):
        read_records(root, Task.REPORT, split)


def test_a_task_that_ct_rate_does_not_ask_says_which_it_asks(root):
    with pytest.raises(TomovoxError, match="asks no rec; it asks report"):
        read_records(root, Task.REC, "test")


def test_a_split_without_questions_says_so(root):
    with pytest.raises(TomovoxError, match="asks no choice questions of 'train'"):
        read_records(root, Task.VQA_CLOSED, "train")


def test_volumes_as_downloaded_say_what_to_run(root):
    with pytest.raises(TomovoxError, match="run tomovox data prepare"):
        read_records(root.parent / "raw", Task.REPORT, "test")


def test_files_of_one_form_are_read_as_others_wrote_them(root):
    item = {"id": 1, "vision3d": ["valid_2/valid_2_a/valid_2_a_1.npy"], "type": "x"}
    item |= {"question": "Q?", "answer": "A.", "conversations": []}
    path = root / "dataset" / "vqa" / "valid_long.json"
    path.write_text(json.dumps([item]), encoding="utf-8")
    assert read_records(root, Task.VQA_OPEN, "test")[-1].reference == "A."


def test_a_question_about_a_volume_without_report_is_a_fault(root):
    path = root / "dataset" / "vqa" / "valid_long.json"
    item = {"image": "valid_9_a_1.nii.gz", "question": "Q?", "answer": "A."}
    path.write_text(json.dumps([item]), encoding="utf-8")
    with pytest.raises(TomovoxError, match=r"item 0 .*valid_9_a_1, which has no report"):
        read_records(root, Task.VQA_OPEN, "test")
    faults = Faults(collect=True)
    assert len(read_records(root, Task.VQA_OPEN, "test", faults)) == len(faults.found) == 1


def test_kernels_stand_by_the_path_of_their_volume(root):
    assert kernels(root)[f"{FOLDER}valid_1_a_2.npy"] == "Br40f"


def test_abnormalities_are_those_of_the_first_volume(root):
    records = read_records(root, Task.REPORT, "test")
    found = abnormalities(root, records)
    assert [name for name, has in zip(ABNORMALITIES, found[records[0].id], strict=True) if has] == [
        "Lung nodule"
    ]
