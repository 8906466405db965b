"""How do two encoders learn that a volume and its report belong together? CLIP's loss.

Letters: u studies, t text tokens, k rows of one rank, w rows of all ranks, e width of the
embeddings.
"""

from abc import abstractmethod

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from tomovox.schema import Studies


class DualEncoder(nn.Module):
    """Volumes and texts in one space of unit vectors: near when they belong together."""

    @abstractmethod
    def embed_studies(self, studies: Studies) -> Float[Tensor, "u e"]:
        """Return one unit vector per study."""

    @abstractmethod
    def embed_texts(
        self, ids: Int[Tensor, "b t"], mask: Shaped[Tensor, "b t"]
    ) -> Float[Tensor, "b e"]:
        """Return one unit vector per text; tokens where `mask` is 0 are not seen."""


def contrastive_logits(
    images: Float[Tensor, "k e"], texts: Float[Tensor, "k e"], scale: Float[Tensor, ""]
) -> Float[Tensor, "k k"]:
    """Return `scale` times the cosine of every image (row) with every text (column)."""
    return scale * images @ texts.T


def contrastive_loss(
    images: Float[Tensor, "k e"], texts: Float[Tensor, "k e"], scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Return the mean of both cross-entropies over the rows of all ranks (Radford et al. 2021).

    Row i of `images` belongs to row i of `texts`; each is told from all other rows. Every rank
    computes the whole matrix, as M3D-CLIP does, so every rank returns the same value.
    """
    logits = contrastive_logits(gathered(images), gathered(texts), scale)
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def gathered(rows: Float[Tensor, "k e"]) -> Float[Tensor, "w e"]:
    """Return the rows of all ranks in rank order, with gradient; without ranks the rows as given.

    All ranks must hold equally many rows.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return rows
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(rows.contiguous()))
