"""Do the lexical metrics give the published values, and do others who compute them agree?"""

import json
import random
import re
from pathlib import Path

import pytest
from drawn_texts import texts

from tomovox.metrics import text
from tomovox.metrics.bleu import sentence_bleu
from tomovox.metrics.meteor import meteor

GOLDEN = json.loads((Path(__file__).parent / "text_metrics.json").read_text(encoding="utf-8"))


def columns() -> tuple[list[str], list[str]]:
    rows = GOLDEN["rows"]
    return [row["prediction"] for row in rows], [row["reference"] for row in rows]


METRICS = {
    "bleu1": lambda p, r: sentence_bleu(p, r, 1),
    "bleu2": lambda p, r: sentence_bleu(p, r, 2),
    "bleu3": lambda p, r: sentence_bleu(p, r, 3),
    "bleu4": lambda p, r: sentence_bleu(p, r, 4),
    "rouge1": lambda p, r: text.rouge_n(p, r, 1),
    "rouge2": lambda p, r: text.rouge_n(p, r, 2),
    "rougeL": text.rouge_l,
    "meteor": meteor,
}


@pytest.mark.parametrize(
    "name",
    [n if n != "meteor" else pytest.param(n, marks=pytest.mark.needs_wordnet) for n in METRICS],
)
def test_the_values_are_those_of_the_published_scripts(name):
    wanted = [row[name] for row in GOLDEN["rows"]]
    assert METRICS[name](*columns()) == pytest.approx(wanted, abs=GOLDEN["tolerance"])


def test_rouge_agrees_with_rouge_score():
    from rouge_score.rouge_scorer import RougeScorer

    predictions, references = texts(1, 60), texts(2, 60)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    pairs = zip(predictions, references, strict=True)
    theirs = [scorer.score(reference, prediction) for prediction, reference in pairs]
    ours = {
        "rouge1": text.rouge_n(predictions, references, 1),
        "rouge2": text.rouge_n(predictions, references, 2),
        "rougeL": text.rouge_l(predictions, references),
    }
    for name, values in ours.items():
        assert values == pytest.approx([row[name].fmeasure for row in theirs], abs=1e-12)


def test_rouge_reads_runs_of_letters_and_digits_alone():
    said = "5\u00b5m T2 \u0130nf\u00e9ct_1 a\u00a0b-C\n\u4e2d3?x"
    wanted = tuple(re.findall("[a-z0-9]+", said.lower()))
    assert text.rouge_tokens(said) == wanted


def test_the_bit_parallel_subsequence_is_as_long_as_that_of_the_table():
    draw = random.Random(0)
    for _ in range(100):
        a, b = (draw.choices("abcd", k=draw.randint(0, 90)) for _ in range(2))
        row = [0] * (len(b) + 1)
        for x in a:
            last = row
            row = [0]
            for j, y in enumerate(b):
                row.append(last[j] + 1 if x == y else max(last[j + 1], row[j]))
        assert text.longest_common_subsequence(a, b) == row[-1]


@pytest.mark.parametrize(
    ("prediction", "reference", "wanted"),
    [
        ("The liver.", "liver", 1.0),
        ("  LIVER  ", "liver", 1.0),
        ("left kidney", "kidney", 0.0),
        ("", "", 0.0),
        ("...", "", 0.0),
    ],
)
def test_exact_match_forgives_case_marks_and_articles_only(prediction, reference, wanted):
    assert text.exact_match([prediction], [reference]) == [wanted]


def test_identical_pairs_are_computed_once():
    calls = []

    def score(prediction, reference):
        calls.append((prediction, reference))
        return 1.0

    assert text.over_pairs(score, ["a", "a ", "b"], ["c", "c", "c"]) == [1.0, 1.0, 1.0]
    assert calls == [("a", "c"), ("b", "c")]


def test_unequal_numbers_of_texts_are_refused():
    with pytest.raises(ValueError, match="zip"):
        text.rouge_l(["a", "b"], ["a"])
