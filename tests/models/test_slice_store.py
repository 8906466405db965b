"""Are slice vectors made once, whole, and those that the encoder makes?"""

import pytest
import torch
from tiny_models import vision2d

from tomovox.models.slice_store import SliceStore
from tomovox.schema import TomovoxError


@pytest.fixture
def store(tmp_path) -> SliceStore:
    return SliceStore(tmp_path / "vectors")


def test_what_is_read_is_what_the_encoder_made(store):
    encoder, voxels = vision2d().build(), torch.rand(1, 5, 16, 16)
    assert "case/a.npy" not in store
    store.make(encoder, "case/a.npy", voxels)
    assert "case/a.npy" in store and "case/b.npy" not in store
    torch.testing.assert_close(store.read("case/a.npy"), encoder(voxels[0][:, None])[0].detach())


def test_a_damaged_file_is_named(store):
    store.make(vision2d().build(), "a.npy", torch.rand(1, 2, 16, 16))
    path = next(store.folder.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(TomovoxError, match="remove the file"):
        store.read("a.npy")


def test_a_volume_that_was_never_encoded_is_refused(store):
    with pytest.raises(TomovoxError, match="no slice vectors"):
        store.read("nowhere.npy")
