"""Are the words of a text those of nltk.word_tokenize, whatever stands in it?"""

import random

import pytest
from drawn_texts import texts

from tomovox.metrics.resources import word_tokenizer
from tomovox.metrics.word_tokens import CONTRACTED, word_tokens

pytestmark = pytest.mark.needs_wordnet

PIECES = (
    "liver Liver the The i.e. Dr. e.g. etc. p.m. U.S. vs. No. fig. A. a J. 3 3.2 1,000 T2 cannot "
    "Gonna gimme wanna lemme gotta can't patient's 'quoted' \"said\" '' `` -- - ... .. . , : ; ? ! "
    "?! ( ) [ ] { } < > (mild) (see). ). .) >. a/b 5-mm left-sided 3% & # @ $5 * x_y _ + = cysts, "
    "cysts. cysts: size:3 a,b ,, :: .,. é 5\u00b5m don't 'tis d'ye more'n it's' \u201cwell\u201d "
    "1. \n \t \u00a0 cannot, cannot. no. x_y. x_cannot cannot-x 2.5. 2.5, a. B. al. et Fig. ?. !, "
    "(a). b.) >a 1.) +. %. he. He. The the, the. pt. 1st. a.b. --. gonna."
)


@pytest.mark.parametrize("seed", range(5))
def test_words_are_those_of_nltk_in_drawn_text(seed):
    draw, wanted = random.Random(seed), word_tokenizer()
    for _ in range(400):
        pieces = draw.choices(PIECES.split(" "), k=draw.randint(0, 12))
        glue = draw.choice((" ", " ", " ", "", "  "))
        text = glue.join(pieces)
        assert word_tokens().of(text) == wanted(text), repr(text)


def test_words_are_those_of_nltk_in_reports():
    for text in texts(4, 300):
        assert word_tokens().of(text) == word_tokenizer()(text)


@pytest.mark.parametrize("ending", ["", ".", ",", ":", "?", ")"])
@pytest.mark.parametrize("mark", [*" .,;:()%/+=&#<>?!-", "..", "--", ".)", "),", "&gt;"])
def test_each_plain_mark_is_split_as_nltk_does(mark, ending):
    for text in (f"of{mark}3 cm{ending}", f"{mark}of 3{mark}{ending}", f"a {mark} B{ending} c"):
        assert word_tokens().of(text) == word_tokenizer()(text), repr(text)


def test_the_words_that_are_two_are_those_of_nltk():
    from nltk.tokenize import NLTKWordTokenizer

    split = NLTKWordTokenizer().tokenize
    assert all(len(split(word)) == 2 for word in CONTRACTED)
    listed = [pattern.pattern for pattern in NLTKWordTokenizer.CONTRACTIONS2]
    assert len(CONTRACTED) == sum("'" not in pattern for pattern in listed)


def test_sentences_end_where_nltk_ends_them_whatever_words_meet():
    draw, wanted = random.Random(9), word_tokenizer()
    before = "cyst. 3.2. 3. a. B. e.g. etc. Dr. no. pp. u.s. seen? seen! 5%. x-ray. x_y. 1,000."
    after = "liver Liver The the No no 3.2 3 3.2, 3.2. A a. e.g. colgate Henley et, x_y 5%"
    for first in before.split():
        for second in after.split():
            text = " ".join([draw.choice(("the", "3", "A")), first, second, "is", "."])
            assert word_tokens().of(text) == wanted(text), text
