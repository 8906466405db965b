"""Do moved organs stay inside the body, spread as asked, and lie where the report says?"""

from __future__ import annotations

import re

import numpy as np
import pytest

from tomovox.boxes import box_of_mask
from tomovox.data.phantom_body import DIFFICULTIES, ORGANS, SHELLS, Part, Series, side_of, tissue_at
from tomovox.data.phantom_body import level_of as third_of
from tomovox.data.phantom_case import Case, describe_case
from tomovox.data.phantom_render import render
from tomovox.data.phantom_shift import LEAST, LONG, NAMED, WAYS, moved_by, ways_of

SHAPE = (32, 64, 64)
USUAL = [describe_case(0, case) for case in range(1, 101)]
SHIFTED = [describe_case(0, case, organ_shift=0.15) for case in range(1, 101)]
AXIAL = Series("axial", "delayed", "soft", 32)


def _spread(cases: list[Case], organ: str) -> float:
    return float(np.std([moved_by(case.parts)[organ] for case in cases], axis=0).mean())


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def _masks(case: Case) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(0)
    return render(
        case.parts, case.finding, AXIAL, SHAPE, DIFFICULTIES["easy"], noise, organ_masks=True
    ).organs


# ---- places ----------------------------------------------------------------------------------


@pytest.mark.parametrize("organ", ORGANS)
def test_the_spread_of_an_organ_grows_with_the_shift(organ: str):
    some = [describe_case(0, case, organ_shift=0.04) for case in range(1, 101)]
    assert _spread(USUAL, organ) < _spread(some, organ) < _spread(SHIFTED, organ)


def _beyond(part: Part) -> float:
    """Return how far a part reaches over the faces of the cube that it does not run through."""
    return max(
        max(radius - centre, centre + radius - 1)
        for centre, radius in zip(part.centre, part.radius, strict=True)
        if radius < LONG
    )


def test_organs_lie_no_further_out_of_the_cube_than_before():
    for usual, shifted in zip(USUAL, SHIFTED, strict=True):
        ends = [
            max(_beyond(p) for p in case.parts if p.tissue not in SHELLS)
            for case in (usual, shifted)
        ]
        assert ends[1] <= max(0.0, ends[0]) + 1e-12


def test_parts_of_an_organ_move_together():
    for usual, shifted in zip(USUAL, SHIFTED, strict=True):
        gaps = [
            np.abs(np.subtract(*(p.centre for p in case.parts if p.tissue == "kidney")))
            for case in (usual, shifted)
        ]
        np.testing.assert_allclose(*gaps, atol=1e-12)


def test_no_organ_vanishes_behind_another():
    assert all(mask.any() for case in SHIFTED[:40] for mask in _masks(case).values())


def test_the_mask_of_an_organ_lies_in_its_shifted_box():
    for case in SHIFTED[:20]:
        for organ, mask in _masks(case).items():
            own = [p for p in case.parts if p.tissue == organ]
            low = np.min([np.subtract(p.centre, p.radius) for p in own], axis=0)
            high = np.max([np.add(p.centre, p.radius) for p in own], axis=0)
            box = np.reshape(box_of_mask(mask[0]), (2, 3)) + 0.5 / np.array(SHAPE)
            assert (box[0] >= low - 0.001).all() and (box[1] <= high + 0.001).all()


def test_the_box_of_a_kidney_is_the_same_in_every_plane():
    case, boxes = SHIFTED[0], []
    for plane, axes in (("axial", (0, 1, 2)), ("coronal", (1, 0, 2)), ("sagittal", (2, 0, 1))):
        scan = render(
            case.parts, None, Series(plane, "delayed", "soft", 32), (32, 32, 32),
            DIFFICULTIES["easy"], np.random.default_rng(0), organ_masks=True,
        )  # fmt: skip
        boxes.append(box_of_mask(scan.organs["kidney"][0].transpose(np.argsort(axes))))
    assert boxes[0] == boxes[1] == boxes[2]


# ---- words -----------------------------------------------------------------------------------


def test_the_report_tells_the_organs_that_moved_farthest_and_where_to():
    for case in SHIFTED:
        told = re.findall(r"(\w+)(?: is shifted| lies further| has moved|) (?:further )?(\w+ward)",
                          case.report)  # fmt: skip
        assert dict(told) == ways_of(case.parts) and len(told) == NAMED


def test_a_told_way_is_the_longest_of_its_organ():
    for case in SHIFTED:
        for organ, way in ways_of(case.parts).items():
            move = moved_by(case.parts)[organ]
            axis = next(k for k, words in enumerate(WAYS) if way in words)
            assert abs(move[axis]) == max(map(abs, move)) >= LEAST
            assert (move[axis] > 0) == (way == WAYS[axis][1])


def test_organs_seen_upward_really_lie_towards_the_head():
    usual = {o: np.mean([box_of_mask(_masks(c)[o][0]) for c in USUAL[:8]], 0) for o in ORGANS}
    gaps = [
        box_of_mask(_masks(case)[organ][0])[0] - usual[organ][0]
        for case in SHIFTED[:30]
        for organ, way in ways_of(case.parts).items()
        if way == "upward"
    ]
    assert len(gaps) > 10 and np.mean(np.array(gaps) < 0) > 0.9


def test_side_and_level_are_those_of_the_moved_finding():
    for case in SHIFTED:
        f = case.finding
        if f:
            assert (f.side, f.level) == (side_of(f.centre), third_of(f.centre))
            assert {f.kind, f.organ, f.side, f.level} <= set(_words(case.report))


def test_a_finding_is_seen_in_the_organ_it_is_told_of():
    found = [case for case in SHIFTED if case.finding]
    assert all(tissue_at(c.finding.centre, c.parts) == c.finding.organ for c in found)


def test_no_organ_is_called_normal():
    assert not any("normal" in _words(c.report) for c in SHIFTED)
    assert not any("unremarkable" in _words(c.report) for c in SHIFTED)


def test_reports_stay_short():
    assert max(len(case.report.split()) for case in SHIFTED) <= 50


def test_without_a_far_move_all_organs_lie_as_usual():
    case = describe_case(0, 1, organ_shift=1e-6)
    assert "All organs lie in their usual place." in case.report


def test_facts_of_the_reports_tell_cases_apart():
    def facts(case: Case) -> tuple:
        f = case.finding
        told = (f.kind, f.organ, f.side, f.level, f.size) if f else ()
        return (told, *sorted(ways_of(case.parts).items()))

    assert len({facts(case) for case in SHIFTED}) == len(SHIFTED)


def test_series_do_not_depend_on_the_shift():
    assert [case.series for case in SHIFTED] == [case.series for case in USUAL]
