"""How does each slice become tokens? 2D encoders, run on every slice of every series.

Letters: s slices of the whole batch, p patch tokens per slice, d width, H W pixels of a slice as it
comes, S of a side as it is read.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tomovox.models.blocks import AttentionPool, conv_stack
from tomovox.models.released import load_weights
from tomovox.models.weights import load_pretrained, read_config, sizes_only
from tomovox.schema import TomovoxError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass
class SliceEncoderConfig:
    """Which 2D encoder reads the slices.

    `kind` "conv" is a small convolutional network trained here (`patch` pixels per cell, `width`
    channels); "siglip", "clip", "dinov2" and "vit" are transformers models named by `name` (hub
    name or local folder), whose own sizes replace `patch` and `width`. `normalise` "none" feeds raw
    [0, 1] slices as Med-2E3 does, "imagenet" subtracts the ImageNet mean as DINO expects. `image`
    is the height and width of a slice in pixels; positions are interpolated where it is not what
    the model was trained at. `weights` as in ViT3DConfig. `chunk` slices are encoded at a time.
    """

    kind: Literal["conv", "siglip", "clip", "dinov2", "vit"] = "conv"
    name: str | None = None
    image: int = 64
    patch: int = 16
    width: int = 192
    normalise: Literal["none", "imagenet"] = "none"
    weights: str | None = None
    frozen: bool = True
    chunk: int = 512

    def build(self) -> "SliceEncoder":
        """Return the encoder with its weights loaded."""
        if self.kind == "conv" and self.normalise == "imagenet":
            raise TomovoxError(
                "vision2d.normalise imagenet gives three channels, kind conv reads one: set none"
            )
        body: nn.Module = ConvSlices(self) if self.kind == "conv" else TransformerSlices(self)
        return load_weights(SliceEncoder(self, body), self.weights)


class ConvSlices(nn.Module):
    """Convolutions with a learned position per cell; CLS is attention-pooled from the cells."""

    def __init__(self, config: SliceEncoderConfig):
        super().__init__()
        self.width, self.cells = config.width, config.image // config.patch
        self.stack = conv_stack(config.patch, config.width)
        self.position = nn.Parameter(torch.randn(1, self.cells**2, config.width) * 0.02)
        self.norm = nn.LayerNorm(config.width)
        self.pool = AttentionPool(config.width, max(1, config.width // 64))

    def forward(
        self, x: Float[Tensor, "s 1 H W"]
    ) -> tuple[Float[Tensor, "s d"], Float[Tensor, "s p d"]]:
        """Return the CLS vector and the tokens of each slice."""
        grid = self.stack(x)
        position: Tensor = self.position
        if (size := grid.shape[-2:]) != (self.cells, self.cells):
            square = position.transpose(1, 2).unflatten(2, (self.cells, self.cells))
            fitted = F.interpolate(square, size=size, mode="bilinear", align_corners=False)
            position = fitted.flatten(2).transpose(1, 2)
        tokens = self.norm(grid.flatten(2).transpose(1, 2) + position)
        return self.pool(tokens)[:, 0], tokens


class TransformerSlices(nn.Module):
    """A transformers vision tower, read before the final norm, as Med-2E3 reads SigLIP."""

    def __init__(self, config: SliceEncoderConfig):
        super().__init__()
        self.tower = _tower(config)
        if config.kind == "siglip":  # read before it; DistributedDataParallel waits for gradients
            self.tower.post_layernorm.requires_grad_(False)
        vision = self.tower.config
        self.width, self.kind = int(vision.hidden_size), config.kind
        if config.image % vision.patch_size:
            raise TomovoxError(
                f"vision2d.image is {config.image}, no multiple of the {vision.patch_size} pixel "
                f"patches of {config.name}"
            )
        # DINOv2 fits its positions to any size by itself and knows no such argument.
        self.own_size = None if config.kind == "dinov2" else int(vision.image_size)

    def forward(
        self, x: Float[Tensor, "s c H W"]
    ) -> tuple[Float[Tensor, "s d"], Float[Tensor, "s p d"]]:
        """Return each slice's CLS vector and tokens; c is 1, or 3 when normalised.

        The tokens are the last layer's before the final norm, the CLS vector stands after it.
        SigLIP has no CLS token: the mean of its tokens takes its place.
        """
        x = x.expand(-1, 3, -1, -1)
        other_size = self.own_size is not None and x.shape[-1] != self.own_size
        fit_positions = {"interpolate_pos_encoding": True} if other_size else {}
        output = self.tower(pixel_values=x, output_hidden_states=True, **fit_positions)
        tokens = output.hidden_states[-1]
        if self.kind == "siglip":
            return tokens.mean(1), tokens
        # CLIP norms the CLS token alone, and only in its pooled output.
        cls = output.pooler_output if self.kind == "clip" else output.last_hidden_state[:, 0]
        return cls, tokens[:, 1:]


def _tower(config: SliceEncoderConfig) -> Any:
    """Return the vision part of `config.name` with its weights and without a pooling head.

    No weights are read when `weights` will bring others.
    """
    from transformers import AutoModel

    if config.name is None:
        raise TomovoxError(
            f"slice encoder {config.kind!r} needs `name`: a hub name or a local folder"
        )
    full = read_config(config.name, "slice encoder")
    vision = getattr(full, "vision_config", full)
    if vision.model_type.removesuffix("_vision_model") != config.kind:
        raise TomovoxError(
            f"{config.name} is a {vision.model_type}, not {config.kind!r}: correct vision2d.kind"
        )
    if config.kind == "siglip":
        vision.vision_use_head = False
    headless = {"add_pooling_layer": False} if config.kind == "vit" else {}
    with sizes_only() if config.weights is not None else nullcontext():
        return load_pretrained(
            AutoModel, config.name, "slice encoder", config=vision, dtype=torch.float32, **headless
        )


class SliceEncoder(nn.Module):
    """Run a 2D encoder over slices in chunks; the same network whatever the number of slices."""

    def __init__(self, config: SliceEncoderConfig, body: nn.Module):
        super().__init__()
        self.config, self.body = config, body
        self.width = int(body.width)  # type: ignore[arg-type]

    def forward(
        self, slices: Float[Tensor, "s c H W"], side: int | None = None, tokens: bool = True
    ) -> tuple[Float[Tensor, "s d"], Float[Tensor, "s p d"]]:
        """Return each slice's CLS vector and tokens, read at `side` pixels, by default `image`.

        Other sizes are resized bilinearly. c is 1, or 3 equal channels for a tower of transformers.
        Without `tokens` p is 0: those of a chunk are forgotten before the next is read.
        """
        parts = []
        for chunk in slices.split(self.config.chunk):
            cls, own = self.body(self._prepared(chunk, side or self.config.image))
            parts.append((cls, own if tokens else own.new_empty(len(own), 0, own.shape[-1])))
        return torch.cat([cls for cls, _ in parts]), torch.cat([own for _, own in parts])

    def _prepared(self, slices: Float[Tensor, "s c H W"], size: int) -> Float[Tensor, "s _c S S"]:
        """Return slices as the network reads them; done by chunk, as their copies are large."""
        if slices.shape[-2:] != (size, size):
            slices = F.interpolate(slices, size=(size, size), mode="bilinear", align_corners=False)
        if self.config.normalise == "imagenet":
            mean, std = (slices.new_tensor(x).view(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
            slices = (slices.expand(-1, 3, -1, -1) - mean) / std
        return slices
