"""Which questions does the mask of a tumour answer? M3D-RefSeg of the real scans."""

from __future__ import annotations

from tomovox.data.published_tables import DESCRIPTION, REASONING, Referred
from tomovox.data.sample_sources import TUMOUR, Study

TUMOUR_NUMBER = 1
"""The label of the tumour in mask.npy; 0 is everything else."""


def refer(study: Study) -> list[Referred]:
    """Return the questions whose answer is the tumour of a study; its place is told where clear."""
    place = study.places[TUMOUR]
    side = "in the midline" if place.side == "midline" else place.side and f"on the {place.side}"
    where = ", ".join(
        word for word in (side, place.level and f"in the {place.level} third") if word
    )
    asked = (
        (DESCRIPTION, f"Segment the {TUMOUR} {where}".rstrip() + ".", "It is [SEG]."),
        (DESCRIPTION, f"Outline the {TUMOUR} of this scan.", f"The {TUMOUR} is [SEG]."),
        (
            REASONING,
            "Which region of this scan needs a second look?",
            f"[SEG], since a {TUMOUR} is marked there.",
        ),
        (REASONING, "What keeps this scan from being normal?", f"The {TUMOUR}, [SEG]."),
    )
    return [Referred(TUMOUR_NUMBER, kind, question, answer) for kind, question, answer in asked]
