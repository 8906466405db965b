"""Is our M3D-LaMed the released one? Its parity cases, from the volume to tokens and masks.

Letters: b rows, l positions, h language-model width.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from tomovox.models.language import LanguageConfig
from tomovox.models.m3d_lamed import M3DLaMed, ProjectorConfig
from tomovox.models.released import load_state
from tomovox.models.segmentation import SegVolConfig, dice_loss, mask_bce
from tomovox.models.splice import Spliced
from tomovox.models.vit3d import ViT3DConfig
from tomovox.packaged import quiet_loading
from tomovox.parity.cases import Case
from tomovox.parity.comparison import KeysDiffer, Pair
from tomovox.parity.m3d import LAYERS, POOLINGS
from tomovox.parity.recipe import tensor_for, volume_for
from tomovox.schema import Batch, Questions, Studies, TomovoxError, Vocabulary

TOWER, MASKS = "model.vision_tower.vision_tower.", "model.seg_module.image_encoder."
HEADS = 12
"""Attention heads of both 3D encoders; the released code takes no other number."""


def lamed_pairs(case: Case) -> Iterator[Pair]:
    """Yield projected tokens, logits, loss and greedy ids; with SegVol also mask and its losses.

    Logits are compared at seen positions only: at padding the released code counts positions on,
    ours do not.
    """
    model = _model(case)
    ids = case.expected("input_ids")
    volumes = volume_for(case.name, (len(ids), 1, *model.vision3d_config.image))
    batch = _batch(case, volumes)
    percept = model.perceive(batch.studies)
    tokens = model.attend(percept, batch.questions).shared
    first = case.expected("image_tokens_row0_first32")
    yield Pair("image_tokens_row0_first32", tokens[0, : len(first)], first)
    spliced, _ = model.read_percept(percept, batch)
    recorded = case.expected("logits_text")
    text = spliced.mask[:, -recorded.shape[1] :, None]
    logits = model.language.logits(spliced)[:, -recorded.shape[1] :]
    yield Pair("logits_text", logits * text, recorded * text)
    loss, _ = model.language.loss(spliced)
    yield Pair("loss", loss.reshape(-1), case.expected("loss").reshape(-1))
    said = case.expected("generated_ids")
    seen = spliced.mask[0]
    prompt = Spliced(spliced.embeds[:1, seen], spliced.mask[:1, seen], None)
    yield Pair("generated_ids", model.language.greedy(prompt, said.shape[-1]), said)
    if model.mask_head_config is not None:
        yield from _mask_pairs(case, model, volumes[:1])


def _mask_pairs(case: Case, model: M3DLaMed, volume: Tensor) -> Iterator[Pair]:
    """Yield a prompted mask, its losses and a projected prompt, as the note of the case says."""
    width = model.seg_module.config.vision3d.width
    logits = model.seg_module(volume, volume_for(f"{case.name}:prompt", (1, width)) - 0.5)
    recorded = case.expected("seg_logits_sampled")
    yield Pair("seg_logits_sampled", logits[0, 0, ::4, ::16, ::16], recorded)
    target = volume_for(f"{case.name}:mask", tuple(logits.shape)) > 0.7
    dice, bce = dice_loss(logits, target), mask_bce(logits, target)
    yield Pair("dice_loss", dice.reshape(-1), case.expected("dice_loss").reshape(-1))
    yield Pair("bce_loss", bce.reshape(-1), case.expected("bce_loss").reshape(-1))
    hidden = volume_for(f"{case.name}:hidden", (1, model.language.width)) - 0.5
    projected = model.seg_projector(hidden)
    yield Pair("seg_projector_out", projected, case.expected("seg_projector_out"))


def _batch(case: Case, volumes: Tensor) -> Batch:
    """Return the recorded rows with the run of image tokens as the one placeholder it stands for.

    Row i asks about volume i.
    """
    ids, mask = case.expected("input_ids"), case.expected("attention_mask").bool()
    grid_tokens = _image_tokens(case)
    kept = torch.ones(ids.shape[1], dtype=torch.bool)
    kept[2 : 1 + grid_tokens] = False  # BOS stays, then the first of the run
    run = ids[:, 1 : 1 + grid_tokens]
    if not bool((run == run[0, 0]).all()):
        raise case.fault(f"positions 1 to {grid_tokens} of input_ids are not all image tokens")
    rows = torch.arange(len(ids))
    nothing = torch.zeros(len(ids), 1, dtype=torch.long)
    return Batch(
        studies=Studies(list(volumes), rows),
        questions=Questions([""] * len(ids), nothing, nothing.bool(), rows),
        input_ids=ids[:, kept],
        attention_mask=mask[:, kept],
        labels=case.expected("labels")[:, kept],
        records=[],
    )


def _model(case: Case) -> M3DLaMed:
    """Return M3D-LaMed at the sizes of the case, with the recipe's tensors under released names."""
    size = case.count("llm", "vocab_size")
    pooling = case.one_of(POOLINGS, "config", "proj_pooling_type")
    layers = case.one_of(LAYERS, "config", "proj_layer_type")
    pool, depth = case.count("config", "proj_pooling_size"), case.count("config", "proj_layer_num")
    placeholder = int(case.expected("input_ids")[0, 1])
    drawn = any(key.startswith(MASKS) for key in case.shapes)
    model = M3DLaMed(
        vision3d=_vit(case, TOWER),
        projector=ProjectorConfig(pooling, pool, layers, depth),
        mask_head=SegVolConfig(vision3d=_vit(case, MASKS)) if drawn else None,
        language=_language(case),
        # An eos that no row of the vocabulary has: the recorded continuations never stop.
        vocabulary=Vocabulary(size=size, placeholder=placeholder, pad=0, eos=size),
    )
    with quiet_loading():  # transformers remarks on the eos
        model.configure_model()
    state = {key: tensor_for(key, shape) for key, shape in case.shapes.items()}
    try:
        load_state(model, state, "weights")
    except TomovoxError as error:
        raise KeysDiffer(str(error)) from None
    return model.eval()


def _image_tokens(case: Case) -> int:
    image, patch = case.size("config", "image_size"), case.size("config", "patch_size")
    count = 1
    for side, cell in zip(image, patch, strict=True):
        count *= side // cell
    return count // case.count("config", "proj_pooling_size") ** 3


def _vit(case: Case, opening: str) -> ViT3DConfig:
    """Return the 3D encoder whose released keys open with `opening`."""
    shapes = {k.removeprefix(opening): s for k, s in case.shapes.items() if k.startswith(opening)}
    first = "blocks.0.mlp.linear1.weight"
    if first not in shapes:
        raise case.fault(f"state_dict lacks {opening}{first}")
    mlp, width = shapes[first]
    return ViT3DConfig(
        image=case.size("config", "image_size"),
        patch=case.size("config", "patch_size"),
        width=width,
        layers=1 + max(int(key.split(".")[1]) for key in shapes if key.startswith("blocks.")),
        heads=HEADS,
        mlp=mlp,
    )


def _language(case: Case) -> LanguageConfig:
    """Return the language model of the case; fused attention weights are Phi-3's."""
    sizes: dict[str, Any] = dict(case.fact(dict, "llm"))
    sizes.pop("vocab_size", None)
    fused = any("qkv_proj" in key for key in case.shapes)
    model_type = sizes.pop("model_type", "phi3" if fused else "llama")
    return LanguageConfig(model_type=model_type, architecture=sizes, train="frozen")
