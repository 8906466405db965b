"""Do 2D towers read slices with the weights, the layer and the sizes that their config says?"""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from tomovox.models.slices import IMAGENET_MEAN, IMAGENET_STD, SliceEncoderConfig
from tomovox.schema import TomovoxError

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 4,
}
KINDS = ("siglip", "clip", "dinov2", "vit")
FINAL_NORM = {"siglip": "post_layernorm", "dinov2": "layernorm", "vit": "layernorm"}


def model_of(kind: str):
    """Return a small model of random weights, of SigLIP and CLIP with their text half."""
    import transformers as t

    vision = SIZES | {"intermediate_size": 48}
    text = {k: v for k, v in vision.items() if k.startswith(("hidden", "num", "inter"))}
    text |= {"vocab_size": 8, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    torch.manual_seed(0)
    if kind == "siglip":
        return t.SiglipModel(t.SiglipConfig(vision_config=vision, text_config=text))
    if kind == "clip":
        return t.CLIPModel(t.CLIPConfig(vision_config=vision, text_config=text))
    if kind == "dinov2":
        return t.Dinov2Model(t.Dinov2Config(mlp_ratio=2, **SIZES))
    return t.ViTModel(t.ViTConfig(**vision))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    made = {}
    for kind in KINDS:
        made[kind] = tmp_path_factory.mktemp(kind)
        model_of(kind).save_pretrained(made[kind])
    return made


@pytest.fixture(params=KINDS)
def config(request, folders) -> SliceEncoderConfig:
    return SliceEncoderConfig(kind=request.param, name=str(folders[request.param]), image=16)


def slices(size: int = 16, channels: int = 1) -> torch.Tensor:
    return torch.rand(3, channels, size, size, generator=torch.Generator().manual_seed(0))


def read(encoder, x):
    with torch.no_grad():
        return encoder.eval()(x)


def test_a_slice_gives_a_token_per_patch_and_one_vector(config):
    cls, tokens = read(config.build(), slices())
    assert cls.shape == (3, 32) and tokens.shape == (3, 16, 32)


def test_the_weights_are_those_of_the_named_folder(config):
    original = model_of(config.kind).eval()
    tower = getattr(original, "vision_model", original)
    with torch.no_grad():
        whole = tower(pixel_values=slices().expand(-1, 3, -1, -1), output_hidden_states=True)
    drop = 0 if config.kind == "siglip" else 1
    assert torch.equal(read(config.build(), slices())[1], whole.hidden_states[-1][:, drop:])


@pytest.mark.parametrize("kind", sorted(FINAL_NORM))
def test_tokens_are_read_before_the_final_norm(folders, kind):
    encoder = SliceEncoderConfig(kind=kind, name=str(folders[kind]), image=16).build()
    tower = encoder.body.tower
    _, tokens = read(encoder, slices())
    with torch.no_grad():
        normed = getattr(tower, FINAL_NORM[kind])(tokens)
        last = tower(pixel_values=slices().expand(-1, 3, -1, -1)).last_hidden_state
    assert torch.allclose(normed, last[:, -16:], atol=1e-6)
    assert not torch.allclose(tokens, last[:, -16:], atol=1e-2)


@pytest.mark.parametrize("kind", ["clip", "dinov2", "vit"])
def test_the_cls_vector_is_read_after_the_final_norm(folders, kind):
    # An untrained norm has neither scale nor shift: what it returned has mean 0.
    encoder = SliceEncoderConfig(kind=kind, name=str(folders[kind]), image=16).build()
    cls, _ = read(encoder, slices())
    assert torch.allclose(cls.mean(-1), torch.zeros(3), atol=1e-5)
    assert torch.allclose(cls.std(-1, unbiased=False), torch.ones(3), atol=1e-3)


def test_siglip_has_the_mean_of_its_tokens_for_a_cls_vector(folders):
    config = SliceEncoderConfig(kind="siglip", name=str(folders["siglip"]), image=16)
    cls, tokens = read(config.build(), slices())
    assert torch.allclose(cls, tokens.mean(1), atol=1e-6)


def test_no_pooling_head_is_carried_along(config):
    names = {name.split(".")[2] for name, _ in config.build().named_parameters()}
    assert not names & {"head", "pooler"}


def test_a_slice_of_another_size_is_resized(config):
    encoder, large = config.build(), slices(24)
    small = F.interpolate(large, size=(16, 16), mode="bilinear", align_corners=False)
    assert torch.equal(read(encoder, large)[1], read(encoder, small)[1])


def test_positions_fit_another_size_than_the_trained_one(config):
    config = SliceEncoderConfig(kind=config.kind, name=config.name, image=24)
    assert read(config.build(), slices(24))[1].shape == (3, 36, 32)


def test_slices_are_read_at_another_size_when_asked(config):
    encoder = config.build().eval()
    with torch.no_grad():
        cls, tokens = encoder(slices(8), side=8)
        larger = SliceEncoderConfig(kind=config.kind, name=config.name, image=8).build().eval()
        assert torch.equal(cls, larger(slices(8))[0])
    assert tokens.shape == (3, 4, 32)


def test_the_small_network_fits_its_positions_to_another_size():
    encoder = SliceEncoderConfig(image=16, patch=4, width=32).build()
    torch.nn.init.constant_(encoder.body.position, 0.5)
    cls, _ = read(encoder, slices(8))
    own, fewer = encoder(slices(8), side=16), encoder(slices(8), side=8)
    assert torch.equal(cls, own[0]) and fewer[1].shape == (3, 4, 32)
    plain = encoder.body.norm(encoder.body.stack(slices(8)).flatten(2).transpose(1, 2) + 0.5)
    torch.testing.assert_close(fewer[1], plain)


def test_an_image_that_patches_do_not_fill_is_refused(config):
    with pytest.raises(TomovoxError, match=r"image is 18, no multiple of the 4"):
        SliceEncoderConfig(kind=config.kind, name=config.name, image=18).build()


def test_one_channel_and_three_equal_ones_give_the_same(config):
    encoder = config.build()
    assert torch.equal(read(encoder, slices())[1], read(encoder, slices().expand(-1, 3, -1, -1))[1])


def test_imagenet_normalisation_is_that_of_each_channel(config):
    plain = config.build()
    normal = SliceEncoderConfig(
        kind=config.kind, name=config.name, image=16, normalise="imagenet"
    ).build()
    rows = zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)
    by_hand = torch.cat([(slices() - mean) / std for mean, std in rows], dim=1)
    assert torch.allclose(read(normal, slices())[1], read(plain, by_hand)[1], atol=1e-5)


def test_chunks_change_nothing(config):
    one = SliceEncoderConfig(kind=config.kind, name=config.name, image=16, chunk=1)
    whole, parts = read(config.build(), slices()), read(one.build(), slices())
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(whole, parts, strict=True))


def test_on_the_meta_device_no_weights_are_read(tmp_path, config):
    (tmp_path / "config.json").write_bytes((Path(config.name) / "config.json").read_bytes())
    with torch.device("meta"):
        empty = SliceEncoderConfig(kind=config.kind, name=str(tmp_path), image=16).build()
    assert {p.is_meta for p in empty.parameters()} == {True}
    count = [sum(p.numel() for p in m.parameters()) for m in (empty, config.build())]
    assert count[0] == count[1]


def test_other_weights_replace_those_of_the_name(tmp_path, config):
    state = {k: torch.zeros_like(v) for k, v in config.build().state_dict().items()}
    save_file({k: v for k, v in state.items() if v.is_floating_point()}, tmp_path / "w.safetensors")
    other = SliceEncoderConfig(
        kind=config.kind, name=config.name, image=16, weights=str(tmp_path / "w.safetensors")
    )
    assert not any(p.any() for p in other.build().parameters())


def test_a_folder_that_lacks_a_weight_is_refused(tmp_path, config):
    for path in Path(config.name).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    kept = {k: v for k, v in state.items() if "layers.1." not in k and "layer.1." not in k}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TomovoxError, match="weights are missing"):
        SliceEncoderConfig(kind=config.kind, name=str(tmp_path), image=16).build()


def test_a_folder_without_weights_is_refused(tmp_path, config):
    (tmp_path / "config.json").write_bytes((Path(config.name) / "config.json").read_bytes())
    with pytest.raises(TomovoxError, match="cannot be loaded"):
        SliceEncoderConfig(kind=config.kind, name=str(tmp_path), image=16).build()


def test_a_model_of_another_kind_is_refused(folders):
    with pytest.raises(TomovoxError, match="is a vit, not 'siglip'"):
        SliceEncoderConfig(kind="siglip", name=str(folders["vit"]), image=16).build()


def test_a_tower_without_a_name_is_refused():
    with pytest.raises(TomovoxError, match="needs `name`"):
        SliceEncoderConfig(kind="vit").build()


def test_convolutions_do_not_take_three_channels():
    with pytest.raises(TomovoxError, match="imagenet"):
        SliceEncoderConfig(normalise="imagenet").build()
