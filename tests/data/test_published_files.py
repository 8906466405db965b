import pytest

from tomovox.data.faults import DataFault
from tomovox.data.published_files import csv_rows, read_json, read_text


def test_a_byte_order_mark_is_no_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbftext")
    assert read_text(path) == "text"


def test_who_asked_for_a_file_is_told(tmp_path):
    with pytest.raises(DataFault, match=r"absent\.txt \(named by row 3\): cannot be read"):
        read_text(tmp_path / "absent.txt", " (named by row 3)")


def test_broken_json_is_told_by_its_line(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{\n1}")
    with pytest.raises(DataFault, match=r"a\.json:2: broken JSON"):
        read_json(path)


def test_a_csv_that_ends_early_yields_what_stands_before(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('x\n1\n"2')
    rows = csv_rows(path, ["x"])
    assert next(rows) == {"x": "1"}
    with pytest.raises(DataFault, match="not a csv file"):
        next(rows)
