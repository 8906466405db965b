"""Is the 3D ViT the published M3D-CLIP encoder, name by name and patch by patch?"""

import pytest
import torch
from tiny_models import vision3d

from tomovox.models.vit3d import Patches, ViT3D, ViT3DConfig
from tomovox.schema import TomovoxError

BLOCK = {
    "norm1.weight": (768,),
    "norm1.bias": (768,),
    "norm2.weight": (768,),
    "norm2.bias": (768,),
    "attn.qkv.weight": (2304, 768),
    "attn.out_proj.weight": (768, 768),
    "attn.out_proj.bias": (768,),
    "mlp.linear1.weight": (3072, 768),
    "mlp.linear1.bias": (3072,),
    "mlp.linear2.weight": (768, 3072),
    "mlp.linear2.bias": (768,),
}
PUBLISHED = {
    "cls_token": (1, 1, 768),
    "patch_embedding.position_embeddings": (1, 2048, 768),
    "patch_embedding.patch_embeddings.1.weight": (768, 1024),
    "patch_embedding.patch_embeddings.1.bias": (768,),
    "norm.weight": (768,),
    "norm.bias": (768,),
} | {f"blocks.{i}.{name}": shape for i in range(12) for name, shape in BLOCK.items()}
"""Keys and shapes of the released vision encoder of M3D-CLIP."""


@pytest.fixture(scope="module")
def published() -> ViT3D:
    with torch.device("meta"):
        return ViT3D(ViT3DConfig())


def volume(count: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 1, 8, 16, 16, generator=torch.Generator().manual_seed(seed))


def encoder(**changes) -> ViT3D:
    torch.manual_seed(0)
    return ViT3D(vision3d(**changes)).eval()


def test_the_published_encoder_has_87_389_184_parameters(published):
    assert sum(p.numel() for p in published.parameters()) == 87_389_184


def test_keys_and_shapes_are_those_of_the_released_file(published):
    assert {k: tuple(v.shape) for k, v in published.state_dict().items()} == PUBLISHED


def test_patches_stand_depth_major_with_depth_first_voxels():
    d, h, w, (a, b, c) = 2, 3, 4, (2, 3, 5)
    x = torch.arange(float(d * a * h * b * w * c)).view(1, 1, d * a, h * b, w * c)
    cut = Patches((a, b, c))(x)
    for i in range(d):
        for j in range(h):
            for k in range(w):
                cell = x[0, 0, i * a : i * a + a, j * b : j * b + b, k * c : k * c + c]
                assert torch.equal(cut[0, (i * h + j) * w + k], cell.flatten())


def test_patches_are_the_published_rearrangement():
    # M3D writes `b c (h p1) (w p2) (d p3) -> b (h w d) (p1 p2 p3 c)` and calls the depth h.
    x, (a, b, c) = volume(), (2, 4, 4)
    cells = x.unflatten(4, (-1, c)).unflatten(3, (-1, b)).unflatten(2, (-1, a))
    wanted = torch.einsum("uzhawbdc->uhwdabcz", cells).reshape(2, -1, a * b * c)
    assert torch.equal(Patches((a, b, c))(x), wanted)


def test_one_token_per_patch_follows_the_class_token():
    assert encoder()(volume()).shape == (2, 1 + 4 * 4 * 4, 32)


def test_the_normed_tap_is_the_norm_of_the_last_block():
    normed, last = encoder(), encoder(tap="last_block")
    last.load_state_dict(normed.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(normed(volume()), normed.norm(last(volume())))


def test_the_class_token_carries_no_position():
    model = encoder(layers=0, tap="last_block")
    assert torch.equal(model(volume())[:, 0], model.cls_token[:, 0].expand(2, -1))


@pytest.mark.parametrize("stem", ["linear", "conv"])
def test_a_patch_is_embedded_from_its_own_voxels_or_its_slices(stem):
    model = encoder(layers=0, tap="last_block", stem=stem)
    x = volume(1)
    changed = x.clone()
    changed[:, :, 6:] += 1.0
    with torch.no_grad():
        moved = (model(x) != model(changed))[0, 1:].any(-1).view(4, 4, 4)
    assert not moved[:3].any() and moved[3].all()


def test_both_stems_give_the_same_grid():
    assert encoder(stem="conv")(volume()).shape == encoder()(volume()).shape


def test_the_conv_stem_refuses_patches_that_are_no_power_of_two():
    with pytest.raises(TomovoxError, match="power of two"):
        encoder(stem="conv", image=(8, 18, 18), patch=(2, 6, 6))


def test_a_volume_of_another_size_is_refused():
    with pytest.raises(TomovoxError, match=r"reads volumes of \(8, 16, 16\)"):
        encoder()(torch.zeros(1, 1, 8, 16, 32))


def test_the_last_hidden_state_normed_is_what_the_encoder_returns():
    model = ViT3D(vision3d()).eval()
    voxels = torch.rand(2, 1, 8, 16, 16)
    states = list(model.hidden_states(voxels))
    assert len(states) == model.config.layers
    torch.testing.assert_close(model.norm(states[-1]), model(voxels))
