"""What do all rows of an experiment share? Data, tokenizer, language model and encoders.

A stage lies in a folder named by the hash of everything that it depends on, so that it is made
again only when one of these changes. Stage names are the names of the model's parts: language,
vision3d, vision2d, zformer, mask_head. A stage that reads what another made comes after it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tomovox.configuration import Config, merged
from tomovox.data.datamodule import M3DDataModule
from tomovox.data.experiment_data import DataSource
from tomovox.data.phantom import write_phantom
from tomovox.data.phantom_ct_rate import write_prepared_ct_rate
from tomovox.data.prompts import Template
from tomovox.data.question_templates import read_templates
from tomovox.data.root_layout import CT_RATE, M3D
from tomovox.data.sample import write_sample
from tomovox.data.tokenizer import build_word_tokenizer, save_tokenizer
from tomovox.models.weights import WEIGHTS_FILE, weights_file
from tomovox.progress import say
from tomovox.schema import TomovoxError
from tomovox.stage_kinds import SelfDistillationStage, SharedStages, Stage, VisionStage

PARTS = ("language", "vision3d", "vision2d", "zformer", "mask_head")
"""Parts of a model that a shared stage may make."""

VERSION = 1
"""Raised when the way a stage is made changes: older folders are then not taken for it."""

READ_BY_LANGUAGE = ("template", "tasks", "mix", "train_split", "limit", "on_bad_volume", "prompts")
READ_BY_VISION = ("train_split", "limit", "on_bad_volume")
READ_BY_ZFORMER = (*READ_BY_VISION, "series", "tell_series")
LATER = ("weights", "frozen", "train", "tap", "lora")
"""Settings of a part that do not change what its shared stage makes."""


ARRAYS = (".npy", ".npz")
"""Files of volumes and masks, too many to read them all whenever a run begins."""


@dataclass
class StageJob:
    """One shared stage to make: of which part, on which data, and where its weights go.

    `needs` are the folders of the stages that must be made before it.
    """

    name: str
    stage: Stage
    part: Config
    data: Config
    folder: Path
    seed: int
    finding_classes: list[str] | None
    needs: frozenset[str] = frozenset()
    quiet: bool = False
    checkpoint_minutes: float = 10.0

    @property
    def done(self) -> bool:
        """Whether the weights are there."""
        return (self.folder / WEIGHTS_FILE).is_file()


class StagePlan:
    """Where the shared things of an experiment lie under `folder`, and how to make them."""

    def __init__(
        self, folder: Path, source: DataSource, stages: SharedStages, seed: int, threads: int = 1
    ):
        self.folder, self.source, self.stages = folder, source, stages
        self.seed, self.threads = seed, threads
        self._digest: str | None = None

    def data_root(self, workers: int) -> Path:
        """Return the data root; phantom and sample are written once per set of arguments."""
        source = self.source
        if source.root is not None:
            return Path(source.root).absolute()
        if source.sample is not None:
            root = self.folder / f"sample-{key_of(source.sample.names())}"
            if not (root / "sample.json").is_file():
                say("real scans: unpacking the sample")
                given = source.sample
                archives = Path(given.archives) if given.archives else None
                write_sample(root, given.shape, archives, native=given.native)
            return root
        if source.phantom is None:
            raise TomovoxError("data: no root, phantom or sample is given; name the data to use")
        arguments = source.phantom.arguments()
        root = self.folder / f"phantom-{key_of(arguments)}"
        if not (root / "phantom.json").is_file():
            say(f"phantom data: {arguments['cases']} cases")
            if arguments.pop("layout", M3D) == CT_RATE:
                raw = root.with_name(f"{root.name}-downloaded")
                write_prepared_ct_rate(root, raw, workers, **arguments)
            else:
                write_phantom(root, **arguments, workers=workers)
        return root

    def tokenizer(self, root: Path, data: Config) -> Path:
        """Return the folder of the word tokenizer of the training texts."""
        chosen = {k: data[k] for k in ("tasks", "train_split", "prompts") if data.get(k)}
        folder = self.folder / f"tokenizer-{key_of([self.data_key(root, data), chosen])}"
        if not folder.is_dir():
            datamodule = M3DDataModule(str(root), Template(), **chosen)
            save_tokenizer(build_word_tokenizer(datamodule.train_texts()), folder)
        return folder

    def data_key(self, root: Path, data: Config) -> Any:
        """Return what the data are: the arguments that made them, or a digest of a user's files.

        With the templates of the questions where the settings `data` name a file of them.
        """
        key: Any = asdict(self.source)
        if self.source.root is not None:
            key = self._digest = self._digest or files_digest(root)
        elif self.source.sample is not None:
            key = ["sample", self.source.sample.names()]
        elif self.source.phantom is not None:
            key["phantom"] = self.source.phantom.arguments()
        prompts = data.get("prompts")
        return key if prompts is None else [key, read_templates(Path(prompts))]

    def resolve(self, config: Config, root: Path) -> tuple[Config, list[StageJob]]:
        """Return the config with data root, tokenizer and shared weights filled in, and the jobs.

        A part gets a stage when the experiment has one of its name and the model's YAML says
        nothing of its weights; `weights: null` keeps it as it is drawn. Raises TomovoxError when
        the prompt would tell the answer.
        """
        template = {"class_path": "tomovox.data.prompts.Template", "init_args": {}}
        config = merged({"data": {"template": template}}, config, {"data": {"root": str(root)}})
        arguments = config["data"]["template"]["init_args"]
        if arguments.get("text_only"):
            raise TomovoxError("data.template.text_only belongs to text-only stages; remove it")
        if self.stages.tokenizer and not arguments.get("tokenizer"):
            tokenizer = {"tokenizer": str(self.tokenizer(root, config["data"]))}
            config = merged(config, {"data": {"template": {"init_args": tokenizer}}})
        parts: Config = config["model"].get("init_args", {})
        weights, jobs = self._jobs(parts, config["data"], root)
        return merged(config, {"model": {"init_args": weights}}), jobs

    def resolve_pairs(self, config: Config, root: Path) -> tuple[Config, list[StageJob]]:
        """Return the config of a dual encoder with data root and shared weights, and the jobs."""
        config = merged(config, {"data": {"init_args": {"root": str(root)}}})
        arguments = config["model"].get("init_args", {})
        if "encoder" not in arguments:
            raise TomovoxError(
                f"{config['model']['class_path']} answers nothing, so it is no row: train a part "
                f"under `shared`, or alone with tomovox fit"
            )
        encoder: Config = arguments["encoder"].get("init_args", {})
        weights, jobs = self._jobs(encoder, config["data"]["init_args"], root)
        filled = {"encoder": {"init_args": weights}}
        return merged(config, {"model": {"init_args": filled}}), jobs

    def _jobs(self, parts: Config, data: Config, root: Path) -> tuple[Config, list[StageJob]]:
        """Return where the weights of each part will lie, and the stages that make them."""
        weights: dict[str, Config] = {}
        jobs: list[StageJob] = []
        for name in PARTS:
            stage, part = getattr(self.stages, name), parts.get(name)
            if stage is None or part is None or "weights" in part:
                continue
            if part.get("name") and not isinstance(stage, SelfDistillationStage):
                continue
            if name == "zformer":
                encoder = merged(parts, weights).get("vision2d") or {}
                job = self._zformer(stage, part, encoder, data, root)
                job.needs = frozenset(str(j.folder) for j in jobs if j.name == "vision2d")
            else:
                job = self._job(name, stage, part, data, root)
            weights[name] = {"weights": str(job.folder)}
            jobs.append(job)
        return weights, jobs

    def _zformer(
        self, stage: Stage, part: Config, encoder: Config, data: Config, root: Path
    ) -> StageJob:
        """Return the job of a Z-former, which reads the slice vectors of an encoder.

        They are kept in a folder of their own, so that Z-formers of other sizes read them too.
        """
        if not (encoder.get("weights") or encoder.get("name")):
            raise TomovoxError(
                "shared.zformer reads the vectors of a trained slice encoder: add shared.vision2d, "
                "or give vision2d its weights"
            )
        encoder = {k: v for k, v in encoder.items() if k not in ("frozen", "chunk")}
        of = [VERSION, encoder, self.data_key(root, {}), self.threads]
        given = weights_file(encoder.get("weights") or encoder["name"])
        if given.is_file() and self.folder not in given.parents:  # not named by its content
            of.append([given.stat().st_size, given.stat().st_mtime_ns])
        content = self._portable(of)
        vectors = str(self.folder / f"vectors-{key_of(content)}")
        part = {**part, "vision2d": encoder, "vectors": vectors}
        return self._job("zformer", stage, part, data, root)

    def _job(self, name: str, stage: Stage, part: Config, data: Config, root: Path) -> StageJob:
        """Return the job of a stage; its folder names all that the result depends on."""
        part = {k: v for k, v in part.items() if k not in LATER}
        used = {"language": READ_BY_LANGUAGE, "zformer": READ_BY_ZFORMER}.get(name, READ_BY_VISION)
        data = {k: v for k, v in data.items() if k in used} | {"seed": self.seed}
        classes = self.stages.finding_classes
        content = [VERSION, name, part, data, asdict(stage), self.seed, self.threads]
        content += [self.data_key(root, data)] + [classes] * isinstance(stage, VisionStage)
        folder = self.folder / f"{name}-{key_of(self._portable(content))}"
        return StageJob(name, stage, part, {**data, "root": str(root)}, folder, self.seed, classes)

    def _portable(self, content: Any) -> str:
        """Return JSON that names no place of this machine."""
        text = json.dumps(content, sort_keys=True, default=str)
        return text.replace(f"{self.folder}/", "")


def files_digest(root: Path) -> str:
    """Return a digest of a user's data: tables and reports by content, arrays by size and time."""
    content = hashlib.blake2b(digest_size=16)
    for file in sorted(
        p for p in root.rglob("*") if p.suffix in (".json", ".csv", ".txt", *ARRAYS)
    ):
        content.update(file.relative_to(root).as_posix().encode() + b"\0")
        stat = file.stat()
        size_and_time = f"{stat.st_size} {stat.st_mtime_ns}".encode()
        content.update(size_and_time if file.suffix in ARRAYS else file.read_bytes())
    return content.hexdigest()


def key_of(value: Any) -> str:
    """Return twelve hex digits of the content of a JSON-like value."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
