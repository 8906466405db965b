"""Are reports that differ by a word found among many, and others not?"""

import numpy as np
import pytest

from tomovox.data.audit_text import jaccard, near_texts, sketch, word_pairs, words_of
from tomovox.data.phantom_case import describe_case

N = 400


def texts(n: int = N, words: int = 30) -> list[list[str]]:
    drawn = np.random.default_rng(0).integers(100, size=(n, words))
    return [[f"w{k}" for k in row] for row in drawn]


def near(some: list[list[str]], held_out: int) -> list[list[int]]:
    rank = (np.arange(len(some)) >= len(some) - held_out).astype(int)
    return near_texts(some, rank)[0].tolist()


def test_case_punctuation_spacing_and_width_of_characters_do_not_count():
    assert words_of("The  LIVER,\nis normal.") == words_of("the liver is \uff4eormal")


@pytest.mark.parametrize("place", [0, 12, 29])
def test_a_report_with_one_word_changed_is_found_among_many(place):
    some = texts()
    copy = [*some[7]]
    copy[place] = "other"
    assert near([*some, copy], 1) == [[N, 7]]


def test_a_report_of_which_a_third_is_new_is_not_near():
    some = texts()
    assert near([*some, [*some[7][:20], *"abcdefghij"]], 1) == []


def test_the_same_words_in_another_order_are_not_near():
    some = texts()
    assert near([*some, some[7][::-1]], 1) == []


def test_a_text_of_one_word_is_near_to_none():
    assert near([["normal"], ["normal"]], 1) == []


def test_phantom_reports_of_400_cases_are_not_near_to_each_other():
    some = [words_of(describe_case(0, case).report) for case in range(1, N + 1)]
    assert near(some, 200) == []


def test_equal_values_of_two_sketches_estimate_the_jaccard_index():
    first = texts(1, 300)[0]
    pieces = word_pairs([first, [*first[:200], *(f"new{k}" for k in range(100))]])
    a, b = sketch(pieces)
    assert np.mean(a == b) == pytest.approx(jaccard(*pieces), abs=0.15)
