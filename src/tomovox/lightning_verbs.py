"""What happens around Lightning's own verbs? `fit` leaves a RUN folder, which `predict` answers."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError
from lightning import LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.strategies import (
    DDPStrategy,
    ModelParallelStrategy,
    SingleDeviceStrategy,
)

from tomovox.answering import ANSWERING, Answering
from tomovox.cell import HERE, load_data, load_model
from tomovox.configuration import (
    Config,
    TomovoxCLI,
    cli_arguments,
    merged,
    names_data_class,
    one_line,
    read_yaml,
)
from tomovox.data.prompts import Template
from tomovox.data.report_pairs import ReportPairs
from tomovox.data.tokenizer import save_tokenizer
from tomovox.files import write_atomically
from tomovox.lock import folder_to_hold, only_process
from tomovox.models.base import VolumeLM
from tomovox.models.checkpoint import save_trained
from tomovox.models.clip_training import ClipTraining, save_encoder
from tomovox.models.part_training import PartTraining, save_part
from tomovox.models.weights import WEIGHTS_FILE
from tomovox.predict import PARTIAL, answer_all, list_left_out
from tomovox.progress import quiet_libraries, say, with_threads
from tomovox.schema import PREDICTIONS, TomovoxError
from tomovox.shards import shard_files
from tomovox.slurm_jobs import FOLDER, refuse_beside_slurm

CONFIG, TOKENIZER = "config.yaml", "tokenizer"
RUN_KEYS = ("seed_everything", "trainer", "model", "data")
"""What of Lightning's config makes a run again; the rest belongs to the command that was given."""
WHOLE = SingleDeviceStrategy | DDPStrategy | ModelParallelStrategy
"""Strategies whose weights are whole in a process, or are put together when they are written."""

FIT_HELP = """\
Trains for one epoch unless --trainer.max_epochs, max_steps or max_time is given. Leaves a RUN
folder, in lightning_logs/ or where --trainer.logger and --trainer.default_root_dir say: config,
model.safetensors, a tokenizer/ if it built one, and left_out.tsv if volumes were left out. Go on
with: tomovox predict RUN; tomovox score RUN; tomovox ask VOLUME QUESTION --checkpoint RUN
"""


def run_lightning(arguments: Sequence[str]) -> None:
    """Run `fit` or `validate` with Lightning's own command line; TomovoxError for bad input."""
    quiet_libraries()  # again: importing Lightning set its own levels
    quiet: Config = {"exit_on_error": False}
    try:
        RunCLI(
            **(cli_arguments(_data_by_class(arguments)) | {"save_config_callback": RunConfig}),
            save_config_kwargs={"overwrite": True},
            args=list(arguments),
            parser_kwargs={**quiet, "fit": {**quiet, "epilog": FIT_HELP}, "validate": quiet},
        )
    except (ArgumentError, MisconfigurationException) as error:
        raise TomovoxError(f"{arguments[0]}: {one_line(str(error))}") from None


def _data_by_class(arguments: Sequence[str]) -> bool:
    """Return whether a config file among the arguments names the class of its data."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    files = [after for option, after in pairs if option in ("-c", "--config")]
    files += [option.partition("=")[2] for option in arguments if option.startswith("--config=")]
    found = [Path(file) for file in files if Path(file).is_file()]
    return any(names_data_class(read_yaml(file)) for file in found)


class RunCLI(TomovoxCLI):
    """The command line of `fit` and `validate`; `fit` ends with a RUN folder."""

    def before_instantiate_classes(self) -> None:
        """Train for one epoch when nothing says how long: Lightning would take a thousand."""
        trainer = self.config[self.subcommand].trainer
        limits = (trainer.max_epochs, trainer.max_time)
        if all(limit is None for limit in limits) and trainer.max_steps == -1:
            trainer.max_epochs = 1

    def after_fit(self) -> None:
        """Write weights, tokenizer and config of a RUN folder, and say how to go on."""
        folder = folder_of(self.trainer)
        first = self.trainer.is_global_zero
        if self.config[self.subcommand].trainer.fast_dev_run:
            said = "fast_dev_run: no run is kept"
        elif not isinstance(self.trainer.strategy, WHOLE):
            said = f"[yellow]no run folder[/yellow]: the weights are sharded; see {folder}"
        elif isinstance(self.model, ClipTraining):
            if first:
                keep_encoder(folder, self.model, self.datamodule)
            said = (
                f"encoder: {folder}; a recipe reads it by model.init_args.vision3d.weights: "
                f"{folder}; tomovox checkpoint inspect {folder}"
            )
        elif isinstance(self.model, PartTraining):
            name = self.model.part_name
            if first:
                save_part(self.model, folder / WEIGHTS_FILE)
            said = (
                f"{name}: {folder}; a recipe reads it by model.init_args.{name}.weights: {folder}"
            )
        else:
            if first:
                keep_config(folder, self.datamodule.template)
            save_trained(self.model, folder / WEIGHTS_FILE)  # last: without them it is no run
            said = (
                f"run: {folder}; ask it with tomovox ask ... --checkpoint {folder}, "
                f"predict with tomovox predict {folder}"
            )
        if first:
            say(said)


class RunConfig(SaveConfigCallback):
    """Keep the config of a fit beside its weights, and say what a newcomer should know of it."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save the config; TomovoxError when the folder holds another run."""
        if stage != "fit":
            return
        folder = folder_of(trainer)
        if (folder / WEIGHTS_FILE).is_file() or holds_answers(folder):
            raise TomovoxError(
                f"{folder}: holds a run already; give another --trainer.default_root_dir"
            )
        super().setup(trainer, pl_module, stage)
        if trainer.is_global_zero and isinstance(pl_module, VolumeLM | PartTraining):
            list_left_out(folder, trainer.datamodule)  # type: ignore[attr-defined]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what a release gave, and which encoders stay random: no file fills them."""
        if not isinstance(pl_module, VolumeLM):
            return
        if pl_module.released_report is not None and trainer.is_global_zero:
            say(pl_module.released_report.summary())
        random = [e for e in pl_module.frozen_encoders() if e not in pl_module.sources]
        if random and pl_module.init_from is None and trainer.is_global_zero:
            say(
                f"[yellow]{' and '.join(random)}[/yellow]: frozen at random weights; give "
                f"model.init_args.{random[0]}.weights, or frozen: false to train"
            )


def folder_of(trainer: Trainer) -> Path:
    """Return the folder where a trainer's config lies: a file that all processes share."""
    return Path(os.path.relpath(trainer.log_dir or trainer.default_root_dir))


def keep_config(folder: Path, template: Template) -> None:
    """Make of Lightning's config.yaml in the folder what a RUN needs, with a tokenizer.

    It names the CPU threads of this process: with another number, on another machine, a prediction
    would go on in other last digits.
    """
    config = {k: v for k, v in read_yaml(folder / CONFIG).items() if k in RUN_KEYS}
    config["threads"] = torch.get_num_threads()
    if template.tokenizer is None:
        save_tokenizer(template.text_tokenizer, folder / TOKENIZER)
        named = {"template": {"init_args": {"tokenizer": f"{HERE}{TOKENIZER}"}}}
        config = merged(config, {"data": named})
    write_atomically(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))


def keep_encoder(folder: Path, model: ClipTraining, data: ReportPairs) -> None:
    """Leave a trained dual encoder in the folder, under published names, with its tokenizer."""
    if data.tokenizer is None:
        save_tokenizer(data.text_tokenizer, folder / TOKENIZER)
    save_encoder(model, folder / WEIGHTS_FILE)


def predict_run(
    folder: Path,
    root: Path | None = None,
    split: str | None = None,
    devices: int = 1,
    given: Mapping[str, Any] | None = None,
) -> None:
    """Answer the test split of a RUN folder into its predictions.jsonl; a cut call continues.

    `root` and `split` take the place of the data root and test split of the run's config, and
    `given` that of fields of its Answering. Each of several `devices` has a process. All compute
    with as many CPU threads as the run's config names: another number gives other last digits.
    Raises TomovoxError when the folder holds no run, or answers to other records or given in
    another way, or SLURM may work at its experiment.
    """
    refuse_beside_slurm(folder.resolve().parent / FOLDER)  # whose process is gone; else it holds
    data: Config = {} if root is None else {"root": str(root)}
    if split is not None:
        data |= {"test_split": split, "splits": None}
    change: Config = {"data": data}
    load = partial(load_model, folder, change)
    datamodule = load_data(folder, change)
    config = read_yaml(folder / CONFIG)
    arguments = {**(config.get("trainer") or {}), "devices": devices}

    def answer(_: None) -> None:
        way = keep_answering(folder, config, given or {})
        answer_all(folder, None, datamodule, arguments, str(folder), load, way)

    with only_process(folder_to_hold(folder)):
        with_threads(config.get("threads") or torch.get_num_threads(), answer, None)
    say(f"predictions: {folder / PREDICTIONS}; tomovox score {folder}")


def keep_answering(folder: Path, config: Config, given: Mapping[str, Any]) -> Answering:
    """Return how a RUN is answered, and write what is `given` of it into its config.

    Raises TomovoxError when it holds answers given in another way.
    """
    before = Answering(**config.get(ANSWERING) or {})
    way = replace(before, **given)
    if way == before:
        return way
    if holds_answers(folder):
        raise TomovoxError(
            f"{folder}: holds answers of precision {before.precision} and batch {before.batch}; "
            f"ask for the same, or move its predictions away"
        )
    config = {key: value for key, value in config.items() if key != ANSWERING} | way.noted()
    write_atomically(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))
    return way


def holds_answers(folder: Path) -> bool:
    """Return whether a RUN folder holds predictions, whole or begun."""
    return (folder / PREDICTIONS).is_file() or bool(shard_files(folder, PARTIAL))
