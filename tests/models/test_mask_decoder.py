"""Does the mask decoder exchange tokens and image as SegVol does, one prompt at a time?"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tomovox.models.mask_decoder import GridPlaces, MaskDecoder, PromptEncoder

WIDTH, GRID = 48, (2, 2, 3)
CELLS = math.prod(GRID)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def decoder() -> MaskDecoder:
    torch.manual_seed(0)
    return MaskDecoder(WIDTH, GRID, mlp=32).eval().requires_grad_(False)


@pytest.fixture
def image() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cells of two images and their places."""
    return normal(2, CELLS, WIDTH, seed=1), normal(CELLS, WIDTH, seed=2)


# ---- the published exchange, written once more from its description ---------------------------


class Formula:
    """The two-way transformer over the weights of a state dict."""

    def __init__(self, module: torch.nn.Module):
        self.state = module.state_dict()

    def linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return F.layer_norm(x, x.shape[-1:], weight, bias, eps=1e-5)

    def attend(self, name: str, *streams: torch.Tensor) -> torch.Tensor:
        projected = (
            self.linear(f"{name}.{letter}_proj", x)
            for letter, x in zip("qkv", streams, strict=True)
        )
        q, k, v = (torch.stack(x.chunk(8, dim=-1)) for x in projected)
        weight = (torch.einsum("nbtc,nbkc->nbtk", q, k) * q.shape[-1] ** -0.5).softmax(-1)
        seen = torch.cat(list(torch.einsum("nbtk,nbkc->nbtc", weight, v)), dim=-1)
        return self.linear(f"{name}.out_proj", seen)

    def __call__(
        self, start: torch.Tensor, image: torch.Tensor, place: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x = start
        for i in range(2):
            layer, placed = f"layers.{i}", x + start
            among = f"{layer}.self_attn"
            x = x + self.attend(among, placed, placed, x) if i else self.attend(among, x, x, x)
            x = self.norm(f"{layer}.norm1", x)
            seen = self.attend(
                f"{layer}.cross_attn_token_to_image", x + start, image + place, image
            )
            x = self.norm(f"{layer}.norm2", x + seen)
            hidden = self.linear(f"{layer}.mlp.lin1", x).clamp(min=0)
            x = self.norm(f"{layer}.norm3", x + self.linear(f"{layer}.mlp.lin2", hidden))
            told = self.attend(f"{layer}.cross_attn_image_to_token", image + place, x + start, x)
            image = self.norm(f"{layer}.norm4", image + told)
        x = x + self.attend("final_attn_token_to_image", x + start, image + place, image)
        return self.norm("norm_final_attn", x), image


def test_tokens_and_image_are_exchanged_as_published(decoder, image):
    tokens = normal(2, 6, WIDTH, seed=3)
    torch.testing.assert_close(
        decoder.transformer(tokens, *image), Formula(decoder.transformer)(tokens, *image)
    )


def test_the_mask_comes_from_the_first_mask_token_after_the_exchange(decoder, image):
    prompt = normal(2, WIDTH, seed=4)
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(2, -1, -1)
    tokens, cells = Formula(decoder.transformer)(torch.cat([own, prompt[:, None]], 1), *image)
    fine = decoder.output_upscaling(cells.mT.reshape(2, WIDTH, *GRID))
    formula = Formula(decoder)
    kernel = tokens[:, 1]
    for i in range(3):
        kernel = formula.linear(f"output_hypernetworks_mlps.0.layers.{i}", kernel)
        kernel = kernel.clamp(min=0) if i < 2 else kernel
    kernel = kernel + formula.linear("txt_align_upscaled_embedding", prompt)
    wanted = (kernel[:, :, None, None, None] * fine).sum(1, keepdim=True)
    torch.testing.assert_close(decoder(*image, prompt), wanted)


# ---- laws ------------------------------------------------------------------------------------


def test_cells_that_move_with_their_places_tell_the_tokens_the_same(decoder, image):
    order = torch.randperm(CELLS, generator=torch.Generator().manual_seed(0))
    tokens, (cells, place) = normal(2, 6, WIDTH, seed=3), image
    seen, cells_after = decoder.transformer(tokens, cells, place)
    moved, moved_after = decoder.transformer(tokens, cells[:, order], place[order])
    torch.testing.assert_close(moved, seen)
    torch.testing.assert_close(moved_after, cells_after[:, order])


def test_the_place_of_a_cell_is_a_fourier_feature_of_its_height_depth_and_width():
    torch.manual_seed(0)
    places = GridPlaces(8)
    matrix = places.positional_encoding_gaussian_matrix.numpy()
    for index, (g, h, w) in enumerate(np.ndindex(*GRID)):
        centre = np.array([(h + 0.5) / 2, (g + 0.5) / 2, (w + 0.5) / 3])
        angle = 2 * np.pi * (2 * centre - 1) @ matrix
        wanted = np.concatenate([np.sin(angle), np.cos(angle)])
        np.testing.assert_allclose(places(GRID)[index], wanted, atol=1e-5)


def test_places_are_computed_in_the_buffer_s_dtype():
    assert GridPlaces(8).to(torch.bfloat16)(GRID).dtype == torch.bfloat16


def test_every_cell_carries_that_no_mask_was_drawn():
    encoder, embedding = PromptEncoder(WIDTH), normal(2, WIDTH, *GRID)
    cells, _ = encoder(embedding)
    wanted = embedding.permute(0, 2, 3, 4, 1).reshape(2, CELLS, WIDTH)
    torch.testing.assert_close(cells - encoder.no_mask_embed.weight, wanted)


def test_a_mask_has_four_cells_to_one_of_the_grid(decoder, image):
    assert decoder(*image, normal(2, WIDTH)).shape == (2, 1, 8, 8, 12)


def test_the_parts_that_no_path_runs_do_not_train():
    prompts, decoder = PromptEncoder(WIDTH), MaskDecoder(WIDTH, GRID, mlp=32)
    trains = {k.partition(".")[0] for k, p in prompts.named_parameters() if p.requires_grad}
    assert trains == {"no_mask_embed"}
    assert not any(p.requires_grad for p in decoder.iou_prediction_head.parameters())
