"""Are 3D ViT, projectors and M3D-CLIP those of M3D? Their parity cases through our models.

Letters: u studies, k tokens, t text tokens, d width.
"""

from collections.abc import Iterator
from typing import Literal

import torch

from tomovox.models.contrastive import contrastive_logits, contrastive_loss
from tomovox.models.m3d_clip import M3DCLIP, TextEncoderConfig
from tomovox.models.projector import PoolingProjector
from tomovox.models.vit3d import ViT3D, ViT3DConfig
from tomovox.parity.cases import Case
from tomovox.parity.comparison import Pair, load_recipe
from tomovox.parity.recipe import volume_for
from tomovox.schema import Studies

POOLINGS: dict[str, Literal["spatial", "sequence"]] = {
    name: name for name in ("spatial", "sequence")
}
LAYERS: dict[str, Literal["mlp", "linear"]] = {name: name for name in ("mlp", "linear")}


def vit_pairs(case: Case) -> Iterator[Pair]:
    """Yield first block, last block and last block normed of a 3D ViT, at the recorded tokens.

    The case of the published size lists only its first keys; the others are those of our model.
    """
    if case.count("config", "in_channels") != 1:
        raise case.fault("config.in_channels is not 1: the 3D encoder reads one channel")
    config = _vit_config(case)
    model = ViT3D(config)
    load_recipe(model, case, partial=True)
    index = case.expected("token_index")
    states = model.hidden_states(volume_for(case.name, (1, 1, *config.image)))
    first = last = next(states)
    for state in states:
        last = state
    if int(index.max()) >= last.shape[1]:
        raise case.fault(f"token_index names token {int(index.max())} of {last.shape[1]}")
    outputs = {"first_block": first, "last_block": last, "last_normed": model.norm(last)}
    for name, tokens in outputs.items():
        yield Pair(name, tokens[0, index], case.expected(name))


def projector_pairs(case: Case) -> Iterator[Pair]:
    """Yield the output of a pooling projector."""
    image, patch = case.size("config", "image_size"), case.size("config", "patch_size")
    grid = (image[0] // patch[0], image[1] // patch[1], image[2] // patch[2])
    width = case.count("config", "in_dim")
    model = PoolingProjector(
        width,
        case.count("config", "out_dim"),
        grid,
        case.one_of(POOLINGS, "config", "pooling_type"),
        case.count("config", "pooling_size"),
        case.one_of(LAYERS, "config", "layer_type"),
        case.count("config", "layer_num"),
    )
    load_recipe(model, case)
    recorded = case.expected("output")
    tokens = volume_for(case.name, (len(recorded), grid[0] * grid[1] * grid[2], width)) - 0.5
    yield Pair("output", model(tokens), recorded)


def clip_pairs(case: Case) -> Iterator[Pair]:
    """Yield embeddings, cosines, logits and loss of M3D-CLIP."""
    vision = _vit_config(case)
    text = TextEncoderConfig(
        vocabulary=case.count("config", "text_vocab_size"),
        width=vision.width,
        layers=case.count("config", "text_layers"),
        heads=vision.heads,
        mlp=case.count("config", "text_intermediate_size"),
    )
    model = M3DCLIP(vision, text)
    scale = torch.tensor(case.fact(float, "logit_scale"))
    load_recipe(model, case, partial=True, logit_scale=scale)
    ids, mask = case.expected("input_ids"), case.expected("attention_mask")
    volumes = volume_for(case.name, (len(ids), 1, *vision.image))
    images = model.embed_studies(Studies(list(volumes), torch.arange(len(ids))))
    texts = model.embed_texts(ids, mask)
    yield Pair("image_embedding", images, case.expected("image_embedding"))
    yield Pair("text_embedding", texts, case.expected("text_embedding"))
    yield Pair("similarity", images @ texts.T, case.expected("similarity"))
    logits = contrastive_logits(images, texts, scale)
    # The released forward returns the mean of image-to-text and text-to-image as its logits.
    yield Pair("logits", (logits + logits.T) / 2, case.expected("logits"))
    loss = contrastive_loss(images, texts, scale)
    yield Pair("loss", loss.reshape(-1), case.expected("loss").reshape(-1))


def _vit_config(case: Case) -> ViT3DConfig:
    return ViT3DConfig(
        image=case.size("config", "img_size"),
        patch=case.size("config", "patch_size"),
        width=case.count("config", "hidden_size"),
        layers=case.count("config", "num_layers"),
        heads=case.count("config", "num_heads"),
        mlp=case.count("config", "mlp_dim"),
    )
