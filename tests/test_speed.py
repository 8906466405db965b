"""Does the measurement of speed measure, and does it refuse what is missing, slow or unequal?"""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import speed
from speed_case import Case, Record, measure

TARGETS = {("score", "quick"): 2.0, ("data", "small"): 4.0}


def case(**changed) -> Case:
    given = {
        "suite": "score",
        "name": "quick",
        "unit": "pairs/s",
        "work": 10,
        "ours": lambda: 1,
        "reference": lambda: time.sleep(0.002) or 1,
        "equal": lambda ours, theirs: ours == theirs,
    }
    return Case(**{**given, **changed})


def record(ratio=3.0, equal=True, suite="score", name="quick") -> Record:
    return Record(suite, name, ratio, 3.0, 1.0, "pairs/s", equal, 1.0, 2.0, None)


def test_a_ratio_is_that_of_the_speeds():
    found = measure(case(), repeats=3)
    assert found.ratio == pytest.approx(found.ours / found.reference)
    assert found.reference <= 10 / 0.002


def test_the_two_ways_alternate_after_a_first_call_of_each():
    calls: list[str] = []
    ways = {"ours": lambda: calls.append("A"), "reference": lambda: calls.append("B")}
    measure(case(**ways), repeats=3)
    assert calls == ["A", "B"] * 4


@pytest.mark.parametrize(("answer", "equal"), [(1, True), (2, False)])
def test_answers_are_compared(answer, equal):
    assert measure(case(ours=lambda: answer), repeats=1).equal is equal


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone")
def test_peak_memory_is_that_of_the_call_though_it_is_freed():
    found = measure(case(reference=lambda: int(np.ones(64 << 17).sum() * 0) + 1), repeats=1)
    assert found.peak_mib_reference == pytest.approx(64, abs=16)
    assert found.peak_mib_ours < 16


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone")
def test_a_case_may_compare_memory():
    # What is freed below 32 MiB may stay with the process and be used again: malloc's own limit.
    ways = {
        "ours": lambda: int(np.ones(64 << 17).sum() * 0),
        "reference": lambda: int(np.ones(256 << 17).sum() * 0),
    }
    assert measure(case(**ways, compares="memory"), repeats=1).ratio == pytest.approx(4, rel=0.5)


def test_a_case_may_compare_what_its_outputs_take():
    ways = {"ours": lambda: b"12", "reference": lambda: b"12345678"}
    found = measure(case(**ways, compares="size", size=len, equal=lambda a, b: True), repeats=1)
    assert (found.ratio, found.ours, found.reference) == (4.0, 2, 8)


def test_a_case_without_a_reference_is_measured_alone():
    found = measure(case(reference=None), repeats=1)
    assert found.ours > 0
    assert found.equal is None
    cells = speed.row_of(found, {})
    assert (cells[2], cells[5], cells[7]) == ("", "", "")


def test_reaching_every_target_is_no_fault():
    both = [record(), record(suite="data", name="small", ratio=4.0)]
    assert speed.faults(both, TARGETS, ("score", "data")) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "score/quick: not measured, wanted at least 2x"),
        ([record(ratio=1.9)], "score/quick: 1.9x, wanted at least 2x"),
        ([record(ratio=float("nan"))], "score/quick: nanx, wanted at least 2x"),
        ([record(equal=False)], "score/quick: the answers differ"),
    ],
)
def test_what_is_missing_slow_or_unequal_is_named(found, said):
    assert speed.faults(found, TARGETS, ("score",)) == [said]


def test_a_case_without_a_target_must_give_equal_answers():
    found = [record(), record(name="other", equal=False)]
    assert speed.faults(found, TARGETS, ("score",)) == ["score/other: the answers differ"]


@pytest.mark.parametrize(("ratio", "code"), [(3.0, 0), (1.0, 1)])
def test_check_exits_with_1_below_a_target(monkeypatch, tmp_path, ratio, code):
    monkeypatch.setitem(sys.modules, "speed_score", SimpleNamespace(cases=lambda: iter([case()])))
    monkeypatch.setattr(speed, "measure", lambda each, repeats: record(ratio))
    monkeypatch.setattr(speed, "read_targets", lambda: TARGETS)
    arguments = ["--suite", "score", "--check", "--json", str(tmp_path / "speed.json")]
    assert speed.main(arguments) == code
    written = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert [(r["suite"], r["case"], r["ratio"]) for r in written["records"]] == [
        ("score", "quick", ratio)
    ]
    assert {"machine", "versions", "commit"} <= written.keys()


def test_without_check_a_slow_case_is_only_printed(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "speed_score", SimpleNamespace(cases=lambda: iter([case()])))
    monkeypatch.setattr(speed, "measure", lambda each, repeats: record(1.0))
    assert speed.main(["--suite", "score"]) == 0
    assert "1.00x" in capsys.readouterr().out


def test_every_target_belongs_to_a_suite():
    assert {suite for suite, _ in speed.read_targets()} <= set(speed.SUITES)


@pytest.mark.needs_wordnet
def test_scoring_all_pairs_at_once_gives_what_each_released_call_gives():
    import speed_score

    pairs = speed_score.made_pairs(12)
    ours = speed_score.all_at_once(pairs)
    assert speed_score.equal(ours, speed_score.library_per_pair(pairs))
    assert speed_score.equal(ours, speed_score.evaluate_per_pair(pairs))
    assert speed_score.equal(ours, speed_score.evaluate_per_pair(pairs, bare=True))
