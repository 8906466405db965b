"""How does a volume become 3D tokens? The vision transformer of M3D-CLIP, in plain torch.

Letters: u studies, k patch tokens, d width, D H W volume. Parameter names are those of the
published checkpoint.
Source: M3D (Bai et al. 2024), M3D-CLIP vision encoder: perceptron patch embedding, pre-norm blocks,
exact GELU.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tomovox.models.blocks import Block, conv_stack
from tomovox.models.released import load_weights
from tomovox.schema import TomovoxError


@dataclass
class ViT3DConfig:
    """Sizes of a 3D ViT; the defaults are the published M3D-CLIP encoder (87,389,184 parameters).

    `image` and `patch` are (D, H, W) in voxels. `stem` "linear" embeds each patch by one Linear as
    published; "conv" puts a small convolutional network of every slice before it, which learns in
    minutes. `tap` is where the tokens are read: after the final norm (M3D-LaMed) or at the last
    block before it (Med-2E3). `weights` is a file or
    folder of this suite or of a release that holds the encoder (M3D-CLIP, pretrained_ViT.bin,
    M3D-LaMed); None starts from scratch. `frozen` keeps the encoder as it is in every stage.
    """

    image: tuple[int, int, int] = (32, 256, 256)
    patch: tuple[int, int, int] = (4, 16, 16)
    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp: int = 3072
    stem: Literal["linear", "conv"] = "linear"
    tap: Literal["normed", "last_block"] = "normed"
    weights: str | None = None
    frozen: bool = True

    def __post_init__(self) -> None:
        """Raise TomovoxError for sizes that do not fit together."""
        if any(i % p for i, p in zip(self.image, self.patch, strict=True)):
            raise TomovoxError(
                f"vision3d: patches of {self.patch} do not fill {self.image} (D, H, W)"
            )
        if self.width % self.heads:
            raise TomovoxError(
                f"vision3d: width {self.width} is not a multiple of {self.heads} heads"
            )

    @property
    def grid(self) -> tuple[int, int, int]:
        """Number of patches along D, H, W."""
        return tuple(i // p for i, p in zip(self.image, self.patch, strict=True))  # type: ignore[return-value]

    def build(self) -> "ViT3D":
        """Return the encoder with `weights` loaded."""
        return load_weights(ViT3D(self), self.weights)


class Patches(nn.Module):
    """Cut a volume: (u 1 D H W) -> (u k p1*p2*p3), depth-major, voxel order (p1 p2 p3)."""

    def __init__(self, patch: tuple[int, int, int]):
        super().__init__()
        self.patch = patch

    def forward(self, volume: Float[Tensor, "u 1 D H W"]) -> Float[Tensor, "u k v"]:
        """Return the flattened patches."""
        a, b, c = self.patch
        u, _, depth, height, width = volume.shape
        x = volume.view(u, depth // a, a, height // b, b, width // c, c)
        return x.permute(0, 1, 3, 5, 2, 4, 6).reshape(u, -1, a * b * c)


class PatchEmbedding(nn.Module):
    """Patches -> Linear plus position. Slot 0 of `patch_embeddings` has no parameters."""

    def __init__(self, config: ViT3DConfig):
        super().__init__()
        count, voxels = math.prod(config.grid), math.prod(config.patch)
        self.patch_embeddings: nn.Module = (
            nn.Sequential(Patches(config.patch), nn.Linear(voxels, config.width))
            if config.stem == "linear"
            else SliceStem3D(config)
        )
        self.position_embeddings = nn.Parameter(torch.zeros(1, count, config.width))
        nn.init.trunc_normal_(self.position_embeddings, std=0.02)

    def forward(self, volume: Float[Tensor, "u 1 D H W"]) -> Float[Tensor, "u k d"]:
        """Return embedded patches with position."""
        return self.patch_embeddings(volume) + self.position_embeddings


class SliceStem3D(nn.Module):
    """The tiny scale's embedding: convolutions of every slice, one Linear over a patch's slices."""

    def __init__(self, config: ViT3DConfig):
        super().__init__()
        depth, height, width = config.patch
        if height != width or height & (height - 1):
            raise TomovoxError(
                f"stem conv needs square patches of a power of two, not {config.patch}"
            )
        self.depth, self.channels = depth, config.width // 2
        self.slices = conv_stack(height, self.channels)
        self.merge = nn.Linear(depth * self.channels, config.width)

    def forward(self, volume: Float[Tensor, "u 1 D H W"]) -> Float[Tensor, "u k d"]:
        """Return one vector per patch, depth-major."""
        u, _, depth, height, width = volume.shape
        cells = self.slices(volume.reshape(u * depth, 1, height, width))
        rows, columns = cells.shape[-2:]
        x = cells.view(u, depth // self.depth, self.depth * self.channels, rows, columns)
        return self.merge(x.permute(0, 1, 3, 4, 2).reshape(u, -1, self.depth * self.channels))


class ViT3D(nn.Module):
    """The 3D vision transformer of M3D-CLIP and M3D-LaMed (M3D, vision encoder)."""

    def __init__(self, config: ViT3DConfig):
        super().__init__()
        self.config = config
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.patch_embedding = PatchEmbedding(config)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        if config.tap == "last_block":  # DistributedDataParallel waits for every gradient
            self.norm.requires_grad_(False)

    def forward(self, volume: Float[Tensor, "u 1 D H W"]) -> Float[Tensor, "u t d"]:
        """Return the CLS token and the k patch tokens (t = 1 + k) at the configured tap.

        Raises TomovoxError when the volume is not of the configured size: the positions are learned
        per patch.
        """
        x = self.embed(volume)
        for block in self.blocks:
            x = block(x)
        return self.norm(x) if self.config.tap == "normed" else x

    def hidden_states(self, volume: Float[Tensor, "u 1 D H W"]) -> Iterator[Tensor]:
        """Yield the tokens (u t d) after every block, none of them normed; raise as `forward`."""
        x = self.embed(volume)
        for block in self.blocks:
            x = block(x)
            yield x

    def embed(self, volume: Float[Tensor, "u 1 D H W"]) -> Float[Tensor, "u t d"]:
        """Return the tokens that the first block reads: CLS, then the patches with position."""
        if tuple(volume.shape[2:]) != tuple(self.config.image):
            raise TomovoxError(
                f"this 3D encoder reads volumes of {tuple(self.config.image)} (D, H, W), "
                f"not {tuple(volume.shape[2:])}: set vision3d.image or prepare the data to its size"
            )
        x = self.patch_embedding(volume)
        return torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
