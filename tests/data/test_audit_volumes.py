"""Are copies of a volume recognised though its voxels differ, and other volumes not?"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tomovox.data.audit_volumes import (
    NEAR_VOLUME,
    band_keys,
    detail_of,
    digest_of,
    near_volumes,
)

SHAPE = (1, 16, 32, 32)


def volume(seed: int) -> np.ndarray:
    """Return blobs of a few voxels between 0.2 and 0.8."""
    coarse = torch.rand((1, 1, 8, 16, 16), generator=torch.Generator().manual_seed(seed))
    fine = F.interpolate(coarse, size=SHAPE[1:], mode="trilinear")[0]
    return (0.2 + 0.6 * fine).numpy()


def noisy(voxels: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.01, voxels.shape)
    return (voxels + noise).astype(np.float32)


def alike(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.dot(detail_of(first).astype(float), detail_of(second).astype(float)))


@pytest.mark.parametrize(
    "changed",
    [
        noisy,
        lambda v: (0.7 * v + 0.1).astype(np.float32),
        lambda v: (np.round(v * 255) / 255).astype(np.float32),
        lambda v: v.repeat(2, axis=1).repeat(2, axis=2).repeat(2, axis=3),
    ],
    ids=["noise", "brightness", "8 bits", "twice the size"],
)
def test_a_copy_is_near(changed):
    assert alike(volume(0), changed(volume(0))) > NEAR_VOLUME


def test_another_volume_is_not_near():
    assert alike(volume(0), volume(1)) < 0.5


def test_a_volume_whose_means_are_all_the_same_has_no_detail():
    stripes = np.tile(np.float32([0.2, 0.8]), (1, 16, 32, 16))
    assert not detail_of(stripes).any()


def test_a_noisy_copy_is_found_among_many():
    rng = np.random.default_rng(0)
    details = rng.normal(0, 1, (1001, 2048))
    details[1000] = details[7] + rng.normal(0, 0.1, 2048)
    details /= np.linalg.norm(details, axis=1, keepdims=True)
    both = details.astype(np.float16)
    pairs, _, cut = near_volumes(both, np.array([0] * 1000 + [1]))
    assert (pairs.tolist(), cut) == ([[1000, 7]], 0)


def test_the_hash_parts_volumes_that_have_most_in_common():
    rng = np.random.default_rng(0)
    common = rng.normal(0, 1, 2048)
    details = (common + 0.3 * rng.normal(0, 1, (1000, 2048))).astype(np.float16)
    keys = band_keys(details)
    assert min(len(np.unique(keys[:, band])) for band in range(16)) > 990


def test_the_digest_tells_shapes_apart():
    voxels = volume(0)
    assert digest_of(voxels) == digest_of(voxels.copy()) != digest_of(voxels.reshape(1, 8, 64, 32))
