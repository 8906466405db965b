"""What do all rows of an experiment share? Data, tokenizer, language model and encoders.

A stage lies in a folder named by the hash of everything that it depends on, so that it is made
again only when one of these changes. Stage names are the names of the model's parts: language,
vision3d, vision2d.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer, seed_everything
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from tomovox.configuration import Config, instantiate, merged
from tomovox.data.datamodule import M3DDataModule
from tomovox.data.phantom import write_phantom
from tomovox.data.prompts import Template
from tomovox.data.records import read_records
from tomovox.data.supervision import FindingMasks, VisionDataset, answer_heads, finding_masks
from tomovox.data.tokenizer import build_word_tokenizer, save_tokenizer
from tomovox.models.pretraining import UNKNOWN, VisionBatch, VisionPretraining
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.vit3d import ViT3DConfig
from tomovox.models.weights import untied_state
from tomovox.schema import Task, TomovoxError, write_atomically


@dataclass
class PhantomData:
    """Arguments of `tomovox data phantom`."""

    cases: int = 200
    seed: int = 0
    shape: tuple[int, int, int] = (32, 64, 64)
    difficulty: str = "base"
    test_cases: int | None = None
    val_cases: int | None = None
    series: int = 2


@dataclass
class DataSource:
    """Where the data come from: a folder that exists, or a phantom made for the experiment."""

    root: str | None = None
    phantom: PhantomData | None = None


@dataclass
class LanguageStage:
    """Teach a new language model to answer from text: series name and report, no image."""

    max_steps: int = 250
    batch_size: int = 16
    questions_per_study: int = 6
    lr: float = 1e-3
    layout: str = "<image>{context} {question} Answer:"


@dataclass
class VisionStage:
    """Teach an encoder to see: answers to training questions and, with `boxes`, findings."""

    max_steps: int = 200
    batch_size: int = 16
    lr: float = 1e-3
    boxes: bool = True


@dataclass
class SharedStages:
    """Stages to make; a part whose stage is absent keeps the weights that its YAML says."""

    tokenizer: bool = True
    language: LanguageStage | None = None
    vision3d: VisionStage | None = None
    vision2d: VisionStage | None = None
    finding_classes: list[str] | None = field(default=None)


Say = Callable[[str], None]


class StageMaker:
    """Make what is missing under `folder` and tell where it lies."""

    def __init__(self, folder: Path, source: DataSource, stages: SharedStages, seed: int, say: Say):
        self.folder, self.source, self.stages = folder, source, stages
        self.seed, self.say = seed, say

    # ---- data ------------------------------------------------------------------------------

    def data_root(self) -> Path:
        """Return the data root; a phantom is written once per set of its arguments."""
        if self.source.root is not None:
            return Path(self.source.root)
        if self.source.phantom is None:
            raise TomovoxError("data: neither root nor phantom is given; name the data to use")
        arguments = asdict(self.source.phantom)
        root = self.folder / f"phantom-{key_of(arguments)}"
        if not (root / "phantom.json").is_file():
            self.say(f"phantom data: {arguments['cases']} cases")
            write_phantom(root, **arguments, workers=max(1, (torch.get_num_threads())))
        return root

    def tokenizer(self, config: Config) -> Path:
        """Return the folder of the word tokenizer of the training texts."""
        root = str(self.data_root())
        folder = self.folder / f"tokenizer-{key_of(self._data_key(root))}"
        if not folder.is_dir():
            datamodule = M3DDataModule(root, Template())
            temporary = folder.with_name(f".{folder.name}.tmp")
            shutil.rmtree(temporary, ignore_errors=True)
            save_tokenizer(build_word_tokenizer(datamodule.train_texts()), temporary)
            temporary.rename(folder)
        return folder

    def _data_key(self, root: str) -> Any:
        return asdict(self.source.phantom) if self.source.phantom else root

    # ---- trained stages --------------------------------------------------------------------

    def resolve(self, config: Config) -> Config:
        """Return the config with data root, tokenizer and weights of shared stages filled in."""
        root = str(self.data_root())
        config = merged(config, {"data": {"root": root}})
        template = config["data"].setdefault(
            "template", {"class_path": "tomovox.data.prompts.Template"}
        )
        arguments = template.setdefault("init_args", {})
        if self.stages.tokenizer and not arguments.get("tokenizer"):
            arguments["tokenizer"] = str(self.tokenizer(config))
        parts = config["model"].setdefault("init_args", {})
        for name, make in (
            ("language", self._language),
            ("vision3d", self._vision),
            ("vision2d", self._vision),
        ):
            stage = getattr(self.stages, name)
            part = parts.get(name)
            if stage is None or part is None or part.get("weights") or part.get("name"):
                continue
            later = ("weights", "frozen", "train", "tap")
            given = {k: v for k, v in part.items() if k not in later}
            tokenizer = arguments["tokenizer"][-12:]
            key = key_of([name, given, asdict(stage), self._data_key(root), tokenizer, self.seed])
            folder = self.folder / f"{name}-{key}"
            if not (folder / "model.safetensors").is_file():
                make(name, stage, config, folder)
            parts[name] = {**part, "weights": str(folder)}
        return config

    def _language(self, name: str, stage: LanguageStage, config: Config, folder: Path) -> None:
        template = merged(config["data"]["template"], {"init_args": {"layout": stage.layout}})
        language = dict(config["model"]["init_args"]["language"])
        language.pop("train", None)
        cli = instantiate(
            {
                "seed_everything": self.seed,
                "model": {
                    "class_path": "tomovox.models.floors.BlindLM",
                    "init_args": {
                        "language": language,
                        "optimizer": {
                            "lr": stage.lr,
                            "weight_decay": 0.01,
                            "betas": [0.9, 0.98],
                            "warmup": 0.1,
                            "floor": 0.1,
                        },
                    },
                },
                "data": {
                    **config["data"],
                    "template": template,
                    "batch_size": stage.batch_size,
                    "questions_per_study": stage.questions_per_study,
                },
                "trainer": self._trainer_arguments(stage.max_steps),
            },
            f"stage {name}",
        )
        self._fit(name, cli.trainer, cli.model, folder, datamodule=cli.datamodule)
        save_stage(cli.model.language, folder)

    def _vision(self, name: str, stage: VisionStage, config: Config, folder: Path) -> None:
        arguments = {k: v for k, v in config["model"]["init_args"][name].items() if k != "weights"}
        encoder = (ViT3DConfig if name == "vision3d" else SliceEncoderConfig)(**_tuples(arguments))
        seed_everything(self.seed, verbose=False)
        root = self.data_root()
        split = config["data"].get("train_split", "train")
        records = read_records(root, Task.VQA_CLOSED, split)
        heads = answer_heads(records)
        masks = (
            finding_masks(root, self.stages.finding_classes)
            if stage.boxes
            else FindingMasks([], {})
        )
        classes = len(masks.classes) + 1 if masks.classes else 0
        module = VisionPretraining(encoder, heads.sizes, classes, lr=stage.lr)
        loader: DataLoader[Any] = DataLoader(
            VisionDataset(root, records, heads, masks),  # type: ignore[arg-type]
            batch_size=stage.batch_size,
            shuffle=True,
            drop_last=True,
            collate_fn=collate_vision,
            generator=torch.Generator().manual_seed(self.seed),
        )
        trainer = Trainer(**self._trainer_arguments(stage.max_steps))
        self._fit(name, trainer, module, folder, train_dataloaders=loader)
        save_stage(module.encoder, folder)

    def _trainer_arguments(self, steps: int) -> Config:
        return {
            "max_steps": steps,
            "accelerator": "auto",
            "devices": 1,
            "gradient_clip_val": 1.0,
            "logger": False,
            "enable_checkpointing": False,
            "enable_model_summary": False,
            "limit_val_batches": 0,
            "num_sanity_val_steps": 0,
        }

    def _fit(
        self, name: str, trainer: Trainer, module: LightningModule, folder: Path, **data: Any
    ) -> None:
        self.say(f"shared stage {name}: {trainer.max_steps} steps")
        start = time.perf_counter()
        trainer.fit(module, **data)
        figures = {k: round(float(v), 4) for k, v in trainer.callback_metrics.items()}
        figures["seconds"] = round(time.perf_counter() - start, 1)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "stage.json", json.dumps(figures, indent=1) + "\n")
        self.say(f"shared stage {name}: " + ", ".join(f"{k} {v}" for k, v in figures.items()))


def save_stage(module: torch.nn.Module, folder: Path) -> None:
    """Write a part's weights as model.safetensors, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / ".model.tmp"
    save_file({k: v.contiguous() for k, v in untied_state(module).items()}, temporary)
    temporary.replace(folder / "model.safetensors")


def collate_vision(items: Iterable[tuple[Any, Any, Any]]) -> VisionBatch:
    """Stack volumes, answers and finding labels; a volume without mask is all UNKNOWN."""
    rows = list(items)
    findings = [
        torch.full(voxels.shape[1:], UNKNOWN, dtype=torch.uint8)
        if labels is None
        else torch.from_numpy(labels)
        for voxels, _, labels in rows
    ]
    return VisionBatch(
        torch.stack([torch.from_numpy(voxels) for voxels, _, _ in rows]),
        torch.stack([torch.from_numpy(answers) for _, answers, _ in rows]),
        torch.stack(findings),
    )


def key_of(value: Any) -> str:
    """Return twelve hex digits of the content of a JSON-like value."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _tuples(arguments: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
