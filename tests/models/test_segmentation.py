"""Is the mask head the published SegVol, prompted by the state that predicts [SEG]?"""

import itertools
import re

import numpy as np
import pytest
import torch

from tomovox.models.segmentation import (
    PatchEncoder,
    SegVol,
    SegVolConfig,
    dice_loss,
    mask_bce,
    mask_prompts,
    seg_projector,
)
from tomovox.models.vit3d import ViT3DConfig
from tomovox.schema import Studies, TomovoxError

TINY = {"image": (8, 32, 48), "patch": (4, 16, 16), "width": 48, "layers": 1, "heads": 4, "mlp": 64}
GRID = (2, 2, 3)
SEG = 9

LINEARS = {
    "image_encoder.patch_embedding.patch_embeddings.1": (768, 1024),
    "image_encoder.blocks.{0,1,2,3,4,5,6,7,8,9,10,11}.attn.out_proj": (768, 768),
    "image_encoder.blocks.{0,1,2,3,4,5,6,7,8,9,10,11}.mlp.linear1": (3072, 768),
    "image_encoder.blocks.{0,1,2,3,4,5,6,7,8,9,10,11}.mlp.linear2": (768, 3072),
    "mask_decoder.transformer.layers.{0,1}.self_attn.{q,k,v,out}_proj": (768, 768),
    "mask_decoder.transformer.layers.{0,1}.cross_attn_{token_to_image,image_to_token}"
    ".{q,k,v}_proj": (384, 768),
    "mask_decoder.transformer.layers.{0,1}.cross_attn_{token_to_image,image_to_token}.out_proj": (
        768,
        384,
    ),
    "mask_decoder.transformer.layers.{0,1}.mlp.lin1": (2048, 768),
    "mask_decoder.transformer.layers.{0,1}.mlp.lin2": (768, 2048),
    "mask_decoder.transformer.final_attn_token_to_image.{q,k,v}_proj": (384, 768),
    "mask_decoder.transformer.final_attn_token_to_image.out_proj": (768, 384),
    "mask_decoder.output_hypernetworks_mlps.{0,1,2,3}.layers.{0,1}": (768, 768),
    "mask_decoder.output_hypernetworks_mlps.{0,1,2,3}.layers.2": (96, 768),
    "mask_decoder.iou_prediction_head.layers.0": (256, 768),
    "mask_decoder.iou_prediction_head.layers.1": (256, 256),
    "mask_decoder.iou_prediction_head.layers.2": (4, 256),
    "mask_decoder.txt_align_upscaled_embedding": (96, 768),
    "prompt_encoder.mask_downscaling.0": (4, 1, 2, 2),
    "prompt_encoder.mask_downscaling.3": (16, 4, 2, 2),
    "prompt_encoder.mask_downscaling.6": (768, 16, 1, 1),
}
"""Linears and convolutions of the released head: shape of the weight; a bias has its first size."""

NORMS = {
    "image_encoder.blocks.{0,1,2,3,4,5,6,7,8,9,10,11}.norm{1,2}": (768,),
    "image_encoder.norm": (768,),
    "mask_decoder.transformer.layers.{0,1}.norm{1,2,3,4}": (768,),
    "mask_decoder.transformer.norm_final_attn": (768,),
    "mask_decoder.output_upscaling.1": (192, 16, 32, 32),
    "prompt_encoder.mask_downscaling.1": (4,),
    "prompt_encoder.mask_downscaling.4": (16,),
}
"""Norms of the released head: the shape of weight and bias."""

TENSORS = {
    "image_encoder.patch_embedding.position_embeddings": (1, 2048, 768),
    "image_encoder.blocks.{0,1,2,3,4,5,6,7,8,9,10,11}.attn.qkv.weight": (2304, 768),
    "mask_decoder.iou_token.weight": (1, 768),
    "mask_decoder.mask_tokens.weight": (4, 768),
    "mask_decoder.output_upscaling.0.weight": (768, 192, 2, 2, 2),
    "mask_decoder.output_upscaling.0.bias": (192,),
    "mask_decoder.output_upscaling.3.weight": (192, 96, 2, 2, 2),
    "mask_decoder.output_upscaling.3.bias": (96,),
    "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": (3, 384),
    "prompt_encoder.point_embeddings.{0,1,2,3}.weight": (1, 768),
    "prompt_encoder.{not_a_point,no_mask}_embed.weight": (1, 768),
}
"""What else the released head holds."""


def spelled_out(pattern: str) -> list[str]:
    """Return all names of a pattern with {a,b} choices."""
    parts = [part.split(",") for part in re.split(r"[{}]", pattern)]
    return ["".join(choice) for choice in itertools.product(*parts)]


def published() -> dict[str, tuple[int, ...]]:
    patterns = dict(TENSORS)
    for name, shape in LINEARS.items():
        patterns |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, shape in NORMS.items():
        patterns |= {f"{name}.weight": shape, f"{name}.bias": shape}
    return {key: shape for pattern, shape in patterns.items() for key in spelled_out(pattern)}


def config(**changes) -> SegVolConfig:
    return SegVolConfig(ViT3DConfig(**TINY | changes), mlp=32)


@pytest.fixture(scope="module")
def head() -> SegVol:
    torch.manual_seed(0)
    return config().build().eval().requires_grad_(False)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def volumes(count: int) -> torch.Tensor:
    return normal(count, 1, *TINY["image"]).sigmoid()


# ---- the published head ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def full_size() -> SegVol:
    with torch.device("meta"):
        return SegVol(SegVolConfig())


def test_the_published_head_has_117_330_128_parameters(full_size):
    assert sum(p.numel() for p in full_size.parameters()) == 117_330_128


def test_keys_and_shapes_are_those_of_the_released_file(full_size):
    assert {k: tuple(v.shape) for k, v in full_size.state_dict().items()} == published()


def test_the_projector_has_the_released_keys_and_shapes():
    shapes = {k: tuple(v.shape) for k, v in seg_projector(64, 768).state_dict().items()}
    assert shapes == {
        "0.weight": (64, 64),
        "0.bias": (64,),
        "2.weight": (768, 64),
        "2.bias": (768,),
    }


# ---- volume and prompt to mask ---------------------------------------------------------------


def test_a_mask_has_the_size_of_the_volume(head):
    assert head(volumes(2), normal(2, 48)).shape == (2, 1, *TINY["image"])


def test_a_mask_is_interpolated_between_the_centres_of_the_decoder_s_cells(head):
    volume, prompt = volumes(1), normal(1, 48)
    embedding = head.embed(Studies(list(volume), torch.tensor([0])))
    wanted = head.mask_decoder(*head.prompt_encoder(embedding), prompt)[0, 0].numpy()
    for axis, size in enumerate(TINY["image"]):
        cells = wanted.shape[axis]
        centres = [(np.arange(n) + 0.5) / n for n in (size, cells)]
        wanted = np.apply_along_axis(lambda line, c=centres: np.interp(*c, line), axis, wanted)
    np.testing.assert_allclose(head(volume, prompt)[0, 0], wanted, atol=1e-5)


def test_the_embedding_holds_each_patch_at_its_place_in_the_grid(head):
    volume = volumes(2)
    embedding = head.embed(Studies(list(volume), torch.arange(2)))
    tokens = head.image_encoder(volume)
    for index, (g, h, w) in enumerate(np.ndindex(*GRID)):
        assert torch.equal(embedding[:, :, g, h, w], tokens[:, index])


def test_a_volume_embedded_once_serves_every_prompt(head):
    volume, prompts = volumes(1), normal(3, 48)
    embedding = head.embed(Studies(list(volume), torch.tensor([0])))
    masks = head.decode(embedding.expand(3, -1, -1, -1, -1), prompts)
    torch.testing.assert_close(masks, head(volume.expand(3, -1, -1, -1, -1), prompts))


@pytest.mark.parametrize("changed", ["volume", "prompt"])
def test_a_mask_depends_on_its_own_row_alone(head, changed):
    volume, prompt = volumes(2), normal(2, 48)
    before = head(volume, prompt)
    {"volume": volume, "prompt": prompt}[changed][1] += normal(48, seed=7)
    after = head(volume, prompt)
    torch.testing.assert_close(after[0], before[0])
    assert not torch.allclose(after[1], before[1])


def test_the_encoder_has_one_token_per_patch():
    encoder = PatchEncoder(config().vision3d)
    assert encoder(volumes(2)).shape == (2, 12, 48)


def test_every_parameter_that_trains_gets_a_gradient():
    head = config().build()
    head(volumes(1), normal(1, 48)).square().sum().backward()
    without = [k for k, p in head.named_parameters() if p.requires_grad and p.grad is None]
    assert not without


def test_a_volume_of_another_size_is_refused(head):
    with pytest.raises(TomovoxError, match=r"reads volumes of \(8, 32, 48\)"):
        head.embed(Studies([torch.zeros(1, 8, 32, 32)], torch.tensor([0])))


@pytest.mark.parametrize("width", [40, 56, 36])
def test_a_width_that_the_decoder_cannot_divide_is_refused(width):
    with pytest.raises(TomovoxError, match=f"width {width} is not a multiple"):
        config(width=width)


def test_an_encoder_read_before_its_norm_is_refused():
    with pytest.raises(TomovoxError, match="after the final norm"):
        config(tap="last_block")


# ---- the state that predicts [SEG] -----------------------------------------------------------

STATES = normal(1, 5, 3)


@pytest.mark.parametrize(
    ("ids", "positions"),
    [
        ([4, 5, SEG, 6, 7], [1]),
        ([4, 5, 6, 7, SEG], [3]),
        ([4, SEG, 5, SEG, 6], [0, 2]),
        ([4, SEG, SEG, 5, 6], [0, 1]),
        ([SEG, 4, 5, SEG, 6], [2]),
    ],
)
def test_the_prompt_is_the_mean_of_the_states_before_seg(ids, positions):
    prompt, has_seg = mask_prompts(STATES, torch.tensor([ids]), SEG)
    torch.testing.assert_close(prompt, STATES[:, positions].mean(1))
    assert has_seg.tolist() == [True]


@pytest.mark.parametrize("ids", [[4, 5, 6, 7, 8], [SEG, 4, 5, 6, 7]])
def test_without_a_state_before_seg_the_prompt_is_zero(ids):
    prompt, has_seg = mask_prompts(STATES, torch.tensor([ids]), SEG)
    assert not prompt.any() and has_seg.tolist() == [False]


def test_rows_find_their_own_seg():
    states, ids = normal(2, 3, 4), torch.tensor([[1, 2, 3], [1, SEG, 3]])
    prompt, has_seg = mask_prompts(states, ids, SEG)
    assert has_seg.tolist() == [False, True]
    assert torch.equal(prompt[1], states[1, 0])


def test_a_state_that_is_no_number_does_no_harm_elsewhere():
    states = STATES.clone()
    states[:, 0] = float("nan")
    prompt, _ = mask_prompts(states, torch.tensor([[0, 5, SEG, 6, 7]]), SEG)
    assert torch.equal(prompt, STATES[:, 1])


# ---- losses ----------------------------------------------------------------------------------


def half_full() -> torch.Tensor:
    target = torch.zeros(2, 1, 4, 8, 8, dtype=torch.bool)
    target[0, :, :2] = target[1, :, :, 2:4] = True
    return target


def test_both_losses_are_the_released_formulas():
    logits, target = normal(2, 1, 4, 8, 8), half_full()
    x, t = logits.double().numpy().reshape(2, -1), target.numpy().reshape(2, -1)
    p = 1 / (1 + np.exp(-x))
    dice = np.mean(
        [1 - 2 * (a * b).sum() / (a.sum() + b.sum() + 1) for a, b in zip(p, t, strict=True)]
    )
    bce = -np.where(t, np.log(p), np.log(1 - p)).mean()
    np.testing.assert_allclose(dice_loss(logits, target), dice, rtol=1e-5)
    np.testing.assert_allclose(mask_bce(logits, target), bce, rtol=1e-5)


def test_a_perfect_mask_costs_only_the_one_of_the_denominator():
    target = half_full()
    logits = torch.where(target, 50.0, -50.0)
    voxels = target.flatten(1).sum(1)
    wanted = (1 / (2 * voxels + 1)).mean()
    torch.testing.assert_close(dice_loss(logits, target), wanted)
    assert mask_bce(logits, target) < 1e-6


def test_an_empty_target_always_costs_one_dice():
    target = torch.zeros(1, 1, 4, 8, 8, dtype=torch.bool)
    for logits in (normal(1, 1, 4, 8, 8), torch.full((1, 1, 4, 8, 8), -50.0)):
        assert dice_loss(logits, target) == 1.0


def test_dice_weighs_masks_alike_and_not_by_their_size():
    logits, target = normal(2, 1, 4, 8, 8), half_full()
    alone = [dice_loss(logits[i : i + 1], target[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(dice_loss(logits, target), (alone[0] + alone[1]) / 2)


def test_losses_of_bfloat16_logits_are_computed_in_float32():
    logits, target = normal(2, 1, 4, 8, 8).bfloat16(), half_full()
    for loss in (dice_loss, mask_bce):
        assert torch.equal(loss(logits, target), loss(logits.float(), target))
