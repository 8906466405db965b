"""Is the file of an audit read as it was written, and anything else refused?"""

import hashlib
import json

import pytest

from tomovox.data.audit_report import Audit
from tomovox.judge.clean_split import CleanSplit, read_clean
from tomovox.schema import TomovoxError

LEAKED = {"vqa_closed/test/000000": ("case",), "vqa_closed/bench/000001": ("case", "question")}


def test_leaked_records_of_every_split_are_listed():
    split = CleanSplit("clean_split.json", "", "M3D", LEAKED, 0)
    assert (split.listed("vqa_closed"), split.listed("report")) == (2, 0)


def test_what_an_audit_writes_is_read(tmp_path):
    path, leaked = tmp_path / "clean_split.json", {name: list(LEAKED[name]) for name in LEAKED}
    audit = Audit("data/M3D", leaked=leaked, cut={"report": 2, "volume": 1})
    path.write_text(audit.clean_split(), encoding="utf-8")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_clean(path) == CleanSplit("clean_split.json", digest, "M3D", LEAKED, unchecked=3)


GOOD = json.loads(Audit("data", cut={"report": 0, "volume": 0}).clean_split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read (No such file"),
        ("{", "not JSON"),
        ("\xff", "not JSON"),
        (GOOD | {"version": 2}, "version 2, this program reads 1"),
        (GOOD | {"leaked": ["report/test/0"]}, "not the clean_split.json"),
        (GOOD | {"leaked": {"report/test/0": "case"}}, "not the clean_split.json"),
        (GOOD | {"not_compared_in_full": {"report": 0}}, "not the clean_split.json"),
        (GOOD | {"data": None}, "not the clean_split.json"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, text, said):
    path = tmp_path / "other.json"
    if text is not None:
        text = json.dumps(text) if isinstance(text, dict) else text
        path.write_text(text, encoding="latin-1")
    with pytest.raises(TomovoxError) as error:
        read_clean(path)
    assert str(error.value).startswith(f"{path}: {said}") and "\n" not in str(error.value)
