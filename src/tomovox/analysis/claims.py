"""What is asked of a model that weighs slices, which statistics answer it, and how is that said?"""

from __future__ import annotations

from dataclasses import dataclass

SIGNIFICANT = 0.05
"""An adjusted p below this is a difference."""

WORDS = {
    "uniform": "uniform",
    "gaussian": "the centre prior",
    "area": "the area prior",
    "other_question": "its own scores for other questions",
    "random": "random",
    "centre": "the centre",
    "chance": "chance",
    "other_case": "other cases",
}
"""Name in column `against` -> how a verdict calls it."""

BITS = ".2g"
"""Divergences of flat scores are small: they are shown to two digits wherever these stand."""

NO_DIFFERENCE = "no difference found"

ALIKE = 0.5
"""A likeness to scrambled weights is high above this, and low below."""

HOW_COMPARED = (
    "Below a value stands what each baseline scores on the same records, and the difference to it. "
    "95 % intervals from a bootstrap over cases; p from swaps by case, corrected over all groups "
    f'of a statistic; "{NO_DIFFERENCE}" is a p of 0.05 or more.'
)
HOW_FLAT = (
    "Effective slices are exp(entropy): over how many slices uniform scores would be as flat. They "
    "stand beside the number of slices."
)
HOW_SHIFTED = (
    "Jensen-Shannon divergence of the scores, 0 to 1 bit: other_question between questions of a "
    "task about one volume, swapped_question from a question of another type that was asked of "
    "another case, shuffled_words from the question's own words in random order (0 where the "
    "question is read as a bag of words), other_volume between volumes that are asked one question "
    "(its choices may differ). They count different records, so there is no verdict."
)
HOW_TYPED = (
    "type_shift is the divergence between the mean scores of question types; permuted is what it "
    "is when types are permuted within volumes. A type has words of its own: scores that move with "
    "them need not know what is asked."
)
HOW_SCRAMBLED = (
    "Likeness to scrambled weights is the mean rank correlation with the scores of the same model "
    "whose scoring weights are scrambled, over records and scrambles; its interval draws both. "
    f"It is high where the interval lies above {ALIKE}: then little that was learned decides the "
    "scores. A low one does not prove that they are learned. n/a: scores that are constant, or of "
    "a prior, have nothing to scramble."
)
HOW_SEEDED = "Rank correlation between seeds, beside that of other cases of the same question type."
HOW_PARTED = (
    "evidence_mass by question type, and by plane and phase of 10 cases and more. "
    "Differences are to what a baseline scores on the same records; * is an adjusted p below 0.05."
)


@dataclass(frozen=True)
class Claim:
    """What is asked of a model per task, and the statistics that answer it, larger is better."""

    question: str
    statistics: tuple[str, ...]
    baselines: tuple[str, ...]
    told: tuple[str, ...]
    hidden: str = ""


LOCAL = Claim(
    "does it find the slices that hold the answer?",
    ("evidence_mass", "pointing_hit"),
    ("uniform", "gaussian", "area", "other_question"),
    (
        "evidence_mass is the share of the scores on slices that hold the answer, pointing_hit how "
        "often the highest is; gaussian is a prior about the centre, area where the evidence of "
        "other cases lies, of the same task, plane and question type where there are five. Only "
        "questions whose evidence is local count.",
        "other_question is the model's own mean score for questions about the same volume that are "
        "not local (such as plane and phase). Who is no better than that marks what is conspicuous "
        "in a volume, whatever is asked.",
    ),
)
_ORDERED = ("top_hidden", "top_alone", "deletion_auc", "insertion_auc", "effect_correlation")
_BASELINES = ("random", "centre", "chance")
_COSTS = (
    "What hiding costs the model's own answer, in nats of log-likelihood, the sum over the "
    "answer's tokens: its 3 top slices (top_hidden), one after the other (deletion_auc), and what "
    "showing them gains (insertion_auc; top_alone: the 3 top slices alone, above all of them), "
    "against slices in random order and from the centre; effect_correlation ranks scores against "
    "the cost of each slice alone, centre does so with a prior about the centre."
)
_ANEW = "Slices are weighed anew under every set: none keeps the weight by which it was hidden."
PERCEPT = Claim(
    "slices hidden in the percept: do high scores matter more?",
    _ORDERED,
    _BASELINES,
    (
        _COSTS,
        "Hidden in the percept, a slice has the mean features of the shown ones, and still speaks "
        "through what else saw it (3D tokens). " + _ANEW,
    ),
    "percept",
)
INPUT = Claim(
    "slices hidden in the input: do high scores matter more?",
    _ORDERED,
    _BASELINES,
    (
        _COSTS,
        "Hidden in the input, a slice holds the mean intensity of its volume: it is gone before "
        "anything perceives it. " + _ANEW,
    ),
    "input",
)
CLAIMS = (LOCAL, PERCEPT, INPUT)

HEADLINES = frozenset(
    (
        *LOCAL.statistics,
        *_ORDERED,
        *("effective_slices", "type_shift", "other_question", "other_volume"),
        *("swapped_question", "shuffled_words", "scrambled_correlation"),
    )
)
"""The statistics that a run's page shows."""
