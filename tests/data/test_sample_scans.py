"""Do masks of another grid lie on the image, and does resizing keep what it should?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tomovox.data.sample_scans import intensities, laid_on, resized_image, resized_mask
from tomovox.data.stored import Stored


def _stored(voxels: np.ndarray, affine: np.ndarray) -> Stored:
    return Stored(voxels, affine, (1.0, 1.0, 1.0), "RAS")


def test_a_flipped_and_cropped_mask_falls_on_the_same_place_in_mm():
    image = _stored(np.zeros((6, 7, 8), np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [8, 4, 6]  # voxel 0 of the mask is voxel (4, 2, 3) of the image
    mask = np.zeros((3, 3, 3), np.float32)
    mask[1, 0, 2] = 1
    found = laid_on(_stored(mask, affine), image).voxels
    assert np.argwhere(found).tolist() == [[3, 2, 5]]


def test_growing_is_the_published_trilinear_resize():
    small = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    ours = resized_image(small, (8, 9, 10))
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(small)[None, None], (8, 9, 10), mode="trilinear", align_corners=False
    )
    assert np.abs(ours - theirs[0, 0].numpy() * 255).max() <= 0.51


def test_shrinking_averages_noise_away():
    noise = np.random.default_rng(0).random((64, 64, 64))
    assert resized_image(noise, (8, 16, 16)).std() < 255 * noise.std() / 4


def test_a_constant_image_stays_constant():
    assert (resized_image(np.full((9, 30, 7), 0.4), (4, 16, 16)) == 102).all()


@pytest.mark.parametrize("shape", [(4, 4, 4), (16, 16, 16)])
def test_a_mask_keeps_its_side(shape):
    mask = np.zeros((8, 8, 8), bool)
    mask[:, :, :4] = True
    small = resized_mask(mask, shape)
    half = shape[2] // 2
    assert small[..., :half].all()
    assert not small[..., half:].any()


def test_a_window_maps_its_edges_to_0_and_1():
    scaled = intensities(np.array([[[-500.0, -160.0, 40.0, 240.0, 900.0]]]), (40.0, 400.0), "x")
    assert scaled.ravel().tolist() == [0, 0, 0.5, 1, 1]


def test_one_hot_voxel_does_not_darken_mr():
    voxels = np.linspace(0, 100, 27000).reshape(30, 30, 30)
    voxels[0, 0, 0] = 1e6
    assert intensities(voxels, None, "x").mean() > 0.4
