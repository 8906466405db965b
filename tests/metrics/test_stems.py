"""Are the stems of words those of NLTK's Porter stemmer?"""

import random

import pytest
from drawn_texts import REPORT

from tomovox.metrics.resources import wordnet
from tomovox.metrics.stems import porter_stem

ENDINGS = (
    *("s", "es", "ed", "ing", "ly", "ness", "ful", "fulness", "ational", "ization", "y", "ies"),
    *("ied", "alli", "logi", "fulli", "eed", "er", "ll", "e", "ion", "ment", "able", "ance", "yy"),
    *("ability", "icity", "iviti", "ously", "ism"),
)


def of_nltk(words: list[str]) -> list[str]:
    from nltk.stem.porter import PorterStemmer

    return list(map(PorterStemmer().stem, words))


@pytest.mark.needs_wordnet
def test_words_of_wordnet_and_their_forms_have_the_stems_of_nltk():
    draw, lemmas = random.Random(0), sorted({name.lower() for name in wordnet().all_lemma_names()})
    words = draw.sample(lemmas, 6000)
    words += [word + draw.choice(ENDINGS) + draw.choice(("", *ENDINGS)) for word in words]
    assert list(map(porter_stem, words)) == of_nltk(words)


def test_drawn_letters_before_an_ending_have_the_stems_of_nltk():
    draw = random.Random(1)
    drawn = ("".join(draw.choices("aeiouybcdlnstz", k=draw.randint(0, 6))) for _ in range(8000))
    words = [letters + draw.choice(("", *ENDINGS)) for letters in drawn]
    assert list(map(porter_stem, words)) == of_nltk(words)


@pytest.mark.parametrize(
    "word",
    [
        *("", "y", "yy", "sky", "dying", "innings", "die", "dies", "died", "hopping", "falling"),
        *(
            "3.2",
            "1,000",
            "x-rays",
            "-ing",
            "\u00e9t\u00e9s",
            "\u5f71ing",
            "it's",
            "y" * 200 + "ing",
        ),
        *REPORT.lower().split(),
    ],
)
def test_marks_and_irregular_words_have_the_stems_of_nltk(word):
    assert [porter_stem(word)] == of_nltk([word])
