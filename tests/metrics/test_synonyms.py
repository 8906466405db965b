"""Are the synonyms of a word those that NLTK's reader of WordNet finds?"""

import random

import pytest

from tomovox.metrics.resources import wordnet
from tomovox.metrics.synonyms import synonyms

pytestmark = pytest.mark.needs_wordnet


def of_nltk(word: str) -> set[str]:
    names = {lemma.name() for synset in wordnet().synsets(word) for lemma in synset.lemmas()}
    return {name for name in names if "_" not in name}


def drawn_words() -> list[str]:
    lemmas = sorted(set(wordnet().all_lemma_names()))
    draw = random.Random(0)
    forms = ("", "s", "es", "ed", "ing", "er", "est", "men", "ies", "ves")
    return [draw.choice(lemmas).lower() + draw.choice(forms) for _ in range(1500)]


def test_drawn_words_and_their_forms_have_the_synonyms_of_nltk():
    for word in drawn_words():
        assert synonyms().of(word) == of_nltk(word), word


@pytest.mark.parametrize(
    "word",
    [
        "mice",
        "afraid",
        "galore",
        "better",
        "went",
        "children",
        "3",
        "é",
        ",",
        "s",
        "1530s",
        "x-ray",
    ],
)
def test_irregular_forms_and_marks_have_the_synonyms_of_nltk(word):
    assert synonyms().of(word) == of_nltk(word)


def test_a_name_of_two_words_is_no_synonym():
    assert not any("_" in name for name in synonyms().of("kidney"))
