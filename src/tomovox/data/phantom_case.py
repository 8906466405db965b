"""What is true of one synthetic case, before and after rendering?

Letters: D H W depth, height and width of a volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tomovox.data import phantom_body as body
from tomovox.data import phantom_text as text
from tomovox.data.phantom_render import Rendered, render
from tomovox.data.phantom_shift import shift_organs, ways_of

SHIFT, VISIBLE = 100, 101
"""The purposes of the generators of two options, far from those of the noise of series."""


@dataclass(frozen=True, slots=True)
class Case:
    """All that is true of one case, before any voxel.

    `visible` is the one series that shows the finding; None where all of them do.
    """

    id: int
    parts: tuple[body.Part, ...]
    finding: body.Finding | None
    series: tuple[body.Series, ...]
    report: str
    questions: tuple[tuple[text.Question, ...], ...]
    yes_no: tuple[tuple[text.Question, ...], ...]
    absent: str
    visible: int | None = None

    @property
    def folder(self) -> str:
        """Return the folder of the case below the data root."""
        return f"M3D_Cap_npy/ct_case/{self.id:06d}"

    def image(self, index: int) -> str:
        """Return the path of series `index` below the data root."""
        return f"{self.folder}/{self.series[index].name}.npy"

    def shows_finding(self, index: int) -> bool:
        """Return whether there is a finding that series `index` shows."""
        return self.finding is not None and self.visible in (None, index)


def describe_case(
    seed: int,
    case: int,
    depth: int = 32,
    difficulty: str = "base",
    series: int = 2,
    organ_shift: float = 0.0,
    visible_in: str = "all",
) -> Case:
    """Return case `case` (counting from 1) of the world `seed` without rendering it.

    Anatomy, series and words have generators of their own, seeded by (seed, case, purpose), so that
    a case depends neither on the number of cases nor on the worker that writes it. With
    `organ_shift` the organs move first: finding, side, level and report follow from their places.
    `visible_in` "one" lets one series show the finding, each as often as the others; what is said
    and asked stays the same.
    """
    anatomy, scans, words = (np.random.default_rng([seed, case, k]) for k in range(3))
    parts = body.draw_parts(anatomy)
    if organ_shift:
        parts = shift_organs(parts, organ_shift, np.random.default_rng([seed, case, SHIFT]))
    finding = body.draw_finding(parts, body.DIFFICULTIES[difficulty], anatomy)
    chosen = body.draw_series(series, depth, scans)
    if organ_shift:
        # A moved organ may hide most of another; a finding must be seen in the organ it is told of.
        while finding and body.tissue_at(finding.centre, parts) != finding.organ:
            finding = body.draw_finding(parts, body.DIFFICULTIES[difficulty], anatomy)
        report = text.report_with_places(finding, ways_of(parts), words)
    else:
        report = text.report(finding, words)
    visible = None
    if visible_in == "one":
        visible = int(np.random.default_rng([seed, case, VISIBLE]).integers(series))
    others = [kind for kind in body.KINDS if not finding or kind != finding.kind]
    return Case(
        id=case,
        parts=parts,
        finding=finding,
        series=chosen,
        absent=others[int(scans.integers(len(others)))],
        report=report,
        questions=tuple(tuple(text.questions(finding, s, words)) for s in chosen),
        yes_no=tuple(tuple(text.yes_no_questions(finding, s, words)) for s in chosen),
        visible=visible,
    )


def render_series(
    case: Case,
    index: int,
    seed: int,
    shape: tuple[int, int, int],
    difficulty: str = "base",
    organ_masks: bool = False,
    native: bool = False,
) -> Rendered:
    """Return series `index` of a case as voxels and masks of `shape` (D H W).

    With `native` D is the number of slices that the series was scanned with.
    """
    if native:
        shape = (case.series[index].native_slices, *shape[1:])
    noise = np.random.default_rng([seed, case.id, 3 + index])
    return render(
        case.parts,
        case.finding if case.shows_finding(index) else None,
        case.series[index],
        shape,
        body.DIFFICULTIES[difficulty],
        noise,
        organ_masks,
    )
