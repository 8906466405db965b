"""How much less work is TG-IS than the released connector, for the same visual tokens?

Published size: 256 pooled 3D tokens of width 768, 32 slices of 256 tokens of width 1024, a question
of width 768, a language model of width 3072; one question of one volume unless said. The released
way projects all tokens by both Linears, joins 320 tokens to each of 32 keys, and multiplies every
projected slice by its score (score15); its BERT reads every question alone and padded to 512.

Letters: k 3D tokens, n slices, p tokens per slice.
"""

import ctypes
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import torch
from speed_case import Case
from torch import Tensor, nn

from tomovox.models.med2e3 import QuestionEncoder, QuestionEncoderConfig
from tomovox.models.projector import mlp
from tomovox.models.tgis import TextGuidedScoring
from tomovox.packaged import quiet_loading
from tomovox.schema import Questions

WIDTH, WIDTH_3D, WIDTH_2D, WIDTH_TEXT = 3072, 768, 1024, 768
SLABS, TOKENS_3D, TOKENS_2D = 4, 256, 256
LONGEST = 512
"""Tokens that the released way pads every question to."""

MAPPED_FROM = -3
"""glibc's M_MMAP_THRESHOLD."""

ASKED = (9, 12, 9, 21, 12, 9, 15)
"""Tokens of the seven questions of a volume; those of one length are the same question."""


class Connector(nn.Module):
    """Both connectors and TG-IS at the published size, with weights and inputs from one seed."""

    def __init__(self, slices: int = 32, questions: int = 1):
        super().__init__()
        torch.manual_seed(0)
        self.three, self.two = mlp(WIDTH_3D, WIDTH), mlp(WIDTH_2D, WIDTH)
        self.tgis = TextGuidedScoring(WIDTH_TEXT, WIDTH)
        self.tokens3d = torch.randn(1, TOKENS_3D, WIDTH_3D)
        self.tokens2d = torch.randn(1, slices, TOKENS_2D, WIDTH_2D)
        # Long enough for scores that differ from slice to slice.
        self.text = 8 * torch.randn(questions, WIDTH_TEXT)
        self.eval()

    @torch.no_grad()
    def ours(self) -> tuple[Tensor, Tensor]:
        """Return the visual tokens and scores of all questions, as Med2E3 makes them."""
        three = self.three(self.tokens3d)
        study = torch.zeros(len(self.text), dtype=torch.long)
        slabs = three.unflatten(1, (SLABS, -1))
        own, scores = self.tgis(slabs, self.tokens2d, self.two, self.text, study)
        return torch.cat([three[study], own], dim=1), scores

    @torch.no_grad()
    def released(self) -> tuple[Tensor, Tensor]:
        """Return the same, one question after the other."""
        tokens, scores = zip(*(self._asked(text[None]) for text in self.text), strict=True)
        return torch.cat(tokens), torch.cat(scores)

    def _asked(self, text: Tensor) -> tuple[Tensor, Tensor]:
        three, two = self.three(self.tokens3d), self.two(self.tokens2d)
        n = two.shape[1]
        keys = three.unflatten(1, (SLABS, -1)).repeat_interleave(n // SLABS, dim=1)
        keys = torch.cat([keys, two], dim=2)
        query = self.tgis.text_mlp(text)
        scores = (torch.bmm(keys.mean(2), query[..., None])[..., 0] / 5.0).softmax(-1)
        own = (two * scores[..., None, None]).sum(1)
        return torch.cat([three, own], dim=1), scores


def same(ours: tuple[Tensor, ...], released: tuple[Tensor, ...]) -> bool:
    """Return whether all tensors agree to 1e-4 of a typical value, the rounding of long sums."""
    return all(
        torch.allclose(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().mean()))
        for a, b in zip(ours, released, strict=True)
    )


def products_per_second(seconds: float = 1.0) -> float:
    """Return the FLOPs per second of large float32 products: the best of those within a second."""
    a, b = torch.randn(2048, WIDTH), torch.randn(WIDTH, WIDTH)
    best, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * a.numel() * WIDTH / best


def least_products(slices: int = 32) -> float:
    """Return the FLOPs of the products that no order of the work can leave out."""
    three = TOKENS_3D * WIDTH * (WIDTH_3D + WIDTH)
    two = TOKENS_2D * WIDTH * (slices * WIDTH_2D + WIDTH)
    return 2.0 * (three + two)


def connector_case(
    name: str,
    compares: Literal["speed", "memory"] = "speed",
    slices: int = 32,
    questions: int = 1,
) -> Case:
    """Return the case of one volume with so many slices and questions."""
    both = Connector(slices, questions)
    speed = compares == "speed"
    if not speed:
        given_back(both.ours)  # libraries' own buffers come with the first products of a process
    call = partial if speed else partial(partial, given_back)
    return Case(
        suite="tgis",
        name=name,
        unit="questions/s" if speed else "MiB",
        work=questions,
        ours=call(both.ours),
        reference=call(both.released),
        equal=same,
        limit=(lambda: products_per_second() / least_products()) if name == "connector" else None,
        compares=compares,
    )


def given_back(call: Callable[[], Any]) -> Any:
    """Call while memory of 1 MiB on goes back to the system when it is freed.

    Otherwise up to 40 MiB that the C library keeps for later would count, more or less by chance.
    """
    allocator = ctypes.CDLL("libc.so.6")
    allocator.mallopt(MAPPED_FROM, 1 << 20)
    try:
        return call()
    finally:
        allocator.mallopt(MAPPED_FROM, 32 << 20)  # where glibc itself ends in the long run


class Asked(NamedTuple):
    """A BERT of the published size and what it is asked."""

    encoder: QuestionEncoder
    questions: Questions

    @torch.no_grad()
    def ours(self) -> tuple[Tensor]:
        """Return the vectors of all questions, each distinct one read once."""
        return (self.encoder(self.questions, self.encoder),)

    @torch.no_grad()
    def released(self) -> tuple[Tensor]:
        """Return the same, each question alone and padded to 512 tokens."""
        vectors = []
        for ids, mask in zip(self.questions.ids, self.questions.mask, strict=True):
            empty = LONGEST - len(ids)
            padded = nn.functional.pad(ids, (0, empty))[None]
            seen = nn.functional.pad(mask.long(), (0, empty))[None]
            vectors.append(self.encoder.body(padded, attention_mask=seen).pooler_output)
        return (torch.cat(vectors),)


def asked() -> Asked:
    """Return seven questions, four of them distinct, and BERT-base with random weights."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    with TemporaryDirectory() as folder, quiet_loading():
        BertModel(BertConfig()).save_pretrained(Path(folder))
        encoder = QuestionEncoder(QuestionEncoderConfig("pooler", folder), WIDTH).eval()
    for parameter in encoder.parameters():
        parameter.data = (
            parameter.data.clone()
        )  # a mapped file is read into memory by the first use
    said = {length: torch.randint(1000, 30000, (length,)) for length in sorted(set(ASKED))}
    ids = nn.utils.rnn.pad_sequence([said[length] for length in ASKED], batch_first=True)
    mask = torch.arange(ids.shape[1]) < torch.tensor(ASKED)[:, None]
    study = torch.zeros(len(ASKED), dtype=torch.long)
    return Asked(encoder, Questions([""] * len(ASKED), ids, mask, study))


def question_case() -> Case:
    """Return the case of the question encoder."""
    both = asked()
    return Case(
        suite="tgis",
        name="question_encoder",
        unit="questions/s",
        work=len(ASKED),
        ours=both.ours,
        reference=both.released,
        equal=same,
    )


def cases() -> Iterator[Case]:
    """Yield the connector by speed and by memory, then the question encoder."""
    yield connector_case("connector")
    yield connector_case("connector_memory", "memory")
    yield question_case()


def growth() -> Iterator[Case]:
    """Yield the connector for more questions of a volume, and for more slices."""
    for questions in (1, 2, 4, 8, 16):
        yield connector_case(f"questions_{questions}", questions=questions)
    for slices in (8, 16, 32, 64, 128):
        yield connector_case(f"slices_{slices}", slices=slices)
