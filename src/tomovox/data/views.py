"""What does a slice look like when it is cropped, turned and its contrast changed at random?

A view is such a picture of a slice. Letters: l small views, H W height and width of a slice, S and
s sides of large and small views, in pixels.
Source: DINO (Caron et al. 2021) compares views; their scales and changes are those of MS-VLM.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tomovox.schema import TomovoxError

LEVELS = 256
"""Intensities that equalising a histogram tells apart."""

RATIO = 4 / 3
"""Most that one side of a crop is longer than the other."""


@dataclass
class ViewsConfig:
    """Random views of a slice: two large ones and `small` small ones, squares of so many pixels.

    A scale is the range of the share of the slice's area that a view shows. Each view is turned by
    up to `turn_degrees` either way; with the two probabilities its contrast is stretched to [0, 1]
    and its histogram equalised.
    """

    large_side: int = 224
    large_scale: tuple[float, float] = (0.8, 1.0)
    small: int = 8
    small_side: int = 96
    small_scale: tuple[float, float] = (0.1, 0.3)
    turn_degrees: float = 15.0
    autocontrast: float = 0.2
    equalize: float = 0.2

    def __post_init__(self) -> None:
        """Raise TomovoxError for views that cannot be drawn."""
        for name in ("large_scale", "small_scale"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 1:
                raise TomovoxError(f"views.{name} is {low} to {high}; give shares above 0 up to 1")
        if min(self.large_side, self.small_side) < 1 or self.small < 0:
            raise TomovoxError(
                "views: large_side and small_side must be at least 1, small at least 0"
            )


def draw_views(
    image: Float[Tensor, "H W"], config: ViewsConfig, draws: torch.Generator
) -> tuple[Float[Tensor, "2 1 S S"], Float[Tensor, "l 1 s s"]]:
    """Return two large and l small views of a slice of intensities in [0, 1], which they keep."""
    large = [_view(image, config.large_side, config.large_scale, config, draws) for _ in range(2)]
    small = [
        _view(image, config.small_side, config.small_scale, config, draws)
        for _ in range(config.small)
    ]
    none = image.new_empty(0, 1, config.small_side, config.small_side)
    return torch.stack(large), torch.stack(small) if small else none


def _view(
    image: Tensor,
    side: int,
    scale: tuple[float, float],
    config: ViewsConfig,
    draws: torch.Generator,
) -> Float[Tensor, "1 s s"]:
    """Return one view; every draw is made whether it is needed or not, so that none shifts."""
    area, ratio, down, right, angle, stretched, equalised = torch.rand(7, generator=draws).tolist()
    image = turned(image, (2 * angle - 1) * config.turn_degrees)
    height, width = crop_size(
        (image.shape[0], image.shape[1]), scale[0] + area * (scale[1] - scale[0]), 2 * ratio - 1
    )
    top = int(down * (image.shape[0] - height + 1))
    left = int(right * (image.shape[1] - width + 1))
    view = image[None, None, top : top + height, left : left + width]
    view = F.interpolate(view, size=(side, side), mode="bilinear", antialias=True)[0].clamp(0, 1)
    view = autocontrast(view) if stretched < config.autocontrast else view
    return equalize(view) if equalised < config.equalize else view


def crop_size(size: tuple[int, int], area: float, ratio: float) -> tuple[int, int]:
    """Return (height, width) in pixels of a crop of a share `area` of a slice of (H, W).

    `ratio` in [-1, 1] says how much higher than wide it is, from 3:4 to 4:3, where the slice has
    room for it.
    """
    higher = RATIO ** (ratio / 2)
    share = math.sqrt(area)
    share_high = min(1.0, share * higher)
    share_wide = min(1.0, area / share_high)
    share_high = min(1.0, area / share_wide)
    return max(1, round(size[0] * share_high)), max(1, round(size[1] * share_wide))


def turned(image: Float[Tensor, "H W"], degrees: float) -> Float[Tensor, "H W"]:
    """Return a slice turned about its centre, read bilinearly; outside of it is 0."""
    if degrees == 0:
        return image
    height, width = image.shape
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = image.new_tensor([[cos, -sin * height / width, 0], [sin * width / height, cos, 0]])
    grid = F.affine_grid(turn[None], [1, 1, height, width], align_corners=False)
    return F.grid_sample(image[None, None], grid, align_corners=False)[0, 0]


def autocontrast(view: Float[Tensor, "1 s s"]) -> Float[Tensor, "1 s s"]:
    """Return a view whose intensities run from 0 to 1; a constant one stays as it is."""
    low, high = view.min(), view.max()
    return (view - low) / (high - low) if high > low else view


def equalize(view: Float[Tensor, "1 s s"]) -> Float[Tensor, "1 s s"]:
    """Return a view in which every range of intensities covers as much area as it can.

    An intensity becomes the share of pixels that are no brighter, so that the darkest is 0; a
    constant view stays as it is.
    """
    levels = (view * (LEVELS - 1)).round().long()
    shares = torch.bincount(levels.flatten(), minlength=LEVELS).cumsum(0).float() / levels.numel()
    darkest = shares[levels.min()]
    return view if darkest == 1 else ((shares - darkest) / (1 - darkest))[levels]
