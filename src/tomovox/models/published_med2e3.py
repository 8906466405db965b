"""What are our names for the weights of the released Med-2E3? A strict renaming of its keys.

A released key opens with the part it belongs to: llm, vision2d_model, vision2d_connector,
vision3d_model, vision3d_connector. The wrapper names vision2d_encoder, vision3d_encoder and
vision_model may stand in a key or not; both forms exist.
Source: released code of Med-2E3 (arXiv 2411.12783v2).
"""

import re
from collections.abc import Mapping

from torch import Tensor, nn

from tomovox.models.weights import key_faults, untied_state
from tomovox.schema import TomovoxError

_SIGLIP = r"vision2d_model\.(?:vision2d_encoder\.)?(?:vision_model\.)?"
_CLIP = r"vision3d_model\.(?:vision3d_encoder\.)?"

RENAMED: dict[str, str] = {
    r"llm\.": "language.model.",
    _SIGLIP + r"(?=embeddings\.|encoder\.|post_layernorm\.)": "vision2d.body.tower.",
    _CLIP + r"vision_encoder\.": "vision3d.",
    _CLIP + r"language_encoder\.": "question.body.",
    r"vision2d_connector\._connector\.": "connector2d.",
    r"vision3d_connector\._connector\.": "connector3d.",
    r"vision3d_connector\.text_mlp\.": "tgis.text_mlp.",
}
"""How a released key opens (a pattern) -> how ours does; what follows is the same."""

UNUSED = (
    _SIGLIP + r"head\.",
    _CLIP + r"(?:mm_vision_proj\.|mm_language_proj\.|logit_scale$)",
)
"""Released weights that our model does not build: the heads of SigLIP and M3D-CLIP, never read."""


def our_key(published: str) -> str | None:
    """Return our name of a released key; None for a weight of UNUSED.

    The final norms of both encoders are named, though the tokens are read before them: ours have
    them too. Raises TomovoxError for a key that the released model does not have.
    """
    if any(re.match(pattern, published) for pattern in UNUSED):
        return None
    for pattern, ours in RENAMED.items():
        if opening := re.match(pattern, published):
            return ours + published[opening.end() :]
    raise TomovoxError(
        f"{published}: not a weight of the released Med-2E3; give the state of its parts, each key "
        f"opening with the part's name"
    )


def load_published(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a released state dict into a built Med2E3 whose question encoder is a pooler.

    Raises TomovoxError naming unexpected, missing and mis-shaped keys by our names, and a released
    key that has none.
    """
    renamed = {ours: value for key, value in state.items() if (ours := our_key(key)) is not None}
    wanted = {key: tuple(value.shape) for key, value in untied_state(model).items()}
    given = {key: tuple(value.shape) for key, value in renamed.items()}
    if faults := key_faults(wanted, given):
        raise TomovoxError(f"released Med-2E3: does not fit the model as configured: {faults}")
    model.load_state_dict(renamed, strict=False)
