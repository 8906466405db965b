"""Do the voxels show what the description of a case says?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tomovox.data.phantom_body import DIFFICULTIES, PHASES, PLANES, Series
from tomovox.data.phantom_case import describe_case, render_series
from tomovox.data.phantom_render import HU, _resized, render, thickness_range

SHAPE = (32, 64, 64)
QUIET = replace(DIFFICULTIES["base"], noise_hu=0.0)
FOUND = [case for case in (describe_case(0, k) for k in range(1, 61)) if case.finding]


def _image(series: Series, difficulty=QUIET, finding=None, organ_masks: bool = False):
    rng = np.random.default_rng(0)
    return render(FOUND[0].parts, finding, series, SHAPE, difficulty, rng, organ_masks)


@pytest.mark.parametrize("depth", [8, 16, 32, 48])
@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_a_finding_fills_two_to_four_of_32_slices(depth: int, difficulty: str):
    fewest, most = thickness_range(depth)
    for number in range(1, 25):
        case = describe_case(3, number, depth, difficulty)
        for index in range(2 if case.finding else 0):
            mask = render_series(case, index, 3, (depth, 32, 32), difficulty).finding
            assert fewest <= mask.any(axis=(0, 2, 3)).sum() <= most


def test_thickness_scales_with_depth():
    assert [thickness_range(depth) for depth in (8, 16, 32, 64)] == [(1, 1), (1, 2), (2, 4), (4, 8)]


def test_a_finding_changes_the_image_only_where_its_mask_or_its_blur_is():
    series = Series("axial", "delayed", "soft", 32)
    with_it = _image(series, finding=FOUND[0].finding)
    changed = with_it.image != _image(series).image
    assert changed.any() and not (changed & ~with_it.finding).any()


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_every_finding_can_be_seen(difficulty: str):
    for number in [case.id for case in FOUND[:20]]:
        case = describe_case(0, number, 32, difficulty)
        for series in case.series:
            quiet = replace(DIFFICULTIES[difficulty], noise_hu=0.0)
            pair = [
                render(case.parts, finding, series, SHAPE, quiet, np.random.default_rng(0))
                for finding in (case.finding, None)
            ]
            change = np.abs(pair[0].image.astype(int) - pair[1].image)[pair[0].finding]
            assert change.max() >= 8  # of 255 grey levels: 20 HU


def test_contrast_phases_change_the_organs():
    means = {}
    for phase in PHASES:
        shown = _image(Series("axial", phase, "soft", 32), organ_masks=True)
        means[phase] = shown.image[shown.organs["aorta"]].mean()
    assert sorted(PHASES, key=lambda phase: HU["aorta"][PHASES.index(phase)]) == sorted(
        means, key=means.__getitem__
    )


def test_planes_are_permutations_of_one_patient():
    def cube(plane: str) -> np.ndarray:
        series = Series(plane, "delayed", "soft", 32)
        rng = np.random.default_rng(0)
        return render(FOUND[0].parts, None, series, (32, 32, 32), QUIET, rng).image[0]

    axial = cube("axial")
    assert all((cube(p) == axial.transpose(axes)).all() for p, axes in PLANES.items())


def test_noise_grows_with_difficulty():
    series = Series("axial", "delayed", "soft", 32)
    clean = _image(series).image.astype(float)
    sds = [np.std(_image(series, DIFFICULTIES[name]).image - clean) for name in DIFFICULTIES]
    assert sds == sorted(sds)


def test_the_body_is_brighter_than_the_air_around_it():
    image = _image(Series("axial", "delayed", "soft", 32)).image
    assert image[0, :, 0, 0].max() == 0 and image[0, 16, 32, 10:54].min() > 0


@pytest.mark.parametrize("slices", [20, 32, 48])
def test_resizing_is_the_published_trilinear_interpolation(slices: int):
    native = np.random.default_rng(0).uniform(0, 255, (slices, 4, 4)).astype(np.float32)
    ours = _resized(native.copy(), (np.arange(32) + 0.5) * (slices / 32))
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(native)[None, None], (32, 4, 4), mode="trilinear", align_corners=False
    )
    assert np.abs(ours[0] - theirs[0, 0].numpy()).max() < 0.501
