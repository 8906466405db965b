"""What do all rows of an experiment share? Data, tokenizer, language model and encoders.

A stage lies in a folder named by the hash of everything that it depends on, so that it is made
again only when one of these changes. Stage names are the names of the model's parts: language,
vision3d, vision2d.
"""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer, seed_everything
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from tomovox.configuration import Config, instantiate, merged
from tomovox.data.datamodule import TASKS, M3DDataModule
from tomovox.data.experiment_data import DataSource, SampleData
from tomovox.data.phantom import write_phantom
from tomovox.data.prompts import Template
from tomovox.data.records import read_records
from tomovox.data.sample import write_sample
from tomovox.data.supervision import FindingMasks, VisionDataset, answer_heads, finding_masks
from tomovox.data.tokenizer import build_word_tokenizer, save_tokenizer
from tomovox.models.pretraining import UNKNOWN, VisionBatch, VisionPretraining
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.vit3d import ViT3DConfig
from tomovox.models.weights import untied_state
from tomovox.progress import PLAIN_TRAINER, fit, say
from tomovox.schema import Task, TomovoxError, write_atomically

WEIGHTS = "model.safetensors"
FACT_LAYOUT = "<image>{fact}. {question} Answer:"
LATER = ("weights", "frozen", "train", "tap", "lora")
"""Settings of a part that do not change what its shared stage makes."""


@dataclass
class LanguageStage:
    """Teach a new language model to answer from text: series name and report, no image."""

    fact_steps: int = 200
    max_steps: int = 80
    batch_size: int = 8
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


@dataclass
class StageJob:
    """One shared stage to make: what, with which model's config, and where its weights go."""

    name: str
    stage: LanguageStage | VisionStage
    config: Config
    folder: Path
    seed: int
    finding_classes: list[str] | None
    quiet: bool = False

    @property
    def done(self) -> bool:
        """Whether the weights are there."""
        return (self.folder / WEIGHTS).is_file()


class StagePlan:
    """Where the shared things of an experiment lie under `folder`, and how to make them."""

    def __init__(self, folder: Path, source: DataSource, stages: SharedStages, seed: int):
        self.folder, self.source, self.stages, self.seed = folder, source, stages, seed

    def data_root(self, workers: int) -> Path:
        """Return the data root; phantom and sample are written once per set of arguments."""
        if self.source.root is not None:
            return Path(self.source.root)
        if self.source.sample is not None:
            return self._sample(self.source.sample)
        if self.source.phantom is None:
            raise TomovoxError("data: no root, phantom or sample is given; name the data to use")
        arguments = asdict(self.source.phantom)
        root = self.folder / f"phantom-{key_of(arguments)}"
        if not (root / "phantom.json").is_file():
            say(f"phantom data: {arguments['cases']} cases")
            write_phantom(root, **arguments, workers=workers)
        return root

    def _sample(self, sample: SampleData) -> Path:
        root = self.folder / f"sample-{key_of(sample.shape)}"
        if not (root / "sample.json").is_file():
            say("real scans: unpacking the sample")
            write_sample(root, sample.shape, Path(sample.archives) if sample.archives else None)
        return root

    def tokenizer(self, root: Path) -> Path:
        """Return the folder of the word tokenizer of the training texts."""
        folder = self.folder / f"tokenizer-{key_of(self._data_key(root))}"
        if not folder.is_dir():
            temporary = folder.with_name(f".{folder.name}.tmp")
            shutil.rmtree(temporary, ignore_errors=True)
            datamodule = M3DDataModule(str(root), Template())
            save_tokenizer(build_word_tokenizer(datamodule.train_texts()), temporary)
            temporary.rename(folder)
        return folder

    def _data_key(self, root: Path) -> Any:
        if self.source.sample and self.source.root is None:
            return ["sample", self.source.sample.shape]
        return asdict(self.source.phantom) if self.source.phantom else str(root)

    def resolve(self, config: Config, root: Path) -> tuple[Config, list[StageJob]]:
        """Return the config with data root, tokenizer and shared weights filled in, and the jobs.

        A part gets a stage when the experiment has one of its name and the model's YAML names no
        weights for it.
        """
        template = {"class_path": "tomovox.data.prompts.Template", "init_args": {}}
        config = merged({"data": {"template": template}}, config, {"data": {"root": str(root)}})
        arguments = config["data"]["template"]["init_args"]
        if self.stages.tokenizer and not arguments.get("tokenizer"):
            arguments = {**arguments, "tokenizer": str(self.tokenizer(root))}
            config = merged(config, {"data": {"template": {"init_args": arguments}}})
        parts: Config = config["model"].get("init_args", {})
        weights, jobs = {}, []
        for name in ("language", "vision3d", "vision2d"):
            stage, part = getattr(self.stages, name), parts.get(name)
            if stage is None or part is None or part.get("weights") or part.get("name"):
                continue
            given = {k: v for k, v in part.items() if k not in LATER}
            key = [name, given, asdict(stage), self._data_key(root), self.seed]
            if name == "language":
                key += [Path(arguments["tokenizer"]).name]
            folder = self.folder / f"{name}-{key_of(key)}"
            weights[name] = {"weights": str(folder)}
            jobs.append(
                StageJob(name, stage, config, folder, self.seed, self.stages.finding_classes)
            )
        return merged(config, {"model": {"init_args": weights}}), jobs


def make_stage(job: StageJob) -> None:
    """Train one shared stage and write its weights and stage.json (last losses, seconds)."""
    start = time.perf_counter()
    say(f"shared stage {job.name}: {job.stage.max_steps} steps")
    if isinstance(job.stage, LanguageStage):
        part, figures = _language(job, job.stage)
    else:
        part, figures = _vision(job, job.stage)
    figures["seconds"] = round(time.perf_counter() - start, 1)
    job.folder.mkdir(parents=True, exist_ok=True)
    write_atomically(job.folder / "stage.json", json.dumps(figures, indent=1) + "\n")
    save_stage(part, job.folder)
    say(f"shared stage {job.name}: " + ", ".join(f"{k} {v}" for k, v in figures.items()))


def _language(job: StageJob, stage: LanguageStage) -> tuple[torch.nn.Module, dict[str, float]]:
    """Train on single facts first, then on whole reports; both stand where the image will."""
    language = {k: v for k, v in job.config["model"]["init_args"]["language"].items()}
    language.pop("train", None)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for layout, steps, tasks in (
            (FACT_LAYOUT, stage.fact_steps, ["vqa_closed", "vqa_open"]),
            (stage.layout, stage.max_steps, job.config["data"].get("tasks")),
        ):
            if steps == 0:
                continue
            data = merged(
                job.config["data"],
                {
                    "template": {"init_args": {"layout": layout}},
                    "batch_size": stage.batch_size,
                    "questions_per_study": stage.questions_per_study,
                    "shuffle_choices": True,
                },
                {"tasks": tasks} if tasks else {},
            )
            data["mix"] = {
                k: v for k, v in (data.get("mix") or {}).items() if k in (tasks or TASKS)
            }
            optimizer = {"lr": stage.lr, "weight_decay": 0.01, "betas": [0.9, 0.98]}
            optimizer |= {"warmup": 0.1, "floor": 0.1}
            model = {
                "class_path": "tomovox.models.floors.BlindLM",
                "init_args": {"language": language, "optimizer": optimizer},
            }
            config = {"seed_everything": job.seed, "model": model, "data": data}
            cli = instantiate(
                config | {"trainer": trainer_arguments(steps, job.quiet)}, "shared stage language"
            )
            figures |= fit(cli.trainer, cli.model, "language", job.quiet, datamodule=cli.datamodule)
            save_stage(cli.model.language, Path(scratch))
            language = {**language, "weights": scratch}
        return cli.model.language, figures


def _vision(job: StageJob, stage: VisionStage) -> tuple[torch.nn.Module, dict[str, float]]:
    arguments = dict(job.config["model"]["init_args"][job.name])
    arguments.pop("weights", None)
    made_by = ViT3DConfig if job.name == "vision3d" else SliceEncoderConfig
    try:
        encoder = made_by(**_tuples(arguments))
    except TypeError as error:
        raise TomovoxError(f"model.init_args.{job.name}: {error}") from None
    seed_everything(job.seed, verbose=False)
    data = job.config["data"]
    root = Path(data["root"])
    records = read_records(root, Task.VQA_CLOSED, data.get("train_split", "train"))
    heads = answer_heads(records)
    masks = finding_masks(root, job.finding_classes) if stage.boxes else FindingMasks([], {})
    classes = len(masks.classes) + 1 if masks.classes else 0
    module = VisionPretraining(encoder, heads.sizes, classes, lr=stage.lr)
    loader: DataLoader[Any] = DataLoader(
        VisionDataset(root, records, heads, masks),  # type: ignore[arg-type]
        batch_size=stage.batch_size,
        shuffle=True,
        drop_last=True,
        collate_fn=collate_vision,
        generator=torch.Generator().manual_seed(job.seed),
    )
    trainer = Trainer(**trainer_arguments(stage.max_steps, job.quiet))
    figures = fit(trainer, module, job.name, job.quiet, train_dataloaders=loader)
    return module.encoder, figures


def trainer_arguments(steps: int, quiet: bool) -> Config:
    """Return the arguments of a trainer of a shared stage."""
    return {
        "max_steps": steps,
        "max_epochs": -1,
        "accelerator": "auto",
        "devices": 1,
        "gradient_clip_val": 1.0,
        **PLAIN_TRAINER,
        "enable_progress_bar": not quiet,
    }


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
