import csv

import pytest

from tomovox.data.faults import Faults
from tomovox.data.refseg_records import COLUMNS, read_refseg
from tomovox.schema import Task, TomovoxError

ROW = dict(
    zip(
        COLUMNS,
        (
            *("M3D_RefSeg_npy/s0001/ct.npy", "M3D_RefSeg_npy/s0001/mask.npy", "2", "1"),
            *("Which change needs care? Draw it.", "The cyst: [SEG], so to say."),
        ),
        strict=True,
    )
)


@pytest.fixture
def write_rows(tmp_path):
    def write(*rows: dict[str, str], name: str = "M3D_RefSeg_test.csv", columns=COLUMNS):
        path = tmp_path / "M3D_RefSeg_npy" / name
        path.parent.mkdir(exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        return tmp_path

    return write


def error_of(*arguments) -> str:
    with pytest.raises(TomovoxError) as caught:
        read_refseg(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_row_is_a_question_about_one_label_of_a_file(write_rows):
    (record,) = read_refseg(write_rows(ROW), "test")
    assert (record.id, record.task) == ("seg_referring/test/refseg/000000", Task.SEG_REFERRING)
    assert (record.volumes, record.mask, record.mask_label) == ((ROW["Image"],), ROW["Mask"], 2)
    assert (record.question, record.reference) == (ROW["Question"], ROW["Answer"])


def test_questions_of_one_scan_are_one_case(write_rows):
    records = read_refseg(write_rows(ROW, ROW | {"Mask_ID": "1"}), "test")
    assert {record.case for record in records} == {"M3D_RefSeg_npy/s0001"}


@pytest.mark.parametrize(("number", "kind"), [("0", "description"), ("1", "reasoning")])
def test_the_type_is_a_word(write_rows, number, kind):
    (record,) = read_refseg(write_rows(ROW | {"Question_Type": number}), "test")
    assert record.question_type == kind


def test_the_training_rows_are_in_the_other_file(write_rows):
    root = write_rows(ROW, ROW, name="M3D_RefSeg.csv")
    assert [record.split for record in read_refseg(root, "train")] == ["train", "train"]


def test_a_file_without_rows_asks_nothing(write_rows):
    assert read_refseg(write_rows(), "test") == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *[("Mask_ID", value) for value in ("0", "-1", "1.5", "", "²")],
        *[("Question_Type", value) for value in ("2", "")],
        *[(column, " ") for column in ("Question", "Answer")],
        *[(column, "/elsewhere/a.npy") for column in ("Image", "Mask")],
        *[(column, "") for column in ("Image", "Mask")],
    ],
)
def test_a_bad_cell_names_file_and_row(write_rows, column, value):
    root = write_rows(ROW, ROW | {column: value})
    assert "M3D_RefSeg_test.csv: row 1" in error_of(root, "test")


def test_a_row_of_another_width_names_file_and_row(write_rows):
    root = write_rows(ROW)
    with (root / "M3D_RefSeg_npy" / "M3D_RefSeg_test.csv").open("a") as stream:
        stream.write("a,b\n")
    assert "row 1" in error_of(root, "test")


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(write_rows, column):
    root = write_rows(ROW, columns=[name for name in COLUMNS if name != column])
    assert repr(column) in error_of(root, "test")


def test_a_missing_file_is_named(write_rows):
    assert "M3D_RefSeg.csv" in error_of(write_rows(ROW), "train")


def test_bad_rows_are_listed_and_the_others_read(write_rows):
    faults = Faults(collect=True)
    records = read_refseg(write_rows(ROW | {"Mask_ID": "x"}, ROW), "test", faults)
    assert [record.id for record in records] == ["seg_referring/test/refseg/000001"]
    assert len(faults.found) == 1
