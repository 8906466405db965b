"""Are synthetic patients anatomically sensible, and as skewed as patients are?"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tomovox.data.phantom_body import ORGAN_PRIOR, Series, level_of, side_of, tissue_at
from tomovox.data.phantom_case import describe_case

CASES = [describe_case(0, case) for case in range(1, 301)]
FINDINGS = [case.finding for case in CASES if case.finding]


def _top_share(values: list[str]) -> float:
    return Counter(values).most_common(1)[0][1] / len(values)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([s.plane for case in CASES for s in case.series], 0.40, 0.60),
        ([s.phase for case in CASES for s in case.series], 0.35, 0.55),
        ([case.finding.kind if case.finding else "" for case in CASES], 0.22, 0.36),
        ([f.organ for f in FINDINGS], 0.30, 0.48),
        ([f.side for f in FINDINGS], 0.50, 0.72),
        ([f.level for f in FINDINGS], 0.48, 0.70),
    ],
    ids=["plane", "phase", "kind", "organ", "side", "level"],
)
def test_the_most_common_answer_is_as_common_as_meant(values: list[str], low: float, high: float):
    assert low < _top_share(values) < high


def test_a_finding_lies_in_an_organ_that_can_have_it():
    assert all(f.organ in ORGAN_PRIOR[f.kind] for f in FINDINGS)


def test_a_finding_is_centred_in_visible_tissue_of_its_organ():
    cases = [case for case in CASES if case.finding]
    seen = [tissue_at(case.finding.centre, case.parts) == case.finding.organ for case in cases]
    assert np.mean(seen) > 0.99


def test_side_and_level_are_those_of_the_centre():
    assert all((f.side, f.level) == (side_of(f.centre), level_of(f.centre)) for f in FINDINGS)


def test_the_right_kidney_is_on_the_patients_right():
    kidneys = [part for part in CASES[0].parts if part.tissue == "kidney"]
    assert [side_of(part.centre) for part in kidneys] == ["right", "left"]


def test_series_of_a_case_differ_in_plane_or_phase():
    cases = [describe_case(1, case, series=12) for case in range(1, 6)]
    assert all(len({(s.plane, s.phase) for s in case.series}) == 12 for case in cases)


@pytest.mark.parametrize(
    ("plane", "phase", "name"),
    [
        ("axial", "noncontrast", "Axial_non_contrast"),
        ("coronal", "arterial", "Coronal_C__arterial_phase"),
        ("sagittal", "portal venous", "Sagittal_C__portal_venous_phase"),
        ("axial", "delayed", "Axial_C__delayed"),
    ],
)
def test_series_are_named_in_the_published_style(plane: str, phase: str, name: str):
    assert Series(plane, phase, "soft", 30).name == name


def test_difficulty_keeps_the_patient_and_changes_the_finding():
    case = next(c.id for c in CASES if c.finding and c.finding.organ == "liver")
    easy, hard = (describe_case(0, case, difficulty=name) for name in ("easy", "hard"))
    assert easy.parts == hard.parts and easy.finding.kind == hard.finding.kind
    assert min(easy.finding.radius) > min(hard.finding.radius)
