"""What do text metrics cost, all pairs at once, against one call a pair? BLEU-1, ROUGE-1, METEOR.

The pairs are seeded and distinct, 60 words in the median: words of WordNet 3.0 by Zipf's law, a
third of them inflected, in sentences with marks and numbers; an answer is its reference with words
dropped, replaced, moved, and put in other forms or for synonyms. "Cold" means that before every
call, of both sides, no synset and no word is known; the index of WordNet is read.

The released scripts call `evaluate` once for each pair and metric. `evaluate` ships no metric, so
its three are written here after their description, upon the libraries that they call. That of ROUGE
draws 1,000 bootstrap samples of the one pair for an interval that nobody reads; the case
`evaluate_without_bootstrap` goes without, and is no target. `library_per_pair` calls the libraries
alone, one pair at a time.
"""

import math
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import datasets
import evaluate
import numpy as np
from nltk.tokenize import word_tokenize
from nltk.translate.meteor_score import single_meteor_score
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.scoring import BootstrapAggregator
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp
from speed_case import Case

from tomovox.metrics import bleu, meteor, text
from tomovox.metrics.resources import wordnet
from tomovox.metrics.synonyms import synonyms
from tomovox.metrics.word_tokens import word_tokens

PAIRS, SEED, WORDS = 2000, 0, 60
SIZES = (100, 1000, 10_000, 100_000)
VOCABULARY = 4000
SMALL = "the of with and in no is are seen a to on at by for without"
Pairs = Sequence[tuple[str, str]]
Values = list[tuple[float, float, float]]


# ---- the pairs -------------------------------------------------------------------------------


@cache
def vocabulary() -> tuple[list[str], list[float]]:
    """Return words of WordNet in an order that a seed draws, and their cumulated frequencies."""
    names = sorted(n for n in set(wordnet().all_lemma_names()) if n.isalpha() and len(n) > 2)
    words = random.Random(SEED).sample(names, VOCABULARY)
    total, cumulated = 0.0, []
    for rank in range(VOCABULARY):
        total += 1 / (rank + 3)
        cumulated.append(total)
    return words, cumulated


def inflected(word: str, draw: random.Random) -> str:
    """Return the word in one of its forms, as a stemmer reads them."""
    return word + draw.choice(("s", "ed", "ing", "", "", "", "", "", ""))


def reference_text(draw: random.Random) -> str:
    """Return sentences of 60 words in the median, from 15 to 240."""
    words, cumulated = vocabulary()
    left = min(240, max(15, round(WORDS * math.exp(draw.gauss(0, 0.5)))))
    sentences = []
    while left > 0:
        length = min(left, draw.randint(6, 18))
        content = draw.choices(words, cum_weights=cumulated, k=length)
        said = [
            draw.choice(SMALL.split()) if draw.random() < 0.4 else inflected(w, draw)
            for w in content
        ]
        if draw.random() < 0.3:
            said[draw.randrange(length)] = f"{draw.randint(1, 99)}.{draw.randint(0, 9)}"
        if length > 8:
            said[length // 2] += ","
        sentences.append(" ".join(said).capitalize() + ".")
        left -= length
    return " ".join(sentences)


def answer_text(reference: str, draw: random.Random) -> str:
    """Return the reference with half of its words changed: dropped, other, moved, other form."""
    words, cumulated = vocabulary()
    said: list[str] = []
    for word in reference.split():
        chance = draw.random()
        if chance < 0.10:
            continue
        if chance < 0.30:
            said.append(draw.choices(words, cum_weights=cumulated)[0])
        elif chance < 0.40:
            said.insert(draw.randint(0, len(said)), word)
        elif chance < 0.45 and word.isalpha():
            said.append(word.removesuffix("s") + "s")
        else:
            synsets = wordnet().synsets(word) if chance < 0.5 and word.isalpha() else []
            said.append(synsets[0].lemmas()[-1].name() if synsets else word)
    return " ".join(said)


@cache
def made_pairs(count: int) -> Pairs:
    """Return distinct pairs of an answer and its reference."""
    draw = random.Random(SEED + count)
    pairs: dict[tuple[str, str], None] = {}
    while len(pairs) < count:
        reference = reference_text(draw)
        pairs[answer_text(reference, draw), reference] = None
    return list(pairs)


# ---- the released way ------------------------------------------------------------------------


def bleu_of_scripts(prediction: str, reference: str) -> float:
    """Return BLEU-1 as the script behind `evaluate` makes it of tokens and counts."""
    tokenize = Tokenizer13a()
    said, wanted = tokenize(prediction).split(), tokenize(reference).split()
    matches = sum((Counter(said) & Counter(wanted)).values())
    precision = matches / len(said)
    ratio = len(said) / len(wanted)
    return precision * (1.0 if ratio > 1 else math.exp(1 - 1 / ratio))


def meteor_of_scripts(prediction: str, reference: str) -> float:
    """Return METEOR as the script behind `evaluate` calls it."""
    return single_meteor_score(
        word_tokenize(reference),
        word_tokenize(prediction),
        wordnet=wordnet(),
        alpha=0.9,
        beta=3,
        gamma=0.5,
    )


class ScriptMetric(evaluate.Metric):
    """What the three scripts share: pairs of texts in, one number out."""

    def _info(self) -> evaluate.MetricInfo:
        texts = {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
        features = datasets.Features(texts)
        return evaluate.MetricInfo("", "", features, inputs_description="")


class ScriptBleu(ScriptMetric):
    """BLEU-1 of a corpus of pairs; here of one."""

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        (prediction,), (reference,) = predictions, references
        return {"bleu": bleu_of_scripts(prediction, reference)}


class ScriptRouge(ScriptMetric):
    """ROUGE-1 F1: the middle of 1,000 bootstrap samples, or with `bare` the mean."""

    def __init__(self, bare: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.bare = bare

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        scorer = RougeScorer(["rouge1"], use_stemmer=False)
        found = [scorer.score(r, p) for p, r in zip(predictions, references, strict=True)]
        if self.bare:
            return {"rouge1": float(np.mean([each["rouge1"].fmeasure for each in found]))}
        aggregator = BootstrapAggregator()
        for each in found:
            aggregator.add_scores(each)
        return {"rouge1": aggregator.aggregate()["rouge1"].mid.fmeasure}


class ScriptMeteor(ScriptMetric):
    """METEOR, averaged over pairs."""

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        pairs = zip(predictions, references, strict=True)
        return {"meteor": float(np.mean([meteor_of_scripts(*pair) for pair in pairs]))}


def evaluate_per_pair(pairs: Pairs, bare: bool = False) -> Values:
    """Return the three metrics of each pair, by one compute a pair and metric."""
    forget()
    with tempfile.TemporaryDirectory() as folder:
        metrics = [
            ScriptBleu(cache_dir=folder, experiment_id="bleu"),
            ScriptRouge(bare, cache_dir=folder, experiment_id="rouge"),
            ScriptMeteor(cache_dir=folder, experiment_id="meteor"),
        ]
        values = []
        for prediction, reference in pairs:
            found: dict[str, float] = {}
            for metric in metrics:
                found |= metric.compute(predictions=[prediction], references=[reference])
            values.append((found["bleu"], found["rouge1"], found["meteor"]))
    return values


def library_per_pair(pairs: Pairs) -> Values:
    """Return the three metrics of each pair, by direct calls."""
    forget()
    scorer = RougeScorer(["rouge1"], use_stemmer=False)
    return [
        (
            bleu_of_scripts(*pair),
            scorer.score(pair[1], pair[0])["rouge1"].fmeasure,
            meteor_of_scripts(*pair),
        )
        for pair in pairs
    ]


# ---- ours ------------------------------------------------------------------------------------


def all_at_once(pairs: Pairs) -> Values:
    """Return the three metrics of each pair, as a run is scored."""
    forget()
    predictions, references = map(list, zip(*pairs, strict=True))
    columns = (
        bleu.sentence_bleu(predictions, references, 1),
        text.rouge_n(predictions, references, 1),
        meteor.meteor(predictions, references),
    )
    return list(zip(*columns, strict=True))


def forget() -> None:
    """Forget every synset, word and text that either side has seen; WordNet's index stays."""
    wordnet()._synset_offset_cache.clear()
    words = word_tokens()
    for memory in (
        *(Tokenizer13a.__call__, TokenizerRegexp.__call__, text.rouge_tokens),
        *(bleu.tokens_13a, bleu._chunk_13a, bleu._matches, synonyms().of),
        *(words._inner, words._last, words._punkt.text_contains_sentbreak),
        *(meteor._lower_tokens(), meteor._stem),
    ):
        memory.cache_clear()


def equal(ours: Values, theirs: Values) -> bool:
    """Return whether both give the same values but for the rounding of sums."""
    return np.shape(ours) == np.shape(theirs) and np.allclose(ours, theirs, rtol=0, atol=1e-12)


def case_of(name: str, reference: Callable[[Pairs], Values] | None, count: int) -> Case:
    """Return the case of so many pairs."""
    pairs = made_pairs(count)
    return Case(
        *("score", name, "pairs/s", count),
        ours=lambda: all_at_once(pairs),
        reference=None if reference is None else lambda: reference(pairs),
        equal=equal,
    )


def cases() -> Iterator[Case]:
    """Yield the three ways of the released scripts, each against ours."""
    yield case_of("evaluate_per_pair", evaluate_per_pair, PAIRS)
    yield case_of(
        "evaluate_without_bootstrap", lambda pairs: evaluate_per_pair(pairs, bare=True), PAIRS
    )
    yield case_of("library_per_pair", library_per_pair, PAIRS)


def growth() -> Iterator[Case]:
    """Yield ours from 100 to 100,000 pairs, and the direct calls where they end within seconds."""
    for count in SIZES:
        yield case_of(f"pairs={count}", library_per_pair if count <= PAIRS else None, count)
