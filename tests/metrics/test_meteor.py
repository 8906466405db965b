"""Is METEOR that of NLTK, to the last bit?"""

import random

import pytest
from drawn_texts import texts

from tomovox.metrics.meteor import meteor
from tomovox.metrics.resources import word_tokenizer, wordnet

pytestmark = pytest.mark.needs_wordnet

RELATED = (
    "car auto automobile cars see sees seen look looking picture image images pictures big large "
    "larger show shows shown display displays kidney kidneys nephritic running ran run runs . , the"
)


def of_nltk(predictions: list[str], references: list[str]) -> list[float]:
    from nltk.translate.meteor_score import single_meteor_score

    tokens = word_tokenizer()
    return [
        single_meteor_score(tokens(r.strip()), tokens(p.strip()), wordnet=wordnet())
        for p, r in zip(predictions, references, strict=True)
    ]


def test_meteor_of_nltks_documented_pair():
    hypothesis = (
        "It is a guide to action which ensures that the military always obeys the commands of "
        "the party"
    )
    reference = (
        "It is a guide to action that ensures that the military will forever heed Party commands"
    )
    assert meteor([hypothesis], [reference]) == pytest.approx([0.6944], abs=5e-5)


def test_drawn_reports_score_as_nltk_scores_them():
    predictions, references = texts(1, 150), texts(2, 150)
    assert meteor(predictions, references) == of_nltk(predictions, references)


@pytest.mark.parametrize("seed", range(3))
def test_words_that_share_stems_and_synonyms_are_aligned_as_nltk_aligns_them(seed):
    draw = random.Random(seed)
    predictions, references = (
        [" ".join(draw.choices(RELATED.split(), k=draw.randint(0, 14))) for _ in range(150)]
        for _ in range(2)
    )
    assert meteor(predictions, references) == of_nltk(predictions, references)


def test_an_empty_side_scores_0():
    assert meteor(["", "liver", ""], ["liver", "", ""]) == [0.0, 0.0, 0.0]


def test_meteor_knows_synonyms():
    related, unrelated = meteor(["the car", "the dog"], ["the auto", "the auto"])
    assert related > unrelated
