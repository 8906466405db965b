"""How does MS-VLM read a study? One vector per slice, related by a Z-former, then resampled.

Source: MS-VLM (arXiv 2412.13558). No public code exists: this is a re-implementation.
"""

from typing import Any

from tomovox.models.base import VolumeLM
from tomovox.models.projector import mlp
from tomovox.models.resampler import Resampler
from tomovox.models.slice_layout import layout_of
from tomovox.models.slice_reading import SliceReader
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.weights import reads_sources
from tomovox.models.zformer import ZFormerConfig
from tomovox.schema import Percept, Questions, TomovoxError, VisualTokens


class MSVLM(SliceReader, VolumeLM):
    """CLS per slice -> Z-former over the slice sequence -> Perceiver resampler -> MLP (MS-VLM)."""

    remark = "MS-VLM is a re-implementation; there is no public code"
    encoders = ("vision2d",)
    slice_features = ("cls",)
    scoring_parts = ("resampler",)
    unread = frozenset(("zformer_config", "latents", "resampler_layers", "resampler_width"))

    def __init__(
        self,
        vision2d: SliceEncoderConfig,
        zformer: ZFormerConfig,
        latents: int = 32,
        resampler_layers: int = 6,
        resampler_width: int | None = None,
        **shared: Any,
    ):
        """Take the sizes of the parts; `shared` are the arguments of VolumeLM.

        The resampler is as wide as the Z-former unless `resampler_width` says otherwise.
        """
        super().__init__(**shared)
        self.vision2d_config, self.zformer_config = vision2d, zformer
        self.latents, self.resampler_layers = latents, resampler_layers
        self.resampler_width = resampler_width

    def build(self, width: int) -> None:
        """Create encoder, Z-former, resampler and projector.

        Raises TomovoxError for a Z-former that is frozen as it was drawn.
        """
        config = self.zformer_config
        if config.frozen and reads_sources() and not (config.weights or self.init_from):
            raise TomovoxError(
                "zformer.frozen is true and nothing has trained it: give zformer.weights (the RUN "
                "folder of masked slices) or init_from, or set zformer.frozen: false"
            )
        self.vision2d = self.vision2d_config.build()
        self.zformer = config.build(self.vision2d.width)
        sizes = self.latents, self.resampler_layers, self.resampler_width
        self.resampler = Resampler(config.width, config.heads, *sizes)
        self.projector = mlp(self.resampler.width, width)

    def frozen_encoders(self) -> list[str]:
        """Return the names of the encoders that never train, the Z-former's if it is frozen."""
        return super().frozen_encoders() + ["zformer"] * self.zformer_config.frozen

    def attend(self, percept: Percept, questions: Questions) -> VisualTokens:
        """Return the latents after Z-former and resampler; the question changes nothing.

        Outside of training the slice scores are the resampler's attention to each slice, the same
        for every question of a study. A slice says more than itself after the Z-former.
        """
        layout = layout_of(percept.features["seen"])
        memory = self.zformer(percept.features, layout)
        tokens = self.projector(self.resampler(memory, layout))
        if self.training:
            return VisualTokens(shared=tokens)
        scores = self.resampler.slice_scores(memory, layout)
        return VisualTokens(shared=tokens, slice_scores=scores[questions.study])
