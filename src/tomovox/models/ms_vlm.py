"""How does MS-VLM read a study? One vector per slice, related by a Z-former, then resampled.

Letters: u studies, l slices of a study over all its series (padded to the longest), d encoder
width, z Z-former width, p latents, h language-model width.
Source: MS-VLM (arXiv 2412.13558). No public code exists: this is a re-implementation.
"""

from typing import Any

import torch
from torch import Tensor, nn

from tomovox.models.base import VolumeLM
from tomovox.models.projector import mlp
from tomovox.models.resampler import Resampler
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.zformer import ZFormerConfig
from tomovox.schema import Percept, Questions, Studies, VisualTokens


class MSVLM(VolumeLM):
    """CLS per slice -> Z-former over the slice sequence -> Perceiver resampler -> MLP (MS-VLM)."""

    remark = "MS-VLM is a re-implementation; there is no public code"
    encoders = ("vision2d",)
    slice_features = ("cls",)
    scoring_parts = ("resampler",)

    def __init__(
        self,
        vision2d: SliceEncoderConfig,
        zformer: ZFormerConfig,
        latents: int = 32,
        resampler_layers: int = 6,
        **shared: Any,
    ):
        """Take the sizes of the parts; `shared` are the arguments of VolumeLM."""
        super().__init__(**shared)
        self.vision2d_config, self.zformer_config = vision2d, zformer
        self.latents, self.resampler_layers = latents, resampler_layers

    def build(self, width: int) -> None:
        """Create encoder, Z-former, resampler and projector."""
        config = self.zformer_config
        self.vision2d = self.vision2d_config.build()
        self.zformer = config.build(self.vision2d.width)
        self.resampler = Resampler(config.width, config.heads, self.latents, self.resampler_layers)
        self.projector = mlp(config.width, width)

    def frozen_encoders(self) -> list[str]:
        """Return the names of the encoders that never train, the Z-former's if it is frozen."""
        return super().frozen_encoders() + ["zformer"] * self.zformer_config.frozen

    def perceive(self, studies: Studies) -> Percept:
        """Return per study CLS vectors (u l d), which exist, their place in [0, 1], series slot."""
        series = [v[0].unsqueeze(1) for v in studies.voxels]  # each (D, 1, H, W)
        lengths = [len(s) for s in series]
        by_size: dict[tuple[int, int], list[int]] = {}
        for i, s in enumerate(series):
            by_size.setdefault((s.shape[-2], s.shape[-1]), []).append(i)
        encoded: list[Tensor] = [series[0].new_empty(0)] * len(series)
        for indices in by_size.values():
            cls, _ = self.vision2d(torch.cat([series[i] for i in indices]))
            for i, part in zip(indices, cls.split([lengths[i] for i in indices]), strict=True):
                encoded[i] = part
        return self._sequences(encoded, studies)

    def _sequences(self, encoded: list[Tensor], studies: Studies) -> Percept:
        rows, owners, config = [], studies.study.tolist(), self.zformer_config
        for u in range(len(studies)):
            own = [e for e, owner in zip(encoded, owners, strict=True) if owner == u]
            cls = torch.cat(own)
            place = torch.cat([torch.linspace(0, 1, len(e), device=e.device) for e in own])
            slot = torch.cat([torch.full((len(e),), i, device=e.device) for i, e in enumerate(own)])
            if len(cls) > config.max_slices:
                keep = torch.linspace(0, len(cls) - 1, config.max_slices, device=cls.device)
                cls, place, slot = (x[keep.round().long()] for x in (cls, place, slot))
            rows.append((cls, place, slot.clamp(max=config.max_series - 1)))
        pad = nn.utils.rnn.pad_sequence
        lengths = torch.tensor([len(r[0]) for r in rows], device=rows[0][0].device)
        cls = pad([r[0] for r in rows], batch_first=True)
        return Percept(
            {
                "cls": cls,
                "seen": torch.arange(cls.shape[1], device=cls.device) < lengths[:, None],
                "place": pad([r[1] for r in rows], batch_first=True),
                "slot": pad([r[2] for r in rows], batch_first=True),
            }
        )

    def attend(self, percept: Percept, questions: Questions) -> VisualTokens:
        """Return the latents after Z-former and resampler; the question changes nothing.

        Outside of training the slice scores are the resampler's attention to each slice, the same
        for every question of a study. A slice says more than itself after the Z-former.
        """
        features = percept.features
        mask = features["seen"][:, None, None, :]
        memory = self.zformer(features)
        tokens = self.projector(self.resampler(memory, mask))
        if self.training:
            return VisualTokens(shared=tokens)
        scores = self.resampler.slice_scores(memory, mask)
        return VisualTokens(shared=tokens, slice_scores=scores[questions.study])
