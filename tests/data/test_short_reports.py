"""Which sentences of a long report stay, and does the choice fit?"""

import numpy as np
import pytest

from tomovox.data.short_reports import shortened

LONG = "A one. B two three. C four five six. D seven. E eight nine."
"""Five sentences of 2 to 4 words, and the empty piece behind the last full stop."""


def words(text: str) -> int:
    """Count words and two special tokens, as the tokenizer of a BERT would."""
    return len(text.split()) + 2


def short(limit: int, seed: int = 0, report: str = LONG) -> str:
    return shortened(report, words, limit, np.random.default_rng(seed))


def test_a_report_that_fits_stays_as_it_is():
    assert short(words(LONG)) == LONG


@pytest.mark.parametrize("seed", range(5))
def test_the_first_sentence_stays_first(seed):
    assert short(12, seed).startswith("A one.")


@pytest.mark.parametrize("seed", range(5))
def test_the_sentences_behind_the_first_fit_with_their_special_tokens(seed):
    _, *others = short(12, seed).split(".")
    assert sum(map(words, others)) <= 12


@pytest.mark.parametrize("seed", range(5))
def test_what_is_left_out_would_not_fit(seed):
    _, *kept = short(12, seed).split(".")
    room = 12 - sum(map(words, kept))
    left = [s for s in LONG.split(".")[1:] if s not in kept]
    assert all(words(sentence) > room for sentence in left)


def test_no_sentence_comes_twice():
    kept = short(30, report="A." + " B c d e f g h." * 9).split(".")
    assert len(kept) == len(set(kept))


def test_another_seed_chooses_other_sentences():
    assert len({short(12, seed) for seed in range(20)}) > 3
