"""Does a record get the labels that a table gives it?"""

import pytest

from tomovox.metrics.label_files import read_label_files
from tomovox.schema import TomovoxError

CT_RATE = """VolumeName,Emphysema,Lung nodule
valid_1_a_1.nii.gz,1,0
valid_1_a_2.nii.gz,1,0
valid_1_b_1.nii.gz,0,1
valid_10_a_1.nii.gz,0,0
"""


@pytest.fixture
def table(tmp_path):
    def write(text: str, name: str = "labels.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ("report/test/valid_1_a", {"Emphysema"}),
        ("report/test/valid_1_b", {"Lung nodule"}),
        ("report/test/valid_10_a", set()),
        ("case_report/test/valid_1_b_1", {"Lung nodule"}),
        ("report/test/valid_2_a", None),
        ("report/test/000001", None),
    ],
)
def test_a_record_of_ct_rate_has_the_labels_of_its_scan_or_volume(table, record, found):
    assert read_label_files([table(CT_RATE)]).of(record) == found


def test_a_table_may_name_records_themselves(table):
    found = read_label_files([table("id,Emphysema\nreport/test/000001,1.0\n")])
    assert found.of("report/test/000001") == {"Emphysema"}
    assert found.of("report/test/000002") is None


def test_a_table_of_records_names_them_in_full(table):
    found = read_label_files([table("id,Emphysema\n000001,1\nreport/test/000002,1\n")])
    assert found.of("report/test/000001") is None
    assert found.of("case_report/test/000002") is None


def test_a_dot_in_the_name_of_a_volume_is_not_its_ending(table):
    rows = "VolumeName,Emphysema\n1.2.840.7.nii.gz,1\n1.2.840.8.nii.gz,0\n"
    found = read_label_files([table(rows)])
    assert found.of("report/test/1.2.840.7") == {"Emphysema"}
    assert found.of("report/test/1.2.840.8") == set()
    assert found.of("report/test/1") is None


def test_a_volume_is_not_the_scan_of_another(table):
    found = read_label_files([table("VolumeName,Emphysema\na_1_2.nii.gz,0\na_1.nii.gz,1\n")])
    assert found.of("report/test/a_1") == {"Emphysema"}


def test_the_splits_of_a_data_set_are_one_table(table):
    paths = [table(CT_RATE), table("VolumeName,Emphysema,Lung nodule\ntrain_1_a_1,1,1\n", "b.csv")]
    found = read_label_files(paths)
    assert found.source == "labels.csv+b.csv" and found.names == ("Emphysema", "Lung nodule")
    assert found.of("report/train/train_1_a") == {"Emphysema", "Lung nodule"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", ":1: no table of labels"),
        ("\nEmphysema\n", ":2: no table of labels"),
        ("VolumeName\n", ":1: no table of labels"),
        ("name,Emphysema\n", ":1: no table of labels"),
        ("id,Emphysema,Emphysema\n", ":1: no table of labels"),
        ("id,Emphysema\na,2\n", ":2: wanted a 0 or 1 for 1 labels"),
        ("id,Emphysema\na,1\nb\n", ":3: wanted a 0 or 1"),
        ('id,Emphysema\n"a,1\n', ": not a CSV file"),
        ("id,Emphysema\na,1\nb,0\na,0\n", ":4: a has other labels above; keep one row"),
        ("VolumeName,Emphysema\na_1.nii.gz,1\na_1,0\n", ":3: a_1 has other labels above"),
    ],
)
def test_what_is_no_table_of_labels_is_refused_with_its_line(table, text, fault):
    path = table(text)
    with pytest.raises(TomovoxError) as caught:
        read_label_files([path])
    assert str(caught.value).startswith(f"{path}{fault}")


def test_tables_with_other_labels_are_not_mixed(table):
    with pytest.raises(TomovoxError, match=r"b\.csv:1: other labels than in"):
        read_label_files([table(CT_RATE), table("id,Emphysema\n", "b.csv")])


def test_a_table_that_is_not_there_is_said(tmp_path):
    with pytest.raises(TomovoxError, match="cannot be read"):
        read_label_files([tmp_path / "none.csv"])
