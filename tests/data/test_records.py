import dataclasses

import pytest

from tomovox.data.records import case_of, read_cap, read_records, read_vqa
from tomovox.schema import Task, TomovoxError

CLOSED, OPEN, REPORT = Task.VQA_CLOSED, Task.VQA_OPEN, Task.REPORT


def error_of(call, *arguments) -> str:
    with pytest.raises(TomovoxError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_closed_question_is_written_as_published(m3d):
    m3d.write_vqa("test", [m3d.row(7)])
    (record,) = read_vqa(m3d.root, "test", CLOSED)
    assert record.question == (
        "Which plane is it? Choices: A. Axial B. Coronal C. Sagittal D. Oblique"
    )
    assert record.reference == "A. Axial"
    assert record.choices == ("Axial", "Coronal", "Sagittal", "Oblique")
    assert record.question_type == "plane"


def test_an_open_question_is_the_bare_row(m3d):
    m3d.write_vqa("test", [m3d.row(7)])
    (record,) = read_vqa(m3d.root, "test", OPEN)
    assert (record.question, record.reference) == ("Which plane is it?", "Axial")
    assert record.choices == ()


def test_ids_number_the_rows_from_zero(m3d):
    m3d.write_vqa("test", [m3d.row(7), m3d.row(8)])
    ids = [record.id for record in read_vqa(m3d.root, "test", CLOSED)]
    assert ids == ["vqa_closed/test/000000", "vqa_closed/test/000001"]


@pytest.mark.parametrize("word", ["NA", "None", "nan", "null", ""])
def test_cells_that_look_missing_stay_text(m3d, word):
    m3d.write_vqa("test", [m3d.row(7, **{"Choice D": word, "Answer": word, "Answer Choice": "D"})])
    (record,) = read_vqa(m3d.root, "test", CLOSED)
    assert (record.choices[3], record.reference) == (word, f"D. {word}")


def test_commas_quotes_and_line_breaks_survive(m3d):
    text = 'Is it "coarse", or\nnot?'
    m3d.write_vqa("test", [m3d.row(7, Question=text)])
    assert read_vqa(m3d.root, "test", OPEN)[0].question == text


def test_an_answer_that_is_not_its_choice_is_kept(m3d):
    m3d.write_vqa("test", [m3d.row(7, Answer="axial plane")])
    assert read_vqa(m3d.root, "test", CLOSED)[0].reference == "A. axial plane"


def test_context_is_the_series_name_and_the_report(m3d):
    m3d.write_text(m3d.text(7), "A cyst.\n  No fluid.\n")
    m3d.write_vqa("test", [m3d.row(7)])
    assert (
        read_vqa(m3d.root, "test", OPEN)[0].context == "Axial C arterial phase. A cyst. No fluid."
    )


def test_context_without_a_report_is_the_series_name(m3d):
    m3d.write_vqa("test", [m3d.row(7)])
    assert read_vqa(m3d.root, "test", OPEN)[0].context == "Axial C arterial phase"


def test_a_report_stands_as_in_its_file_and_is_asked_for_in_words(m3d):
    m3d.fill(train=1)
    (record,) = read_cap(m3d.root, "train")
    assert record.reference == "Finding number 1.\nNo fluid."
    assert record.question
    assert record.id == "report/train/000000"


def test_report_questions_vary_over_records_but_not_over_readings(m3d):
    m3d.fill(train=12)
    first = [record.question for record in read_cap(m3d.root, "train")]
    assert first == [record.question for record in read_cap(m3d.root, "train")]
    assert len(set(first)) > 2


def test_report_and_questions_of_a_volume_are_one_study_and_case(m3d):
    m3d.fill(train=1)
    report, *_ = read_records(m3d.root, REPORT, "train")
    question, *_ = read_records(m3d.root, OPEN, "train")
    assert (report.case, report.volumes) == (question.case, question.volumes)


def test_a_dot_slash_in_front_names_the_same_volume(m3d):
    m3d.write_vqa("test", [m3d.row(7), m3d.row(7, **{"Image Path": "./" + m3d.image(7)})])
    plain, dotted = read_vqa(m3d.root, "test", OPEN)
    assert plain.volumes == dotted.volumes


@pytest.mark.parametrize("task", [REPORT, CLOSED, OPEN])
def test_val_and_validation_are_one_split(m3d, task):
    m3d.fill(val=2)
    assert read_records(m3d.root, task, "val") == read_records(m3d.root, task, "validation")


@pytest.mark.parametrize(
    ("image", "case"),
    [
        ("M3D_Cap_npy/ct_case/000123/Axial.npy", "ct_case/000123"),
        ("M3D_Cap_npy/ct_quizze/000123/Axial.npy", "ct_quizze/000123"),
        ("mine/patient_4/scan.npy", "mine/patient_4"),
    ],
)
def test_the_case_is_the_patient_study(image, case):
    assert case_of(image) == case


def test_yes_no_questions_need_no_choices(m3d):
    columns = ["Image Path", "Text", "Question Type", "Question", "Answer"]
    m3d.write_vqa("yn_train", [m3d.row(7)], columns)
    assert read_vqa(m3d.root, "yn_train", OPEN)[0].reference == "Axial"


def test_yes_no_questions_have_no_closed_view(m3d):
    m3d.write_vqa("yn_train", [m3d.row(7)])
    assert "yn_train" in error_of(read_vqa, m3d.root, "yn_train", CLOSED)


@pytest.mark.parametrize("task", [REPORT, CLOSED])
def test_a_missing_file_is_named(m3d, task):
    name = "M3D_Cap.json" if task == REPORT else "M3D_VQA_test.csv"
    assert name in error_of(read_records, m3d.root, task, "test")


@pytest.mark.parametrize("task", [REPORT, CLOSED])
def test_an_unknown_split_lists_the_known_ones(m3d, task):
    m3d.fill(train=1)
    message = error_of(read_records, m3d.root, task, "tset")
    assert "tset" in message
    assert "train" in message


def test_a_task_of_masks_that_are_not_there_is_refused(m3d):
    assert "seg_semantic" in error_of(read_records, m3d.root, Task.SEG_SEMANTIC, "test")


@pytest.mark.parametrize("column", ["Image Path", "Question", "Choice C", "Answer Choice"])
def test_a_missing_column_is_named(m3d, column):
    columns = [name for name in m3d.row(7) if name != column]
    m3d.write_vqa("test", [m3d.row(7)], columns)
    message = error_of(read_vqa, m3d.root, "test", CLOSED)
    assert column in message
    assert "M3D_VQA_test.csv" in message


@pytest.mark.parametrize("content", ["", "Image Path,Text"])
def test_a_file_without_columns_is_refused(m3d, content):
    m3d.write_text("M3D-VQA/M3D_VQA_test.csv", content)
    assert "M3D_VQA_test.csv" in error_of(read_vqa, m3d.root, "test", CLOSED)


def test_a_file_without_rows_is_refused(m3d):
    m3d.write_vqa("test", [])
    assert "no questions" in error_of(read_vqa, m3d.root, "test", CLOSED)


@pytest.mark.parametrize(
    "cells",
    [
        {"Question Type": "6"},
        {"Question Type": "plane"},
        {"Question Type": ""},
        {"Answer Choice": "E"},
        {"Answer Choice": ""},
        {"Answer Choice": "AB"},
        {"Image Path": "/data/a.npy"},
        {"Image Path": "../a.npy"},
        {"Image Path": ""},
        {"Question": " "},
        {"Text": "../../text.txt"},
    ],
)
def test_a_bad_cell_names_file_and_row(m3d, cells):
    m3d.write_vqa("test", [m3d.row(7), m3d.row(7, **cells)])
    message = error_of(read_vqa, m3d.root, "test", CLOSED)
    assert "M3D_VQA_test.csv: row 1 (vqa_closed/test/000001)" in message


@pytest.mark.parametrize("line", ["only,two", ",".join("abcdefghijkl")])
def test_a_row_of_another_length_names_file_and_row(m3d, line):
    path = m3d.write_vqa("test", [m3d.row(7)])
    path.write_text(path.read_text() + line + "\n")
    assert "row 1" in error_of(read_vqa, m3d.root, "test", CLOSED)


def test_a_file_cut_inside_a_quoted_cell_is_refused(m3d):
    path = m3d.write_vqa("test", [m3d.row(7, Question="a, b")])
    path.write_text(path.read_text().split(" b")[0])
    assert "M3D_VQA_test.csv" in error_of(read_vqa, m3d.root, "test", CLOSED)


def test_a_file_in_another_encoding_is_refused(m3d):
    path = m3d.write_vqa("test", [m3d.row(7, Question="é")])
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    assert "UTF-8" in error_of(read_vqa, m3d.root, "test", CLOSED)


def test_broken_json_names_file_and_line(m3d):
    m3d.write_text("M3D_Cap_npy/M3D_Cap.json", '{"train":\n[}')
    assert "M3D_Cap.json:2" in error_of(read_cap, m3d.root, "train")


@pytest.mark.parametrize("content", [[], {"train": []}, {"train": {}}])
def test_json_without_rows_is_refused(m3d, content):
    m3d.write_cap(content)
    assert "M3D_Cap.json" in error_of(read_cap, m3d.root, "train")


@pytest.mark.parametrize(
    "entry",
    [
        "a.npy",
        {"image": "a.npy"},
        {"image": 3, "text": "text.txt"},
        {"image": "/a.npy", "text": "text.txt"},
        {"image": "../a.npy", "text": "text.txt"},
        {"image": "a.npy", "text": "../text.txt"},
        {"image": "a.npy", "text": "absent.txt"},
    ],
)
def test_a_bad_entry_names_file_and_row(m3d, entry):
    m3d.write_text("text.txt", "A cyst.")
    m3d.write_cap({"train": [{"image": "a.npy", "text": "text.txt"}, entry]})
    message = error_of(read_cap, m3d.root, "train")
    assert "M3D_Cap.json: row 1 (report/train/000001)" in message


def test_records_of_all_tasks_have_unique_ids(m3d):
    m3d.fill(train=3)
    records = [r for task in (REPORT, CLOSED, OPEN) for r in read_records(m3d.root, task, "train")]
    assert len({record.id for record in records}) == len(records) == 3 + 9 + 9


def test_both_views_have_the_same_rows(m3d):
    m3d.fill(train=3)
    closed, opened = (read_vqa(m3d.root, "train", task) for task in (CLOSED, OPEN))
    same = {"id": "", "task": OPEN, "question": "", "reference": "", "choices": ()}
    assert [dataclasses.replace(r, **same) for r in closed] == [
        dataclasses.replace(r, **same) for r in opened
    ]


# ---- retrieval -------------------------------------------------------------------------------


def test_retrieval_pairs_each_volume_with_its_report_and_asks_nothing(m3d):
    m3d.fill(test=3)
    pairs = read_records(m3d.root, Task.RETRIEVAL, "test")
    reports = read_records(m3d.root, REPORT, "test")
    assert [(p.volumes, p.reference, p.case) for p in pairs] == [
        (r.volumes, r.reference, r.case) for r in reports
    ]
    assert {pair.question for pair in pairs} == {""}


def test_ids_of_retrieval_are_its_own(m3d):
    m3d.fill(test=2)
    ids = [record.id for record in read_records(m3d.root, Task.RETRIEVAL, "test")]
    assert ids == ["retrieval/test/000000", "retrieval/test/000001"]


def test_own_templates_ask_for_reports(m3d):
    m3d.fill(train=2)
    records = read_records(m3d.root, REPORT, "train", templates={"caption": ("Bericht, bitte.",)})
    assert [record.question for record in records] == ["Bericht, bitte."] * 2
