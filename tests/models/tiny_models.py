"""Tiny models and batches for the laws that every model inherits."""

from collections.abc import Callable
from pathlib import Path

import torch
from lightning import seed_everything

from tomovox.models.base import VolumeLM
from tomovox.models.floors import BlindLM
from tomovox.models.language import LanguageConfig
from tomovox.models.m3d_lamed import M3DLaMed
from tomovox.models.med2e3 import Med2E3
from tomovox.models.ms_vlm import MSVLM
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.vit3d import ViT3DConfig
from tomovox.models.weights import save_tensors
from tomovox.models.zformer import ZFormerConfig
from tomovox.schema import IGNORE, Batch, Questions, Record, Studies, Task, Vocabulary

QUESTIONS = [[5, 6, 7], [8, 9, 10, 11, 12], [13, 14], [5, 9, 30, 2]]
CLOSE = {"atol": 2e-5, "rtol": 1e-4}
VOCABULARY = Vocabulary(size=40, placeholder=39, pad=0, eos=1)
ARCHITECTURE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "tie_word_embeddings": True,
}


def language(**changes) -> LanguageConfig:
    return LanguageConfig(architecture=dict(ARCHITECTURE), **changes)


def vision3d(**changes) -> ViT3DConfig:
    sizes = {
        "image": (8, 16, 16),
        "patch": (2, 4, 4),
        "width": 32,
        "layers": 2,
        "heads": 2,
        "mlp": 48,
    }
    return ViT3DConfig(**(sizes | changes))


def vision2d(**changes) -> SliceEncoderConfig:
    return SliceEncoderConfig(**({"image": 16, "patch": 4, "width": 32} | changes))


def zformer(**changes) -> ZFormerConfig:
    return ZFormerConfig(**({"width": 32, "layers": 1, "heads": 2} | changes))


def trained_zformer(folder: Path, **changes) -> str:
    """Return a file of a Z-former's weights, for slice vectors as those of `vision2d`."""
    path = folder / "zformer/model.safetensors"
    save_tensors(zformer(**changes).build(vision2d().width).state_dict(), path)
    return str(path)


MAKERS: dict[str, Callable[..., VolumeLM]] = {
    "med2e3": lambda **k: Med2E3(**({"vision3d": vision3d(), "vision2d": vision2d()} | k)),
    "m3d_lamed": lambda **k: M3DLaMed(**({"vision3d": vision3d()} | k)),
    "ms_vlm": lambda **k: MSVLM(
        **({"vision2d": vision2d(), "zformer": zformer(), "latents": 4, "resampler_layers": 1} | k)
    ),
    "blind": lambda **k: BlindLM(**k),
}


def make(name: str, seed: int = 0, **changes) -> VolumeLM:
    """Return a configured model in eval mode, all weights drawn from `seed`."""
    seed_everything(seed, verbose=False)
    arguments = {"language": language(), "vocabulary": VOCABULARY, "max_new_tokens": 6}
    model = MAKERS[name](**(arguments | changes))
    model.configure_model()
    return model.eval()


def volumes(count: int, seed: int = 0, depth: int = 8) -> torch.Tensor:
    return torch.rand(count, 1, depth, 16, 16, generator=torch.Generator().manual_seed(seed))


def batch_of(
    voxels: list[torch.Tensor],
    study: list[int],
    rows: list[list[int]],
    answers: list[list[int]] | None,
    asks: list[int],
    left: bool = False,
    extra_padding: int = 0,
) -> Batch:
    """Return a batch of prompts `rows` (a placeholder is put first) and their `answers`."""
    prompts = [[VOCABULARY.placeholder, *row] for row in rows]
    whole = [p + (answers[i] if answers else []) for i, p in enumerate(prompts)]
    length = max(map(len, whole)) + extra_padding
    ids = torch.full((len(rows), length), VOCABULARY.pad)
    mask = torch.zeros(len(rows), length, dtype=torch.bool)
    labels = torch.full((len(rows), length), IGNORE)
    for i, row in enumerate(whole):
        span = slice(length - len(row), length) if left else slice(0, len(row))
        ids[i, span], mask[i, span] = torch.tensor(row), True
        if answers:
            labels[i, span] = torch.tensor([IGNORE] * len(prompts[i]) + answers[i])
    width = max(map(len, rows))
    question_ids = torch.tensor([r + [0] * (width - len(r)) for r in rows])
    question_mask = torch.tensor([[True] * len(r) + [False] * (width - len(r)) for r in rows])
    questions = Questions(["?"] * len(rows), question_ids, question_mask, torch.tensor(asks))
    records = [
        Record(f"vqa_open/test/{i:06d}", Task.VQA_OPEN, "test", "c", ("v",), "?", "!")
        for i in range(len(rows))
    ]
    studies = Studies(voxels, torch.tensor(study), [""] * len(voxels), [""] * len(voxels))
    return Batch(studies, questions, ids, mask, labels if answers else None, records)


def asked(
    voxels: list[torch.Tensor],
    rows: list[list[int]],
    asks: list[int],
    study: list[int] | None = None,
    **keys: int,
) -> Batch:
    """Return left-padded prompts about the studies `asks`; each series is a study unless given."""
    study = list(range(len(voxels))) if study is None else study
    return batch_of(voxels, study, rows, None, asks, left=True, **keys)


def last_logits(model: VolumeLM, batch: Batch) -> torch.Tensor:
    """Logits after the last prompt token of left-padded rows."""
    with torch.no_grad():
        return model(batch)[:, -1]
