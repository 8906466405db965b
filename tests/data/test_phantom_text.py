"""Do the words tell the truth, in few words, without giving the answers away?"""

from __future__ import annotations

import re
from collections import Counter

from tomovox.data.phantom_body import KINDS, PHASES, PLANES
from tomovox.data.phantom_case import describe_case
from tomovox.data.phantom_text import LEVELS, NOTHING, SIDES

CASES = [describe_case(0, case) for case in range(1, 401)]
ROWS = [(c, k, q) for c in CASES for k, asked in enumerate(c.questions) for q in asked]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def test_reports_are_15_to_40_words_long():
    assert all(15 <= len(case.report.split()) <= 40 for case in CASES)


def test_reports_name_the_finding_with_its_place():
    for case in CASES:
        if case.finding:
            f = case.finding
            assert {f.kind, f.organ, f.side, f.level} <= set(_words(case.report))


def test_reports_of_normal_cases_name_no_place():
    normal = [case.report for case in CASES if not case.finding]
    assert not any(set(_words(report)) & {*SIDES, *LEVELS} for report in normal)


def test_reports_name_neither_plane_nor_phase():
    told = {word for case in CASES for word in _words(case.report)}
    assert not told & {*PLANES, *PHASES, "portal", "venous", "contrast"}


def test_reports_are_varied():
    assert len({case.report for case in CASES}) > 0.9 * len(CASES)


def test_the_vocabulary_is_small():
    asked = [q for c in CASES for group in (*c.questions, *c.yes_no) for q in group]
    texts = [t for q in asked for t in (q.text, *q.choices, q.answer)]
    assert len({w for t in [*texts, *(c.report for c in CASES)] for w in _words(t)}) <= 250


def test_options_are_four_different_texts_with_the_answer():
    assert all(len(set(q.choices)) == 4 and q.answer in q.choices for _, _, q in ROWS)


def test_the_place_of_the_answer_is_even():
    letters = Counter(q.letter for _, _, q in ROWS)
    assert all(abs(count / len(ROWS) - 0.25) < 0.03 for count in letters.values())


def test_plane_phase_and_kind_are_asked_of_every_series():
    for case, index, q in ROWS:
        series, finding = case.series[index], case.finding
        truth = {1: series.plane, 2: series.phase, 4: finding.kind if finding else NOTHING}
        assert q.type not in truth or q.answer == truth[q.type]


def test_places_are_asked_only_when_there_is_a_finding():
    for case in CASES:
        for asked in case.questions:
            types = [q.type for q in asked]
            assert types == ([1, 2, 4, 3, 5, 5] if case.finding else [1, 2, 4])


def test_only_questions_about_a_finding_are_local():
    assert all(q.local == (q.type > 2 and case.finding is not None) for case, _, q in ROWS)


def test_yes_no_answers_are_true():
    for case in CASES:
        for series, asked in zip(case.series, case.yes_no, strict=True):
            truth = {series.plane, case.finding.kind if case.finding else ""}
            for q in asked:
                named = set(_words(q.text)) & {*PLANES, *KINDS}
                assert len(named) == 1 and (q.answer == "yes") == (named <= truth)


def test_no_is_not_much_more_common_than_yes():
    answers = [q.answer for case in CASES for asked in case.yes_no for q in asked]
    assert 0.4 < answers.count("yes") / len(answers) < 0.6


def test_questions_are_worded_in_several_ways():
    wordings = {kind: {q.text for _, _, q in ROWS if q.type == kind} for kind in range(1, 6)}
    assert min(map(len, wordings.values())) >= 3
