"""What does a report page show? All of it, as plain data; a page looks nothing up.

Letters: D H W depth, height and width of a volume.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from tomovox.sheets import Sheet

if TYPE_CHECKING:
    import pandas

Volume = UInt8[np.ndarray, "_D _H _W"]


@dataclass(frozen=True, slots=True)
class Scale:
    """How a metric is read: its unit (percent, fraction, rank or unknown), and which way is better.

    `headline` metrics stand in the tables before a reader asks for all of them. `trivial`, such as
    "trivial 0.333", is the value of answers without content, where all data have one.
    """

    unit: str = ""
    lower_is_better: bool = False
    headline: bool = True
    trivial: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model said of a sample, how it scored, and how it weighed the slices.

    `scores` are keyed as in Content.scales; a metric that does not count the sample has no key.
    `slice_scores` are one weight a slice, the first slice first; empty where a model has none.
    """

    text: str
    scores: Mapping[str, float] = field(default_factory=dict)
    slice_scores: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One record and every model's answer to it, by the model's name.

    `volume` names what is shown beside it, the first of its `series`; `evidence` are the slices
    that hold the answer, counted from 0, and `scope` is "slice" where it is local, "volume" where
    it shows in every slice. Empty, or 0 series, means unknown. Weights are shown of one series.
    """

    id: str
    case: str
    task: str
    question: str
    reference: str
    answers: Mapping[str, Answer]
    question_type: str = ""
    choices: tuple[str, ...] = ()
    volume: str = ""
    series: int = 0
    evidence: tuple[int, ...] = ()
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing as the text of an SVG file, and the words that stand below it."""

    caption: str
    svg: str


@dataclass(frozen=True, slots=True)
class Content:
    """Everything on a page.

    `table` is a compared long table. `scales` has the metrics by key ("accuracy.standard") in the
    order of columns, and `primary` the key that is the one number of a task. A difference counts
    where its corrected p is below `significant`; `legend` says how the tables are read.
    `provenance` and `notes` keep their order. `volumes` gives the uint8 voxels (D H W) of
    the volumes whose slices the page shows, by the names the samples use: see chosen_volumes.
    """

    title: str
    table: pandas.DataFrame
    scales: Mapping[str, Scale]
    primary: Mapping[str, str]
    legend: str = ""
    significant: float = 0.05
    provenance: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    sheets: Sequence[Sheet] = ()
    figures: Sequence[Figure] = ()
    samples: Sequence[Sample] = ()
    volumes: Iterable[tuple[str, Volume]] = ()
