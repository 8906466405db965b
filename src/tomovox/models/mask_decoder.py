"""How does one prompt vector become a mask? The prompt encoder and the mask decoder of SegVol.

Letters: b prompts, t tokens, k grid cells, d width, i inner width of attention, c channels,
g h w grid. Parameter names are those of the published M3D-LaMed, also of the parts that its path
never runs (points, drawn masks, quality estimate); those are kept for its files and do not train.
Source: SegVol (Du et al. 2023), a 3D form of SAM's decoder; M3D (Bai et al. 2024), M3D-LaMed.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

MASKS = 4
"""Mask tokens of the decoder; M3D-LaMed reads the first one's mask only."""

USED = 0
"""Index of the mask that is read."""


class ProjectedAttention(nn.Module):
    """Multi-head attention with a projection of its own for queries, keys and values."""

    def __init__(self, width: int, inner: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(
        self,
        query: Float[Tensor, "b t d"],
        key: Float[Tensor, "b k d"],
        value: Float[Tensor, "b k d"],
    ) -> Float[Tensor, "b t d"]:
        """Return for each query what it attends to."""
        q, k, v = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        seen = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(seen.transpose(1, 2).flatten(2))


class TokenMLP(nn.Module):
    """Two Linears with a ReLU between them."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """Return transformed tokens."""
        return self.lin2(F.relu(self.lin1(x)))


class ReLUStack(nn.Module):
    """Linears of the given widths with a ReLU between each two."""

    def __init__(self, *widths: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b c"]:
        """Return the last Linear's output, without a ReLU."""
        first, *rest = self.layers
        x = first(x)
        for layer in rest:
            x = layer(F.relu(x))
        return x


class TwoWayLayer(nn.Module):
    """Tokens attend to each other and to the image, then the image to the tokens; post-norm.

    In the `first` layer the tokens are their own places still: self-attention reads them bare and
    replaces them instead of being added.
    """

    def __init__(self, width: int, heads: int, mlp: int, first: bool):
        super().__init__()
        self.first = first
        self.self_attn = ProjectedAttention(width, width, heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = ProjectedAttention(width, width // 2, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = TokenMLP(width, mlp)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = ProjectedAttention(width, width // 2, heads)

    def forward(
        self,
        tokens: Float[Tensor, "b t d"],
        image: Float[Tensor, "b k d"],
        token_place: Float[Tensor, "b t d"],
        image_place: Float[Tensor, "k d"],
    ) -> tuple[Float[Tensor, "b t d"], Float[Tensor, "b k d"]]:
        """Return tokens and image after one exchange; places are added to queries and keys only."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            placed = tokens + token_place
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)
        placed_image = image + image_place
        read = self.cross_attn_token_to_image(tokens + token_place, placed_image, image)
        tokens = self.norm2(tokens + read)
        tokens = self.norm3(tokens + self.mlp(tokens))
        read = self.cross_attn_image_to_token(placed_image, tokens + token_place, tokens)
        return tokens, self.norm4(image + read)


class TwoWayTransformer(nn.Module):
    """`depth` two-way layers and a last look of the tokens at the image."""

    def __init__(self, width: int, heads: int, mlp: int, depth: int):
        super().__init__()
        self.layers = nn.ModuleList(TwoWayLayer(width, heads, mlp, i == 0) for i in range(depth))
        self.final_attn_token_to_image = ProjectedAttention(width, width // 2, heads)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(
        self,
        tokens: Float[Tensor, "b t d"],
        image: Float[Tensor, "b k d"],
        image_place: Float[Tensor, "k d"],
    ) -> tuple[Float[Tensor, "b t d"], Float[Tensor, "b k d"]]:
        """Return tokens and image; the place of a token is the token as it came in."""
        token_place = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_place, image_place)
        placed_image = image + image_place
        read = self.final_attn_token_to_image(tokens + token_place, placed_image, image)
        return self.norm_final_attn(tokens + read), image


class GridPlaces(nn.Module):
    """Random Fourier features of the cells of a grid."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(3, width // 2))

    def forward(self, grid: tuple[int, int, int]) -> Float[Tensor, "k d"]:
        """Return sines and cosines of every cell's centre, depth-major, in the buffer's dtype.

        The published coordinates stand in the order H, D, W.
        """
        matrix = self.positional_encoding_gaussian_matrix
        depth, height, width = (
            (torch.arange(n, device=matrix.device, dtype=matrix.dtype) + 0.5) / n for n in grid
        )
        z, y, x = torch.meshgrid(depth, height, width, indexing="ij")
        centre = torch.stack([y, z, x], dim=-1).flatten(0, 2)
        angle = 2 * math.pi * ((2 * centre - 1) @ matrix)
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """What the decoder reads beside the prompt. Only `pe_layer` and `no_mask_embed` ever run."""

    def __init__(self, width: int):
        super().__init__()
        self.pe_layer = GridPlaces(width)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, stride=2),
            nn.LayerNorm(4),  # the two norms are over channels; here they only hold their weights
            nn.GELU(),
            nn.Conv2d(4, 16, 2, stride=2),
            nn.LayerNorm(16),
            nn.GELU(),
            nn.Conv2d(16, width, 1),
        )
        self.no_mask_embed = nn.Embedding(1, width)
        _keep_untrained(self.point_embeddings, self.not_a_point_embed, self.mask_downscaling)

    def forward(
        self, embedding: Float[Tensor, "b d g h w"]
    ) -> tuple[Float[Tensor, "b k d"], Float[Tensor, "k d"]]:
        """Return the cells of an image without a drawn mask, and the place of each."""
        _, _, g, h, w = embedding.shape
        cells = embedding.flatten(2).transpose(1, 2)
        return cells + self.no_mask_embed.weight, self.pe_layer((g, h, w))


class MaskDecoder(nn.Module):
    """One prompt and one image -> one mask at four times the grid; sizes follow from `width`."""

    def __init__(
        self,
        width: int,
        grid: tuple[int, int, int],
        heads: int = 8,
        mlp: int = 2048,
        depth: int = 2,
    ):
        super().__init__()
        self.grid = grid
        wide, narrow = width // 4, width // 8
        self.transformer = TwoWayTransformer(width, heads, mlp, depth)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(MASKS, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose3d(width, wide, 2, stride=2),
            nn.LayerNorm([wide, *(2 * n for n in grid)]),
            nn.GELU(),
            nn.ConvTranspose3d(wide, narrow, 2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            ReLUStack(width, width, width, narrow) for _ in range(MASKS)
        )
        self.iou_prediction_head = ReLUStack(width, 256, 256, MASKS)
        self.txt_align_upscaled_embedding = nn.Linear(width, narrow)
        unread = [m for i, m in enumerate(self.output_hypernetworks_mlps) if i != USED]
        _keep_untrained(*unread, self.iou_prediction_head)

    def forward(
        self,
        image: Float[Tensor, "b k d"],
        image_place: Float[Tensor, "k d"],
        prompt: Float[Tensor, "b d"],
    ) -> Float[Tensor, "b 1 _D _H _W"]:
        """Return the logits of the mask that is read, four cells to one of the grid."""
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(len(prompt), -1, -1), prompt[:, None]], dim=1)
        tokens, image = self.transformer(tokens, image, image_place)
        fine = self.output_upscaling(image.transpose(1, 2).unflatten(-1, self.grid))
        mask_token = tokens[:, 1 + USED]
        # The published sum of two products with the same upscaled image, as one product.
        kernel = self.output_hypernetworks_mlps[USED](mask_token)
        kernel = kernel + self.txt_align_upscaled_embedding(prompt)
        return torch.einsum("bc,bcghw->bghw", kernel, fine)[:, None]


def _keep_untrained(*modules: nn.Module) -> None:
    """Exclude modules that no path runs: DistributedDataParallel waits for every gradient."""
    for module in modules:
        module.requires_grad_(False)
