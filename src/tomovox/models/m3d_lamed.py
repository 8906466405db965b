"""How does M3D-LaMed read a volume? 3D ViT, pooling and MLP: the same tokens for every question.

Letters: u studies, k patch tokens, p pooled tokens, d encoder width, h language-model width.
Source: M3D (Bai et al. 2024), M3D-LaMed: vision tower, mm_projector `spp`.
"""

from typing import Any

from tomovox.models.base import VolumeLM
from tomovox.models.projector import mlp, pool_grid
from tomovox.models.vit3d import ViT3DConfig
from tomovox.schema import Percept, Questions, Studies, VisualTokens


class M3DLaMed(VolumeLM):
    """3D ViT -> average pooling of `pool`^3 patches -> MLP -> language model (M3D-LaMed)."""

    encoders = ("vision3d",)

    def __init__(self, vision3d: ViT3DConfig, pool: int = 2, **shared: Any):
        """Take the 3D encoder's config and the pooling; `shared` are the arguments of VolumeLM."""
        super().__init__(**shared)
        self.vision3d_config, self.pool = vision3d, pool

    def build(self, width: int) -> None:
        """Create encoder and projector."""
        self.vision3d = self.vision3d_config.build()
        self.mm_projector = mlp(self.vision3d_config.width, width)

    def perceive(self, studies: Studies) -> Percept:
        """Return the pooled 3D tokens (u p d), CLS dropped."""
        tokens = self.vision3d(studies.stacked())[:, 1:]
        return Percept({"tokens3d": pool_grid(tokens, self.vision3d_config.grid, self.pool)})

    def attend(self, percept: Percept, questions: Questions) -> VisualTokens:
        """Return the projected tokens; the question changes nothing."""
        return VisualTokens(shared=self.mm_projector(percept.features["tokens3d"]))
