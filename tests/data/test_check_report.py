"""Does a report count its errors and print one line for each problem?"""

from tomovox.data.check_report import Problem, Report

PROBLEMS = [
    Problem("error", "a.npy", "cut\toff", "copy it\nagain"),
    Problem("warning", "b.npy", "odd", "look"),
]


def test_the_table_has_a_line_a_problem():
    head, first, second = Report(problems=PROBLEMS).table().splitlines()
    assert head == "severity\tplace\twhat\twhat to do"
    assert first == "error\ta.npy\tcut off\tcopy it again"
    assert second.startswith("warning\tb.npy\t")


def test_warnings_are_no_errors():
    assert Report(problems=PROBLEMS).errors == 1
