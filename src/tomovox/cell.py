"""How does one row of the table come about? Fit the stages of one model and seed, then predict.

Every step leaves a file, and a step whose file exists is not done again.
"""

import json
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from tomovox.answering import ANSWERING, BY_DEFAULT, Answering
from tomovox.configuration import (
    Config,
    TomovoxCLI,
    differences,
    instantiate,
    merged,
    names_data_class,
    read_yaml,
)
from tomovox.data.datamodule import M3DDataModule
from tomovox.files import append_lines, write_atomically
from tomovox.judge.tables import model_and_seed
from tomovox.models.base import VolumeLM, count_parameters
from tomovox.models.checkpoint import load_trained, save_trained
from tomovox.models.weights import WEIGHTS_FILE
from tomovox.predict import answer_all, list_left_out
from tomovox.progress import PLAIN_TRAINER, say
from tomovox.ranks import do_together
from tomovox.schema import PREDICTIONS, TomovoxError
from tomovox.training import Checkpoints, Tally, fit, forget_cuts

OWN_PROCESSES = "lightning.pytorch.plugins.environments.LightningEnvironment"
"""What keeps Lightning from waiting for a scheduler to start its processes: `do_together` does."""
KEEP_WEIGHTS = ("32-true", "bf16-mixed", "16-mixed")
"""Precisions that leave weights as they were built; others convert all, frozen parts too."""
HERE, ABOVE = "${run}/", "${experiment}/"
"""How config.yaml writes the run's own folder and the experiment's, so that both may be moved."""


@dataclass
class FitStage:
    """One training stage of every model: which parameters train, for how many steps.

    Without `lr` each model keeps the rate of its own YAML.
    """

    stage: str
    max_steps: int
    lr: float | None = None


@dataclass
class Cell:
    """A model and a seed, its whole config, and where its files lie.

    A floor trains nothing. `needs` are the folders of the shared stages that must be made first,
    `controls` those under which its model is predicted too.
    """

    model: str
    seed: int
    folder: Path
    config: Config
    fit: list[FitStage]
    floor: bool = False
    quiet: bool = False
    needs: frozenset[str] = frozenset()
    threads: int = 1
    data_key: str = ""
    checkpoint_minutes: float = 10.0
    controls: tuple[str, ...] = ()
    answering: Answering = BY_DEFAULT

    @property
    def name(self) -> str:
        """The name of its folder, such as med2e3-s0."""
        return f"{self.model}-s{self.seed}"

    @property
    def retrieval(self) -> bool:
        """Whether it is a dual encoder, which embeds pairs and answers nothing."""
        return names_data_class(self.config)

    @property
    def model_class(self) -> Any:
        """The class of its model; of a floor, that of the model whose questions it answers."""
        module, _, name = self.config["model"]["class_path"].rpartition(".")
        return getattr(import_module(module), name)

    @property
    def trainer(self) -> Config:
        """What the trainers of its stages are told beside its config."""
        plugins = [{"class_path": OWN_PROCESSES}]
        return {**PLAIN_TRAINER, "enable_progress_bar": not self.quiet, "plugins": plugins}

    @property
    def done(self) -> bool:
        """Whether every record is answered."""
        return (self.folder / PREDICTIONS).is_file()


def make_cell(cell: Cell) -> None:
    """Fit what is missing of a cell and answer what is unanswered."""
    predict(cell, trained(cell))


def keep_config(cell: Cell) -> None:
    """Write the config beside the results; TomovoxError if results of another config lie there."""
    path = cell.folder / "config.yaml"
    config = json.loads(json.dumps(cell.config)) | {"fit": [asdict(s) for s in cell.fit]}
    config |= {"threads": cell.threads, "data_key": cell.data_key} | cell.answering.noted()
    config = _with_paths(config, {f"{cell.folder.parent}/": ABOVE})
    if path.is_file() and (changed := differences(read_yaml(path), config)):
        raise TomovoxError(
            f"{cell.folder} was made with another config ({'; '.join(changed[:4])}); "
            f"use another --output or remove the folder"
        )
    write_atomically(path, yaml.safe_dump(config, sort_keys=False))


def trained(cell: Cell) -> TomovoxCLI:
    """Train the missing stages; return model and data of the last one with its weights."""
    done: Path | None = None
    stages: list[FitStage | None] = [*cell.fit] or [None]
    for number, stage in enumerate(stages):
        last = number == len(stages) - 1
        cli = build(cell, stage, done)
        cli.model.configure_model()
        if cli.model.released_report is not None:
            say(f"{cell.name}: {cli.model.released_report.summary()}")
        if stage is None:
            break
        if not any(p.requires_grad for p in cli.model.parameters()):
            say(f"{cell.name} {stage.stage}: nothing to train")
            continue
        target = cell.folder / (WEIGHTS_FILE if last else f"{stage.stage}.safetensors")
        found, devices = target.is_file(), cli.trainer.num_devices
        if not found and devices > 1:
            work = SharedStage(cell, stage, done, target)
            do_together(train_together, work, devices, f"{cell.name} {stage.stage}")
        elif not found:
            train(cell, cli, stage)
            save_trained(cli.model, target)
            if last and cli.trainer.precision not in KEEP_WEIGHTS:
                cli = build(cell, stage, done)
                cli.model.configure_model()
        if last:
            load_trained(cli.model, target)
        forget_cuts(cell.folder)
        done = target
    if not (cell.folder / WEIGHTS_FILE).is_file():  # nothing trained in the last stage
        save_trained(cli.model, cell.folder / WEIGHTS_FILE)
    return cli


def build(cell: Cell, stage: FitStage | None, start: Path | None) -> TomovoxCLI:
    """Return model, data and trainer of a stage; without one, to predict as the config says."""
    change: Config = {"trainer": cell.trainer}
    if stage is not None:
        change["trainer"] |= {"max_steps": stage.max_steps, "max_epochs": -1}
        arguments = {"stage": stage.stage, "init_from": str(start) if start else None}
        rate = {} if stage.lr is None else {"optimizer": {"lr": stage.lr}}
        change["model"] = {"init_args": {**arguments, **rate}}
    return instantiate(merged(cell.config, change), cell.name)


@dataclass(frozen=True)
class SharedStage:
    """A stage that several processes train together: from `start`, another stage's, to `target`."""

    cell: Cell
    stage: FitStage
    start: Path | None
    target: Path


def train_together(work: SharedStage) -> None:
    """Train a stage as one of the processes that `do_together` starts.

    Raises TomovoxError when the config asks for more machines than this one.
    """
    cli = build(work.cell, work.stage, work.start)
    if cli.trainer.num_nodes > 1:
        raise TomovoxError(
            f"{work.cell.name}: an experiment trains on the devices of one machine; set num_nodes: "
            f"1, or train with tomovox fit"
        )
    train(work.cell, cli, work.stage)
    save_trained(cli.model, work.target)


def train(cell: Cell, cli: TomovoxCLI, stage: FitStage) -> None:
    """Fit one stage and note in training.jsonl what it took.

    Of several processes that train together the first one writes and speaks.
    """
    volumes = cli.datamodule.batch_size * cli.trainer.num_devices
    name = f"{cell.name} {stage.stage}"
    if cli.trainer.is_global_zero:
        say(f"{name}: {stage.max_steps} steps of {volumes} volumes")
    figures = fit_counted(cell, cli, stage.stage, name)
    if not cli.trainer.is_global_zero:
        return
    list_left_out(cell.folder, cli.datamodule)
    figures["volumes"] = figures["steps"] * volumes
    append_lines(cell.folder / "training.jsonl", [json.dumps(figures)])
    shown = ("train/loss", "train/token_accuracy", "trainable", "parameters", "seconds")
    say(f"{name}: " + ", ".join(f"{k} {figures[k]}" for k in shown if k in figures))


def fit_counted(cell: Cell, cli: TomovoxCLI, stage: str, name: str) -> dict[str, Any]:
    """Fit a stage, from where a cut one stood; return its last losses and what it took.

    Of several processes that train together all must call it.
    """
    tally = Tally()
    cli.trainer.callbacks.append(tally)  # type: ignore[attr-defined]
    kept = Checkpoints(cell.folder / f"{stage}.ckpt", cell.checkpoint_minutes)
    figures = fit(cli.trainer, cli.model, name, cell.quiet, kept, datamodule=cli.datamodule)
    trainable, total = count_parameters(cli.model)
    return figures | {
        "stage": stage,
        "steps": cli.trainer.global_step,
        "samples": tally.of_all(cli.trainer),
        "trainable": trainable,
        "parameters": total,
        "seconds": round(kept.seconds, 1),
    }


def predict(cell: Cell, cli: TomovoxCLI) -> None:
    """Answer every record that has no line yet, then sort the lines into predictions.jsonl."""
    arguments = {**cell.config.get("trainer", {}), "enable_progress_bar": not cell.quiet}
    again = partial(load_model, cell.folder)
    answer_all(cell.folder, cli.model, cli.datamodule, arguments, cell.name, again, cell.answering)


def load_run(folder: Path, change: Config | None = None) -> tuple[VolumeLM, M3DDataModule]:
    """Return the trained model of a RUN folder and its datamodule (not set up).

    `change` is laid over the run's config, such as another data root.

    Raises TomovoxError when the folder holds no run, or weights of another model.
    """
    cli = _cli_of(folder, change or {})
    cli.model.configure_model()
    load_trained(cli.model, folder / WEIGHTS_FILE)
    return cli.model.eval(), cli.datamodule


def load_model(folder: Path, change: Config | None = None) -> VolumeLM:
    """Return the trained model of a RUN folder."""
    return load_run(folder, change)[0]


def load_data(folder: Path, change: Config | None = None) -> M3DDataModule:
    """Return the datamodule of a RUN folder (not set up); its weights are not read."""
    return _cli_of(folder, change or {}).datamodule


def _cli_of(folder: Path, change: Config) -> TomovoxCLI:
    """Return model and data of a RUN folder, as its last stage had them."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise TomovoxError(
            f"{folder}: no config.yaml, so not a run; give runs/<experiment>/<model>-s<seed>"
        )
    folder = folder.resolve()
    if names_data_class(read_yaml(path)):
        raise TomovoxError(
            f"{folder}: a dual encoder, which answers no question and has its released names "
            f"already; give the folder as vision3d.weights"
        )
    config = _with_paths(read_yaml(path), {ABOVE: f"{folder.parent}/", HERE: f"{folder}/"})
    for key in ("threads", "data_key", ANSWERING):
        config.pop(key, None)
    stages = [FitStage(**stage) for stage in config.pop("fit", [])]
    # The weights hold what an earlier stage gave, and no trainer of the machine of then is needed.
    config = merged(config, {"model": {"init_args": {"init_from": None}}}, change)
    config["trainer"] = {"accelerator": "cpu", "devices": 1}
    model, seed = model_and_seed(folder.name)
    cell = Cell(model, seed or 0, folder, config, stages)
    return build(cell, stages[-1] if stages else None, None)


def _with_paths(config: Any, exchange: dict[str, str]) -> Any:
    """Return the config with the beginnings of texts exchanged."""
    if isinstance(config, dict):
        return {key: _with_paths(value, exchange) for key, value in config.items()}
    if isinstance(config, list):
        return [_with_paths(value, exchange) for value in config]
    for old, new in exchange.items():
        if isinstance(config, str) and config.startswith(old):
            return new + config.removeprefix(old)
    return config
