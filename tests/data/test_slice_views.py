"""Does self-distillation get slices of the training volumes, without labels and without repeats?"""

from pathlib import Path

import numpy as np
import pytest
import torch

from tomovox.data.phantom import write_phantom
from tomovox.data.slice_views import SliceViews
from tomovox.data.views import ViewsConfig
from tomovox.schema import TomovoxError

VIEWS = ViewsConfig(large_side=16, small_side=8, small=2)
WHOLE = {"turn_degrees": 0.0, "autocontrast": 0.0, "equalize": 0.0, "large_scale": (1.0, 1.0)}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("views") / "data"
    write_phantom(folder, cases=6, seed=0, shape=(8, 16, 16), difficulty="easy", series=2)
    return folder


def made(root: Path, views: ViewsConfig = VIEWS, **changes) -> SliceViews:
    data = SliceViews(str(root), views, **({"batch_size": 2, "slices_per_volume": 3} | changes))
    data.setup("fit")
    return data


def batches(data: SliceViews) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(data.train_dataloader())


def test_a_batch_holds_the_views_of_so_many_slices_of_so_many_volumes(root):
    large, small = batches(made(root))[0]
    assert large.shape == (2, 6, 1, 16, 16) and small.shape == (2, 6, 1, 8, 8)


def test_every_series_of_the_training_cases_is_a_volume_once(root):
    volumes = [name for name, _ in made(root)._ready().volumes]
    assert len(volumes) == len(set(volumes)) == 2 * 4


def test_a_pass_draws_other_slices_and_views_than_the_pass_before(root):
    loader = made(root).train_dataloader()
    first, second = (torch.cat([large for large, _ in loader], 1) for _ in range(2))
    assert not torch.equal(first, second)


def test_the_same_seed_gives_the_same_batches(root):
    for one, other in zip(batches(made(root)), batches(made(root)), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_slices_come_from_the_volume_that_the_index_names(root):
    dataset = made(root, ViewsConfig(16, **WHOLE, small=0))._ready()
    voxels = np.load(root / dataset.volumes[1][0]).astype(np.float32) / 255
    large = torch.stack([views for views, _ in dataset[1, 5]])[:, 0, 0].numpy()
    for shown in large:
        assert np.abs(voxels.reshape(-1, 16, 16) - shown).max((1, 2)).min() < 1e-5


def test_an_empty_slice_is_not_drawn_where_there_are_others(tmp_path):
    write_phantom(tmp_path / "d", cases=4, seed=0, shape=(8, 16, 16), difficulty="easy", series=1)
    for path in (tmp_path / "d").rglob("M3D_Cap_npy/**/*.npy"):
        voxels = np.load(path)
        voxels[..., 2:, :, :] = 0
        np.save(path, voxels)
    dataset = made(tmp_path / "d", ViewsConfig(16, **WHOLE, small=0), batch_size=1)._ready()
    for seed in range(5):
        assert all(bool(views.amax() > views.amin()) for views, _ in dataset[0, seed])


def test_a_bad_volume_is_listed_or_refused(tmp_path):
    write_phantom(tmp_path / "d", cases=6, seed=0, shape=(8, 16, 16), difficulty="easy", series=1)
    bad = tmp_path / "d" / made(tmp_path / "d", batch_size=1)._ready().volumes[0][0]
    bad.write_bytes(bad.read_bytes()[:200])
    data = made(tmp_path / "d", batch_size=1, on_bad_volume="list")
    assert [split for split, *_ in data.left_out] == ["train"] and len(data) == 3
    with pytest.raises(TomovoxError, match="cut off"):
        batches(made(tmp_path / "d", batch_size=1))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"batch_size": 99}, "lower data.batch_size"), ({"slices_per_volume": 0}, "at least 1")],
)
def test_settings_that_no_data_satisfy_are_refused(root, wrong, says):
    with pytest.raises(TomovoxError, match=says):
        batches(made(root, **wrong))


def test_a_missing_root_is_refused(tmp_path):
    with pytest.raises(TomovoxError, match="no such data root"):
        SliceViews(str(tmp_path / "nowhere")).setup()
