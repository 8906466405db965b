"""What does a step of training cost, and how much of it is needless?

stage1_step: the first stage trains the bridge alone. The released way encodes the 8 volumes of a
batch again in every step; ours finds their percepts on disk (`model.percepts`), by a digest of the
voxels that it takes in every step. M3D-LaMed: the published 3D ViT before a Llama of width 576 and
4 layers, rows of 64 text tokens, bfloat16 on both sides, one optimiser step. The reference here has
our fused attention; the released encoder's, which is materialised, is slower. A processor that has
no instructions for bfloat16 takes minutes for a step of the reference: stage1_step_float32 is the
same in float32.
padding: rows of 64 text tokens, padded to 512 as released, or to the longest; percepts kept,
float32.
question_groups: 6 questions about each of 4 volumes in one step of a small encoder that trains, or
as 6 batches, each of which perceives the volumes again; the gradients are those of the same mean.

Both ways start from the same weights in every call (the rate is 0) and are compared by loss and
gradients, to 2 % where they compute in bfloat16: a kept percept was made from its volume alone.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import torch
from lightning import seed_everything
from speed_case import Case
from torch import Tensor

from tomovox.models.base import VolumeLM
from tomovox.models.language import LanguageConfig
from tomovox.models.m3d_lamed import M3DLaMed
from tomovox.models.percepts import PerceptsConfig
from tomovox.models.vit3d import ViT3DConfig
from tomovox.schema import IGNORE, Batch, Questions, Record, Studies, Task, Vocabulary

IMAGE = ViT3DConfig().image
BATCH, TEXT, ANSWER, PADDED = 8, 64, 16, 512
VOCABULARY = Vocabulary(size=49152, placeholder=49151, pad=0, eos=1)
SMALL = ViT3DConfig((16, 64, 64), (4, 16, 16), width=192, layers=4, heads=3, mlp=768, frozen=False)
GROUP, STUDIES = 6, 4


def cases() -> Iterator[Case]:
    """Yield the cases of training, the slowest last."""
    yield groups(GROUP, "question_groups")
    for dtype, name, share in (
        (torch.float32, "stage1_step_float32", 1e-3),
        (torch.bfloat16, "stage1_step", 2e-2),
    ):
        with tempfile.TemporaryDirectory() as folder:
            kept = first_stage(PerceptsConfig(folder), dtype)
            again = first_stage(None, dtype)
            batch, long = (batch_of(IMAGE, range(BATCH), length) for length in (TEXT, PADDED))
            step(kept, [batch])  # fills the folder
            cached = partial(step, kept, [batch])
            one_step = partial(Case, suite="train", unit="steps/s", work=1, equal=close(share))
            if dtype == torch.float32:
                padded = partial(step, kept, [long])
                yield one_step(name="padding", ours=cached, reference=padded)
            yield one_step(name=name, ours=cached, reference=partial(step, again, [batch]))


def growth() -> Iterator[Case]:
    """Yield a step of 1 to 16 questions about each volume."""
    for count in (1, 2, 4, 8, 16):
        yield groups(count, f"questions_{count}")


def groups(count: int, name: str) -> Case:
    """Return the case of `count` questions about each volume, in one step or in as many parts."""
    model = built(SMALL, None, layers=2, stage="instruct")
    whole = batch_of(SMALL.image, [row for row in range(STUDIES) for _ in range(count)])
    parts = [part_of(whole, range(k, count * STUDIES, count)) for k in range(count)]
    return Case(
        *("train", name, "answers/s", count * STUDIES),
        ours=lambda: step(model, [whole]),
        reference=lambda: step(model, parts),
        equal=close(1e-3),
    )


def first_stage(percepts: PerceptsConfig | None, dtype: torch.dtype) -> VolumeLM:
    """Return the model of the first stage in `dtype`; the bridge, which trains, in float32."""
    model = built(ViT3DConfig(), percepts, layers=4, stage="align")
    for part in (model.vision3d, model.language):
        part.to(dtype)
    return model


def built(
    encoder: ViT3DConfig, percepts: PerceptsConfig | None, layers: int, stage: str
) -> VolumeLM:
    """Return M3D-LaMed with drawn weights, the same for the same sizes."""
    sizes = {
        **{"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": layers},
        **{"num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True},
    }
    seed_everything(0, verbose=False)
    model = M3DLaMed(
        vision3d=encoder,
        language=LanguageConfig(architecture=sizes, train="frozen"),
        vocabulary=VOCABULARY,
        stage=stage,
        percepts=percepts,
    )
    model.configure_model()
    return model.train()


def step(model: VolumeLM, parts: Sequence[Batch]) -> Tensor:
    """Return loss and gradients of one optimiser step over batches of equal size."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.0, weight_decay=0.0)
    half = model.language.dtype == torch.bfloat16
    losses = []
    for part in parts:
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            loss, _ = model.language.loss(model.read(part)[0])
        (loss / len(parts)).backward()
        losses.append(loss.detach())
    optimizer.step()
    gradients = [weight.grad.flatten() for weight in trained if weight.grad is not None]
    optimizer.zero_grad()
    return torch.cat([torch.stack(losses).mean()[None], *gradients])


def close(share: float) -> Callable[[Tensor, Tensor], bool]:
    """Return a comparison: the loss and the gradients differ by at most this share."""

    def equal(a: Tensor, b: Tensor) -> bool:
        same_loss = bool((a[0] - b[0]).abs() <= share * b[0].abs())
        return same_loss and float((a[1:] - b[1:]).norm()) <= share * float(b[1:].norm())

    return equal


def batch_of(image: tuple[int, int, int], asks: Sequence[int], length: int = TEXT) -> Batch:
    """Return rows of TEXT tokens, padded to `length`, about the volumes `asks`; all seeded."""
    draws = torch.Generator().manual_seed(0)
    voxels = list(torch.rand(max(asks) + 1, 1, *image, generator=draws))
    rows = len(asks)
    text = torch.randint(2, VOCABULARY.size - 1, (rows, TEXT), generator=draws)
    text[:, 0] = VOCABULARY.placeholder
    ids = torch.full((rows, length), VOCABULARY.pad)
    labels = torch.full((rows, length), IGNORE)
    ids[:, :TEXT], labels[:, TEXT - ANSWER : TEXT] = text, text[:, TEXT - ANSWER :]
    study = torch.tensor(asks)
    seen = (torch.arange(length) < TEXT).expand(rows, -1)
    question = text[:, 1 : TEXT - ANSWER]
    questions = Questions(["?"] * rows, question, torch.ones_like(question).bool(), study)
    records = [
        Record(f"vqa_open/train/{k:06d}", Task.VQA_OPEN, "train", "c", ("v",), "?", "!")
        for k in range(rows)
    ]
    none = [""] * len(voxels)
    studies = Studies(voxels, torch.arange(len(voxels)), none, list(none))
    return Batch(studies, questions, ids, seen, labels, records)


def part_of(batch: Batch, rows: Sequence[int]) -> Batch:
    """Return some questions of a batch, about all of its volumes."""
    kept = torch.tensor(list(rows))
    assert batch.labels is not None
    asked = batch.questions
    return replace(
        batch,
        questions=Questions(
            [asked.text[row] for row in rows], asked.ids[kept], asked.mask[kept], asked.study[kept]
        ),
        input_ids=batch.input_ids[kept],
        attention_mask=batch.attention_mask[kept],
        labels=batch.labels[kept],
        records=[batch.records[row] for row in rows],
    )
