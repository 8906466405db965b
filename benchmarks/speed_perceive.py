"""How much less is it to perceive a volume once, with fused attention, for the same features?

The released way encodes the volume again for every question and every class of a mask, and builds
the attention of all tokens to all (12 x 2,049 x 2,049 numbers a layer and volume). Same weights,
same volume. Encoders have the published width; that of questions has 3 of the 12 layers, which all
cost the same, and that of masks reads 32 x 128 x 128 voxels, a quarter of the published volume.
"""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from speed_case import Case
from torch import Tensor, nn

from tomovox.models.blocks import SelfAttention
from tomovox.models.language import LanguageConfig
from tomovox.models.m3d_lamed import M3DLaMed
from tomovox.models.mask_decoder import ProjectedAttention
from tomovox.models.segmentation import SegVolConfig
from tomovox.models.vit3d import ViT3DConfig
from tomovox.schema import Studies, Vocabulary

FEW_LAYERS = 3
QUESTIONS = 7
CLASSES = 3
"""Questions of a volume, as M3D-VQA asks; classes of a mask (TotalSegmentator has 104)."""


def materialised(attention: SelfAttention, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return what SelfAttention does, by the matrix of all tokens to all."""
    assert mask is None
    parts = attention.qkv(x).unflatten(-1, (3, attention.heads, -1)).permute(2, 0, 3, 1, 4)
    q, key, value = parts
    logits = torch.einsum("blxd,blyd->blxy", q, key) * q.shape[-1] ** -0.5
    seen = torch.einsum("bhxy,bhyd->bhxd", logits.softmax(-1), value)
    return attention.out_proj(seen.transpose(1, 2).flatten(2))


def materialised_projected(
    attention: ProjectedAttention, query: Tensor, key: Tensor, value: Tensor
) -> Tensor:
    """Return what ProjectedAttention does, by the matrix of all queries to all keys."""
    projected = attention.q_proj(query), attention.k_proj(key), attention.v_proj(value)
    q, k, v = (x.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for x in projected)
    seen = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v
    return attention.out_proj(seen.transpose(1, 2).flatten(2))


def released(model: nn.Module) -> Any:
    """Return a model with the same weights whose attention is materialised."""
    kept = {id(weight): weight for weight in (*model.parameters(), *model.buffers())}
    copied = deepcopy(model, kept)
    for part in copied.modules():
        if isinstance(part, SelfAttention):
            part.forward = partial(materialised, part)  # type: ignore[method-assign]
        elif isinstance(part, ProjectedAttention):
            part.forward = partial(materialised_projected, part)  # type: ignore[method-assign]
    return copied


def same(ours: Tensor, released: Tensor) -> bool:
    """Return whether both agree to 1e-4 of a typical value, the rounding of long sums."""
    return torch.allclose(ours, released, rtol=1e-4, atol=1e-4 * float(released.abs().mean()))


def attention_case(name: str) -> Case:
    """Return one attention of the published ViT, by its memory or its speed."""
    torch.manual_seed(0)
    ours = SelfAttention(768, 12).eval()
    theirs, x = released(ours), torch.randn(1, 2049, 768)
    memory = name == "attention_memory"
    if memory:
        _quietly(ours, x)  # the libraries' own buffers come with the first products of a process
    return Case(
        suite="perceive",
        name=name,
        unit="MiB" if memory else "volumes/s",
        work=1,
        ours=partial(_quietly, ours, x),
        reference=partial(_quietly, theirs, x),
        equal=same,
        compares="memory" if memory else "speed",
    )


def encoder_case(name: str, questions: int, **sizes: Any) -> Case:
    """Return M3D-LaMed's perception of a volume that so many questions ask about."""
    torch.manual_seed(0)
    language = LanguageConfig(
        architecture={"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16}
        | {"num_attention_heads": 2, "num_key_value_heads": 2}
    )
    vision3d = ViT3DConfig(**({"layers": FEW_LAYERS} | sizes))
    model = M3DLaMed(vision3d, language=language, vocabulary=Vocabulary(8, 7, 0, 1))
    model.configure_model()
    studies = Studies([torch.rand(1, *vision3d.image)], torch.zeros(1, dtype=torch.long))
    encoder, grid = released(model.eval().vision3d), model.mm_projector

    def once() -> Tensor:
        percept = _quietly(model.perceive, studies)
        return percept.rows(torch.zeros(questions, dtype=torch.long)).features["tokens3d"]

    def again() -> Tensor:
        volume = studies.stacked()
        return torch.cat([grid.pooled(_quietly(encoder, volume)[:, 1:]) for _ in range(questions)])

    return Case("perceive", name, "questions/s", questions, once, again, same)


def mask_case() -> Case:
    """Return the masks of some classes of a volume: its image embedding once, or for every one."""
    torch.manual_seed(0)
    head = SegVolConfig(ViT3DConfig(image=(32, 128, 128))).build().eval()
    theirs = released(head)
    volume, prompts = torch.rand(1, 1, *head.config.vision3d.image), torch.randn(CLASSES, 768)

    def once() -> Tensor:
        embedding = _quietly(head.embed_volumes, volume)
        return torch.cat([_quietly(head.decode, embedding, prompt[None]) for prompt in prompts])

    def again() -> Tensor:
        return torch.cat([_quietly(theirs, volume, prompt[None]) for prompt in prompts])

    return Case("perceive", "mask_classes", "masks/s", CLASSES, once, again, same)


@torch.no_grad()
def _quietly(call: Any, *given: Any) -> Any:
    return call(*given)


def cases() -> Iterator[Case]:
    """Yield attention by memory and speed, the encoder of seven questions, and masks."""
    yield attention_case("attention_memory")
    yield attention_case("attention_speed")
    yield encoder_case("encoder_7_questions", QUESTIONS)
    yield mask_case()


def growth() -> Iterator[Case]:
    """Yield the encoder for more questions of a volume, and for more slices of 128 x 128."""
    for questions in (1, 2, 4, 8, 16):
        yield encoder_case(f"questions_{questions}", questions)
    for slices in (8, 16, 32, 64, 128):
        yield encoder_case(f"slices_{slices}", 1, image=(slices, 128, 128))
