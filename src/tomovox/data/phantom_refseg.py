"""Which questions does a finding answer with a mask? M3D-RefSeg of a synthetic patient."""

from __future__ import annotations

from tomovox.data.phantom_body import KINDS, Finding
from tomovox.data.phantom_text import LEVEL_WORDS, SIDE_WORDS
from tomovox.data.published_tables import DESCRIPTION, REASONING, Referred

CLUES = {
    "cyst": "Which part of the {organ} holds water instead of tissue?",
    "mass": "Where has something solid grown in the {organ}?",
    "calcification": "Where has chalk been laid down in the {organ}?",
    "stone": "What in the {organ} could hurt when it moves?",
    "effusion": "Where has fluid gathered beside the {organ}?",
}
"""Kind -> a question that only this kind answers, which must be inferred."""


def mask_number(finding: Finding) -> int:
    """Return the label of a finding in mask.npy; 0 is everything else."""
    return KINDS.index(finding.kind) + 1


def refer(finding: Finding) -> list[Referred]:
    """Return three questions that describe the finding and three that let it be inferred."""
    kind, organ, number = finding.kind, finding.organ, mask_number(finding)
    side = SIDE_WORDS[finding.side][0]
    level = LEVEL_WORDS[1].format(finding.level)
    asked = (
        (DESCRIPTION, f"Segment the {finding.size} {kind} in the {organ}.", "It is [SEG]."),
        (DESCRIPTION, f"Outline the {kind} {side}, {level}.", f"The {kind} is [SEG]."),
        (DESCRIPTION, f"Show the finding of the {organ} that lies {side}.", "It is [SEG]."),
        (REASONING, CLUES[kind].format(organ=organ), f"[SEG] shows the {kind}."),
        (
            REASONING,
            "Which region of this scan needs a second look?",
            f"[SEG], since there is a {kind} in the {organ}.",
        ),
        (
            REASONING,
            "What keeps this scan from being normal?",
            f"The {kind} {side}, [SEG].",
        ),
    )
    return [Referred(number, kind_of, question, answer) for kind_of, question, answer in asked]
