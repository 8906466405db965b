"""Is BLEU pooled as a corpus metric must be, and do sacrebleu and torchmetrics agree?"""

import math
import random

import pytest
from drawn_texts import texts

from tomovox.metrics.bleu import (
    bleu_counts,
    bleu_of_counts,
    corpus_bleu,
    sentence_bleu,
    tokens_13a,
)

MARKS = (
    "liver a-b 3.2 5- -5 3-4 1,000 , . ,, .. ., ,. a, a. 3. 3, (x) [y] {z} x/y 5% & &amp; &quot; "
    "&lt;3 <skipped> 's don't \" * _ ^ ~ \\ é µm, \u201cq\u201d \u00a0 x\u00a0. .\u00a0, \u2009 "
    "-\n \n \t ab-\ncd"
)


@pytest.mark.parametrize("seed", range(4))
def test_tokens_are_those_of_mteval_in_drawn_text(seed):
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    draw, wanted = random.Random(seed), Tokenizer13a()
    for _ in range(400):
        glue = draw.choice((" ", " ", "", "  "))
        text = glue.join(draw.choices(MARKS.split(" "), k=draw.randint(0, 10)))
        assert tokens_13a(text) == tuple(wanted(text.strip()).split()), repr(text)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_corpus_bleu_agrees_with_sacrebleu(k):
    from sacrebleu.metrics import BLEU

    predictions, references = texts(1), texts(2)
    theirs = BLEU(smooth_method="none", max_ngram_order=k, tokenize="13a")
    wanted = theirs.corpus_score(predictions, [references]).score / 100
    assert corpus_bleu(predictions, references, k) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("k", [1, 2])
def test_sentence_bleu_agrees_with_torchmetrics(k):
    from torchmetrics.functional.text import sacre_bleu_score

    predictions, references = texts(3, 20), texts(4, 20)
    theirs = [
        float(sacre_bleu_score([p], [[r]], n_gram=k, tokenize="13a"))
        for p, r in zip(predictions, references, strict=True)
    ]
    assert sentence_bleu(predictions, references, k) == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(("prediction", "reference"), [("", "liver"), ("liver", ""), ("", "")])
def test_an_empty_side_scores_zero(prediction, reference):
    assert sentence_bleu([prediction], [reference], 1) == [0.0]


def test_a_corpus_of_no_pairs_has_no_bleu():
    assert math.isnan(corpus_bleu([], [], 4))


def test_counts_of_parts_add_up_to_the_corpus():
    predictions, references = texts(5), texts(6)
    counts = bleu_counts(predictions, references, 4)
    halves = [[sum(c) for c in zip(*part, strict=True)] for part in (counts[:30], counts[30:])]
    pooled = bleu_of_counts([a + b for a, b in zip(*halves, strict=True)])
    assert pooled == corpus_bleu(predictions, references, 4)


def test_corpus_bleu_is_not_the_mean_of_sentences():
    predictions, references = ["a b c d", "x"], ["a b c d", "y"]
    mean = sum(sentence_bleu(predictions, references, 1)) / 2
    assert corpus_bleu(predictions, references, 1) != pytest.approx(mean)


def test_a_short_prediction_pays_the_brevity_penalty():
    assert sentence_bleu(["a b"], ["a b c d"], 1) == pytest.approx([math.exp(-1)])


def test_one_text_shorter_than_k_has_no_bleu_k():
    assert sentence_bleu(["liver"], ["liver"], 2) == [0.0]
