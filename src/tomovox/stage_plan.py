"""What do all rows of an experiment share? Data, tokenizer, language model and encoders.

A stage lies in a folder named by the hash of everything that it depends on, so that it is made
again only when one of these changes. Stage names are the names of the model's parts: language,
vision3d, vision2d.
"""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tomovox.configuration import Config, merged
from tomovox.data.datamodule import M3DDataModule
from tomovox.data.experiment_data import DataSource
from tomovox.data.phantom import write_phantom
from tomovox.data.prompts import Template
from tomovox.data.sample import write_sample
from tomovox.data.tokenizer import build_word_tokenizer, save_tokenizer
from tomovox.progress import say
from tomovox.schema import TomovoxError

WEIGHTS = "model.safetensors"
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
        source = self.source
        if source.root is not None:
            return Path(source.root)
        if source.sample is not None:
            root = self.folder / f"sample-{key_of(source.sample.shape)}"
            if not (root / "sample.json").is_file():
                say("real scans: unpacking the sample")
                archives = source.sample.archives
                write_sample(root, source.sample.shape, Path(archives) if archives else None)
            return root
        if source.phantom is None:
            raise TomovoxError("data: no root, phantom or sample is given; name the data to use")
        arguments = asdict(source.phantom)
        root = self.folder / f"phantom-{key_of(arguments)}"
        if not (root / "phantom.json").is_file():
            say(f"phantom data: {arguments['cases']} cases")
            write_phantom(root, **arguments, workers=workers)
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
        """Return what the data are: the arguments that made them, or a digest of annotations."""
        if self.source.root is not None:
            return annotations_digest(root)
        if self.source.sample is not None:
            return ["sample", self.source.sample.shape]
        return asdict(self.source)

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
            data = config["data"]
            if name == "language":
                key += [Path(arguments["tokenizer"]).name]
                key += [data.get(k) for k in ("train_split", "tasks", "mix", "limit")]
            else:
                key += [data.get("train_split"), self.stages.finding_classes]
            folder = self.folder / f"{name}-{key_of(key)}"
            weights[name] = {"weights": str(folder)}
            jobs.append(
                StageJob(name, stage, config, folder, self.seed, self.stages.finding_classes)
            )
        return merged(config, {"model": {"init_args": weights}}), jobs


def annotations_digest(root: Path) -> str:
    """Return a digest of a root's tables and split files; reports and volumes are not read."""
    files = [*root.glob("M3D_Cap_npy/*.json"), *root.glob("M3D-VQA/*.csv")]
    files += [*root.glob("M3D_Seg_npy/*.json"), *root.glob("M3D_Seg_npy/*/*.json")]
    content = hashlib.blake2b(digest_size=16)
    for file in sorted(files):
        content.update(file.relative_to(root).as_posix().encode() + b"\0")
        content.update(file.read_bytes())
    return content.hexdigest()


def key_of(value: Any) -> str:
    """Return twelve hex digits of the content of a JSON-like value."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
