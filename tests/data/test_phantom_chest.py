"""Is what a synthetic chest is said to have visible in its voxels?"""

import numpy as np
import pytest

from tomovox.data.ct_rate import ABNORMALITIES
from tomovox.data.ct_rate_scan import LEAST, hounsfield_share
from tomovox.data.phantom_body import draw_parts
from tomovox.data.phantom_chest import PRIORS, SIDED, Chest, draw_chest, render_chest

SHAPE = (32, 48, 48)


def chests(count: int) -> list[Chest]:
    rng = np.random.default_rng(0)
    return [draw_chest(draw_parts(rng), 1.0, rng) for _ in range(count)]


def rendered(chest: Chest, noise: float = 0.0, sharp: bool = False) -> np.ndarray:
    return render_chest(chest, SHAPE, sharp, noise, np.random.default_rng(1))


def test_every_abnormality_is_drawn_about_as_often_as_its_prior():
    shares = np.mean([chest.labels for chest in chests(300)], axis=0)
    np.testing.assert_allclose(shares, [PRIORS[label] for label in ABNORMALITIES], atol=0.1)


@pytest.mark.parametrize("label", ABNORMALITIES)
def test_every_abnormality_changes_voxels(label):
    with_it = next(chest for chest in chests(200) if label in [s.label for s in chest.signs])
    signs = tuple(sign for sign in with_it.signs if sign.label != label)
    parts = draw_parts(np.random.default_rng(0)) if label == "Cardiomegaly" else with_it.parts
    changed = rendered(with_it) != rendered(Chest(parts, signs))
    assert changed.sum() >= 8


def test_only_one_sided_abnormalities_have_a_side():
    for chest in chests(50):
        for sign in chest.signs:
            assert bool(sign.side) == (sign.label in SIDED)


def test_a_nodule_lies_on_the_side_that_is_told():
    for chest in chests(100):
        for sign in chest.signs:
            if sign.label == "Lung nodule":
                assert (sign.blobs[0].centre[2] < 0.5) == (sign.side == "right")


def test_every_chest_has_air_and_tissue_where_hu_have_them():
    for chest in chests(20):
        assert min(hounsfield_share(rendered(chest, noise=15.0))) > 5 * LEAST


def test_a_sharp_kernel_is_noisier():
    chest = chests(1)[0]
    corner = np.s_[:, :4, :4]
    assert rendered(chest, 10.0, sharp=True)[corner].std() > 2 * rendered(chest, 10.0)[corner].std()
