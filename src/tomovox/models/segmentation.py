"""How does a language model draw? Its state before [SEG] prompts SegVol, which returns a mask.

Letters: u studies, b prompts, l positions of the language model, h its width, d width of the mask
head, g h w its grid, D H W volume in voxels.
Source: M3D (Bai et al. 2024), promptable segmentation of M3D-LaMed; SegVol (Du et al. 2023).
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tomovox.models.mask_decoder import MaskDecoder, PromptEncoder
from tomovox.models.released import load_weights
from tomovox.models.vit3d import ViT3D, ViT3DConfig
from tomovox.schema import Studies, TomovoxError


@dataclass
class SegVolConfig:
    """Sizes of the mask head; the defaults are the published SegVol (117,330,128 parameters).

    `vision3d` is an image encoder of its own, not the one the language model sees through; its
    `weights` and `frozen` are not read. `heads`, `mlp` and `depth` are the decoder's; its other
    sizes follow from the encoder's width. `weights` is a checkpoint of SegVol, or of M3D-LaMed with
    its mask head; None starts from scratch.
    """

    vision3d: ViT3DConfig = field(default_factory=ViT3DConfig)
    heads: int = 8
    mlp: int = 2048
    depth: int = 2
    weights: str | None = None

    def __post_init__(self) -> None:
        """Raise TomovoxError for sizes that do not fit together."""
        width = self.vision3d.width
        if width % 8 or width % (2 * self.heads):
            raise TomovoxError(
                f"mask head: vision3d.width {width} is not a multiple of 8 and of twice the "
                f"{self.heads} heads; change one of the two"
            )
        if self.vision3d.tap != "normed":
            raise TomovoxError(
                f"mask head: vision3d.tap is {self.vision3d.tap}, but SegVol reads its encoder "
                f"after the final norm: set it to normed"
            )

    def build(self) -> "SegVol":
        """Return the mask head with `weights` loaded."""
        return load_weights(SegVol(self), self.weights)


class PatchEncoder(ViT3D):
    """The 3D ViT without CLS token: one token per patch and nothing before them."""

    def __init__(self, config: ViT3DConfig):
        super().__init__(config)
        del self.cls_token
        self.register_buffer("cls_token", torch.empty(1, 0, config.width), persistent=False)


class SegVol(nn.Module):
    """The mask head of M3D-LaMed: a volume is embedded once, then any number of prompts decoded.

    Parameter names are those of the published `seg_module`.
    """

    def __init__(self, config: SegVolConfig):
        super().__init__()
        self.config = config
        vision3d = config.vision3d
        self.image_encoder = PatchEncoder(vision3d)
        self.mask_decoder = MaskDecoder(
            vision3d.width, vision3d.grid, config.heads, config.mlp, config.depth
        )
        self.prompt_encoder = PromptEncoder(vision3d.width)

    def embed(self, studies: Studies) -> Float[Tensor, "u d g h w"]:
        """Return the image embedding of every study.

        Raises TomovoxError unless every study is one series of the configured size.
        """
        return self.embed_volumes(studies.stacked())

    def embed_volumes(self, volume: Float[Tensor, "u 1 D H W"]) -> Float[Tensor, "u d g h w"]:
        """Return the image embedding of every volume; raise as `embed`."""
        tokens = self.image_encoder(volume)
        return tokens.transpose(1, 2).unflatten(-1, self.config.vision3d.grid)

    def decode(
        self, embedding: Float[Tensor, "b d g h w"], prompt: Float[Tensor, "b d"]
    ) -> Float[Tensor, "b 1 D H W"]:
        """Return mask logits in voxels; row i of `embedding` is the image of prompt i."""
        image, place = self.prompt_encoder(embedding)
        coarse = self.mask_decoder(image, place, prompt)
        return F.interpolate(coarse, size=self.config.vision3d.image, mode="trilinear")

    def forward(
        self, volume: Float[Tensor, "b 1 D H W"], prompt: Float[Tensor, "b d"]
    ) -> Float[Tensor, "b 1 D H W"]:
        """Return the mask logits of one prompt per volume; raise as `embed`."""
        return self.decode(self.embed_volumes(volume), prompt)


def seg_projector(width_in: int, width_out: int) -> nn.Sequential:
    """Return what turns a language-model state into a prompt (M3D-LaMed, `seg_projector`)."""
    return nn.Sequential(
        nn.Linear(width_in, width_in),
        nn.ReLU(),
        nn.Linear(width_in, width_out),
        nn.Dropout(0.1),
    )


def mask_prompts(
    hidden: Float[Tensor, "b l h"], ids: Int[Tensor, "b l"], seg_id: int
) -> tuple[Float[Tensor, "b h"], Bool[Tensor, "b"]]:
    """Return the state that predicts [SEG], and whether the row has one.

    That is the final-norm state one position before [SEG]; several are averaged, without any the
    state is zero. `ids` are laid out as `hidden` is, after the splice. A [SEG] at position 0 has
    nothing before it and does not count.
    Source: M3D-LaMed, the released prompt rule.
    """
    predicts = ids[:, 1:] == seg_id
    count = predicts.sum(dim=1)
    # Selected, not multiplied: a state of padding may be NaN.
    total = torch.where(predicts[..., None], hidden[:, :-1], 0).sum(dim=1)
    return total / count.clamp(min=1)[:, None], count > 0


def dice_loss(
    logits: Float[Tensor, "b 1 D H W"], target: Bool[Tensor, "b 1 D H W"]
) -> Float[Tensor, ""]:
    """Return 1 - 2 sum(p t) / (sum p + sum t + 1) of each mask, averaged; p is the sigmoid.

    The 1 stands in the denominator only, so an empty target always costs 1. In float32; needs at
    least one mask. Source: M3D-LaMed, the released loss.
    """
    p, t = logits.float().sigmoid().flatten(1), target.float().flatten(1)
    score = 2 * (p * t).sum(dim=1) / (p.sum(dim=1) + t.sum(dim=1) + 1)
    return 1 - score.mean()


def mask_bce(
    logits: Float[Tensor, "b 1 D H W"], target: Bool[Tensor, "b 1 D H W"]
) -> Float[Tensor, ""]:
    """Return the binary cross-entropy averaged over voxels; in float32, at least one mask."""
    return F.binary_cross_entropy_with_logits(logits.float(), target.float())
