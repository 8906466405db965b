"""How does M3D-LaMed read a volume? 3D ViT, pooling and MLP: the same tokens for every question.

Letters: u studies, k patch tokens, p pooled tokens, d encoder width, h
language-model width.
Source: M3D (Bai et al. 2024), M3D-LaMed: vision tower, mm_projector `spp`, seg_module.
"""

from dataclasses import dataclass
from typing import Any, Literal

from tomovox.models.base import VolumeLM
from tomovox.models.projector import PoolingProjector
from tomovox.models.vit3d import ViT3DConfig
from tomovox.schema import Percept, Questions, Studies, VisualTokens


@dataclass
class ProjectorConfig:
    """The projector's form; the defaults are the published `spp` (see PoolingProjector)."""

    pooling: Literal["spatial", "sequence"] = "spatial"
    pool: int = 2
    layers: Literal["mlp", "linear"] = "mlp"
    depth: int = 2


class M3DLaMed(VolumeLM):
    """3D ViT -> average pooling of `pool`^3 patches -> MLP -> language model (M3D-LaMed)."""

    one_series = True
    encoders = ("vision3d",)

    def __init__(
        self,
        vision3d: ViT3DConfig,
        projector: ProjectorConfig | None = None,
        **shared: Any,
    ):
        """Take the configs of the parts; `shared` are the arguments of VolumeLM."""
        super().__init__(**shared)
        self.vision3d_config = vision3d
        self.projector_config = projector or ProjectorConfig()

    def build(self, width: int) -> None:
        """Create encoder and projector; their keys are the published ones."""
        form = self.projector_config
        self.vision3d = self.vision3d_config.build()
        self.mm_projector = PoolingProjector(
            self.vision3d_config.width,
            width,
            self.vision3d_config.grid,
            form.pooling,
            form.pool,
            form.layers,
            form.depth,
        )

    def perceive(self, studies: Studies) -> Percept:
        """Return the pooled 3D tokens (u p d), CLS dropped."""
        tokens = self.vision3d(studies.stacked())[:, 1:]
        return Percept({"tokens3d": self.mm_projector.pooled(tokens)})

    def attend(self, percept: Percept, questions: Questions) -> VisualTokens:
        """Return the projected tokens; the question changes nothing."""
        return VisualTokens(shared=self.mm_projector.projector(percept.features["tokens3d"]))
