"""Which report belongs to this volume? M3D-CLIP: a 3D ViT and a BERT meet in one space.

Letters: u studies, b texts, t text tokens, d width of the text encoder, e of the embeddings.
Parameter names are those of the published checkpoint.
Source: M3D (Bai et al. 2024), M3D-CLIP.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from tomovox.models.contrastive import DualEncoder, contrastive_loss
from tomovox.models.vit3d import ViT3DConfig
from tomovox.models.weights import load_pretrained
from tomovox.schema import Studies, TomovoxError


@dataclass
class TextEncoderConfig:
    """Sizes of a BERT encoder; the defaults are bert-base-uncased, as M3D-CLIP takes it.

    `source` is a folder, hub or `package:` name of a pretrained BERT, which brings its own sizes;
    None starts from scratch. `pooling` says which vector stands for a text: that of [CLS], as
    published, or the mean of all; a [CLS] from scratch is the same for every text at first.
    """

    vocabulary: int = 30522
    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp: int = 3072
    positions: int = 512
    source: str | None = None
    pooling: Literal["cls", "mean"] = "cls"

    def build(self) -> Any:
        """Return the encoder with its pooler, which M3D-CLIP keeps but does not use.

        Raises TomovoxError when width and heads do not fit or `source` cannot be loaded.
        """
        from transformers import BertConfig, BertModel

        if self.source is not None:
            return load_pretrained(BertModel, self.source, "text encoder")
        if self.width % self.heads:
            raise TomovoxError(
                f"text encoder: width {self.width} is not a multiple of {self.heads} heads"
            )
        return BertModel(
            BertConfig(
                vocab_size=self.vocabulary,
                hidden_size=self.width,
                num_hidden_layers=self.layers,
                num_attention_heads=self.heads,
                intermediate_size=self.mlp,
                max_position_embeddings=self.positions,
            )
        )


class M3DCLIP(DualEncoder):
    """CLS of the 3D ViT and CLS of BERT, each through one Linear onto the unit sphere (M3D-CLIP).

    `logit_scale` multiplies the cosines as it is stored: the released code never exponentiates it.
    Its start of 2.66 leaves a loss of 1.15 for 32 pairs that fit perfectly and are orthogonal to
    all others.
    """

    def __init__(
        self,
        vision3d: ViT3DConfig | None = None,
        text: TextEncoderConfig | None = None,
        width: int | None = None,
        logit_scale: float = math.log(1 / 0.07),
    ):
        """Take the encoders' configs; `width` e of the embeddings is by default the ViT's.

        `logit_scale` is where the learned scale starts; weights that are loaded bring theirs.
        """
        super().__init__()
        vision3d, text = vision3d or ViT3DConfig(), text or TextEncoderConfig()
        width = width or vision3d.width
        self.vision_encoder = vision3d.build()
        self.language_encoder = text.build()
        self.pooling = text.pooling
        self.mm_vision_proj = nn.Linear(vision3d.width, width)
        self.mm_language_proj = nn.Linear(self.language_encoder.config.hidden_size, width)
        self.logit_scale = nn.Parameter(torch.tensor(logit_scale))

    def embed_studies(self, studies: Studies) -> Float[Tensor, "u e"]:
        """Return one unit vector per study of one series; raise TomovoxError for mixed sizes."""
        cls = self.vision_encoder(studies.stacked())[:, 0]
        return F.normalize(self.mm_vision_proj(cls), dim=-1)

    def embed_texts(
        self, ids: Int[Tensor, "b t"], mask: Shaped[Tensor, "b t"]
    ) -> Float[Tensor, "b e"]:
        """Return one unit vector per text, each opening with [CLS]; where `mask` is 0 is unseen."""
        read = self.language_encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        text = read[:, 0] if self.pooling == "cls" else _mean(read, mask)
        return F.normalize(self.mm_language_proj(text), dim=-1)

    def loss(
        self, studies: Studies, ids: Int[Tensor, "u t"], mask: Shaped[Tensor, "u t"]
    ) -> Float[Tensor, ""]:
        """Return the contrastive loss over the pairs of all ranks; text i belongs to study i."""
        return contrastive_loss(
            self.embed_studies(studies), self.embed_texts(ids, mask), self.logit_scale
        )


def _mean(read: Float[Tensor, "b t d"], mask: Shaped[Tensor, "b t"]) -> Float[Tensor, "b d"]:
    seen = mask.to(read.dtype)[..., None]
    return (read * seen).sum(1) / seen.sum(1)
