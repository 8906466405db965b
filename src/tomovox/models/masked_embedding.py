"""How does a Z-former learn from slices alone? It tells the vectors of hidden slices from the rest.

Letters: u studies, l slices of a study over all its series (padded to the longest), d width of a
slice vector, r t rows and places as slices are laid out, z Z-former width.
Source: MS-VLM (arXiv 2412.13558), masked embedding modelling.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from tomovox.models.part_training import PartTraining
from tomovox.models.percepts import PerceptsConfig, perceived
from tomovox.models.slice_layout import layout_of
from tomovox.models.slice_reading import SliceReader
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.zformer import ZFormerConfig
from tomovox.schema import Percept, Studies, TomovoxError


@dataclass
class MaskingConfig:
    """Which slices are hidden, what stands for them, and how far off a guess is.

    `share` of the slices is hidden at random, in runs of `span` neighbours, which alone could be
    copied from the next slice. `token` stands for them: a learned vector or zeros (the first
    author's early code). The loss is the mean over their vectors' entries.
    """

    share: float = 0.3
    span: int = 1
    token: Literal["learned", "zeros"] = "learned"
    loss: Literal["l1", "smooth_l1"] = "l1"

    def __post_init__(self) -> None:
        """Raise TomovoxError for a mask that hides nothing or all."""
        if not 0 < self.share < 1 or self.span < 1:
            raise TomovoxError(
                f"masking: share is {self.share}, span {self.span}; give a share between 0 and 1 "
                f"and a span of at least 1"
            )


class MaskedEmbedding(SliceReader, PartTraining):
    """Train a Z-former to tell hidden slice vectors; the slice encoder stays as it is.

    Args:
        vision2d: the slice encoder, which never trains here.
        zformer: what is trained and kept; the layer that guesses vectors is thrown away.
        masking: what is hidden.
        percepts: where slice vectors are kept on disk, for all visits and for the later stages.
        lr: highest learning rate.
        weight_decay: of all weights but norms and biases.
        warmup: share of the steps over which the rate rises; then it falls along a cosine.
        floor: share of the rate at the end.
    """

    part_name = "zformer"
    encoders = ("vision2d",)
    encodes_as = "MSVLM"
    """Whose percepts those kept on disk are: a later stage finds what this one made."""
    unread = frozenset(("zformer_config", "masking", "lr", "weight_decay", "warmup", "floor"))

    def __init__(
        self,
        vision2d: SliceEncoderConfig,
        zformer: ZFormerConfig,
        masking: MaskingConfig | None = None,
        percepts: PerceptsConfig | None = None,
        lr: float = 1e-4,
        weight_decay: float = 0.0,
        warmup: float = 0.03,
        floor: float = 0.0,
    ):
        super().__init__()
        self.vision2d_config, self.zformer_config = vision2d, zformer
        self.masking = masking or MaskingConfig()
        self.percepts = None if percepts is None else percepts.build()
        self.lr, self.weight_decay, self.warmup, self.floor = lr, weight_decay, warmup, floor

    def make(self) -> None:
        """Create the encoder, frozen, the Z-former and the layer that guesses."""
        self.vision2d = self.vision2d_config.build().requires_grad_(False).eval()
        width = self.vision2d.width
        self.zformer = self.zformer_config.build(width)
        self.guess = nn.Linear(self.zformer_config.width, width)
        if self.masking.token == "learned":
            self.token = nn.Parameter(torch.randn(width) * 0.02)

    @property
    def part(self) -> nn.Module:
        """The Z-former."""
        return self.zformer

    def train(self, mode: bool = True) -> "MaskedEmbedding":
        """Set the mode; the slice encoder stays in eval."""
        super().train(mode)
        if hasattr(self, "vision2d"):
            self.vision2d.eval()
        return self

    def embed_studies(self, studies: Studies) -> Float[Tensor, "u l z"]:
        """Return each slice in the light of the others of its study."""
        features = self.perceive(studies).features
        layout = layout_of(features["seen"])
        return layout.unlay(self.zformer(features, layout))

    def training_step(self, batch: Studies | Percept, batch_idx: int) -> Tensor:
        """Return the loss of a batch of studies, or of their slice vectors."""
        return self._loss("train", batch, None)

    def validation_step(self, batch: Studies | Percept, batch_idx: int) -> None:
        """Log the losses of validation studies, in which the same slices are hidden every time."""
        self._loss("val", batch, torch.Generator().manual_seed(batch_idx))

    def _loss(self, name: str, batch: Studies | Percept, draws: torch.Generator | None) -> Tensor:
        features = (perceived(self, batch) if isinstance(batch, Studies) else batch).features
        cls, seen = features["cls"], features["seen"]
        hidden = hidden_slices(seen, self.masking.share, self.masking.span, draws)
        loss = masked_loss(self.guesses(features, hidden), cls, hidden, self.masking.loss)
        mean = masked_loss(visible_mean(cls, seen & ~hidden), cls, hidden, self.masking.loss)
        figures = {f"{name}/loss": loss, f"{name}/loss_of_mean": mean}
        self.log_dict(figures, prog_bar=True, batch_size=len(cls), sync_dist=name == "val")
        return loss

    def guesses(
        self, features: dict[str, Tensor], hidden: Bool[Tensor, "u l"]
    ) -> Float[Tensor, "u l d"]:
        """Return what the Z-former makes of every slice vector when some are hidden from it."""
        cls = features["cls"]
        token = self.token if self.masking.token == "learned" else cls.new_zeros(cls.shape[-1])
        shown = torch.where(hidden[..., None], token.to(cls), cls)
        layout = layout_of(features["seen"])
        return layout.unlay(self.guess(self.zformer({**features, "cls": shown}, layout)))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW with warm-up and a cosine over the steps."""
        return self.cosine(self.decayed(self.lr, self.weight_decay), self.warmup, self.floor)


def hidden_slices(
    seen: Bool[Tensor, "u l"], share: float, span: int, draws: torch.Generator | None = None
) -> Bool[Tensor, "u l"]:
    """Return which slices are hidden: each run of `span` neighbours with the probability `share`.

    Where runs begin is drawn too. A study of more than one slice keeps one shown and one hidden.
    `draws` are numbers of the CPU; without them those of the device are taken.
    """
    studies, most = seen.shape
    device = seen.device if draws is None else torch.device("cpu")
    start = torch.randint(span, (studies, 1), generator=draws, device=device)
    chance = torch.rand(studies, most // span + 2, generator=draws, device=device)
    run = (torch.arange(most, device=device) + start) // span
    drawn = (chance.gather(1, run) < share).to(seen.device) & seen
    first = torch.zeros_like(seen)
    first[:, 0] = True
    several = seen.sum(1, keepdim=True) > 1
    none, whole = ~drawn.any(1, keepdim=True), (drawn == seen).all(1, keepdim=True)
    return (drawn | (first & none & several)) & ~(first & whole)


def masked_loss(
    guesses: Float[Tensor, "u l d"],
    cls: Float[Tensor, "u l d"],
    hidden: Bool[Tensor, "u l"],
    kind: str = "l1",
) -> Float[Tensor, ""]:
    """Return how far guesses are off, mean over the entries of the hidden vectors; 0 without any.

    What is guessed of slices that were shown, or do not exist, changes nothing.
    """
    if not bool(hidden.any()):
        return guesses.sum() * 0.0
    measure = F.smooth_l1_loss if kind == "smooth_l1" else F.l1_loss
    return measure(guesses[hidden].float(), cls[hidden].float())


def visible_mean(cls: Float[Tensor, "u l d"], shown: Bool[Tensor, "u l"]) -> Float[Tensor, "u l d"]:
    """Return for every slice the mean vector of its study's shown slices: the guess to beat."""
    weight = shown.to(cls.dtype)[..., None]
    mean = (cls * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
    return mean.expand_as(cls)
