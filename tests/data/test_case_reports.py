"""Is the report of a case asked for once, with all series of the case?"""

from __future__ import annotations

import pytest

from tomovox.data.faults import Faults
from tomovox.data.records import CASE_QUESTIONS, read_records
from tomovox.schema import Record, Task, TomovoxError


@pytest.fixture
def cap(m3d) -> dict[str, list[dict[str, str]]]:
    """Two test cases whose series stand mixed; the file is written too."""
    listed = [(2, "b"), (1, "d"), (2, "a"), (1, "c"), (1, "e")]
    for case in (1, 2):
        m3d.write_text(m3d.text(case), f"Report {case}.\nNo fluid.")
    splits = {"test": [{"image": m3d.image(c, s), "text": m3d.text(c)} for c, s in listed]}
    m3d.write_cap(splits)
    return splits


def reports(m3d, split: str = "test", **options) -> list[Record]:
    return read_records(m3d.root, Task.CASE_REPORT, split, **options)


def test_a_case_is_asked_for_once_with_its_series_as_listed(m3d, cap):
    found = [(r.case, r.volumes) for r in reports(m3d)]
    assert found == [
        ("ct_case/000002", (m3d.image(2, "b"), m3d.image(2, "a"))),
        ("ct_case/000001", (m3d.image(1, "d"), m3d.image(1, "c"), m3d.image(1, "e"))),
    ]


def test_ids_count_the_cases(m3d, cap):
    assert [r.id for r in reports(m3d)] == ["case_report/test/000000", "case_report/test/000001"]


def test_the_reference_is_the_report_of_the_case(m3d, cap):
    assert [r.reference for r in reports(m3d)] == [
        "Report 2.\nNo fluid.",
        "Report 1.\nNo fluid.",
    ]


def test_the_question_is_one_of_ours(m3d, cap):
    assert {r.question for r in reports(m3d)} <= set(CASE_QUESTIONS)


def test_a_pool_asks_for_its_cases_with_all_their_series(m3d, cap):
    m3d.write_cap({**cap, "test100": cap["test"][1:2]})
    (record,) = reports(m3d, "test100")
    assert record.id == "case_report/test100/000000" and len(record.volumes) == 3


def test_the_reports_of_single_series_stay_as_they_are(m3d, cap):
    single = read_records(m3d.root, Task.REPORT, "test")
    assert [len(r.volumes) for r in single] == [1] * 5


def test_two_reports_of_one_case_are_refused(m3d, cap):
    cap["test"][3]["text"] = m3d.text(2)
    m3d.write_cap(cap)
    with pytest.raises(TomovoxError, match=r"c\.npy: the report is not that of .*d\.npy"):
        reports(m3d)


def test_faults_are_collected_where_they_are_asked_for(m3d, cap):
    cap["test"][3]["text"] = m3d.text(2)
    cap["test"].append({"image": "x"})
    m3d.write_cap(cap)
    faults = Faults(collect=True)
    assert len(reports(m3d, faults=faults)) == 2 and len(faults.found) == 2
