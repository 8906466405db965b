"""How does one YAML file become a table? Fit, predict, score each model x seed, then compare.

Every step leaves a file, and a step whose file exists is not done again: the same call picks up
where it stopped.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser
from lightning import Trainer, seed_everything
from rich.console import Console

from tomovox.configuration import (
    Config,
    TomovoxCLI,
    differences,
    instantiate,
    merged,
    one_line,
    read_yaml,
)
from tomovox.data.datamodule import M3DDataModule
from tomovox.judge.score import Row, score_run
from tomovox.judge.tables import build_table, print_table, write_tables
from tomovox.models.base import VolumeLM, count_parameters
from tomovox.models.checkpoint import load_trained, save_trained
from tomovox.models.floors import MajorityAnswer
from tomovox.predict import PARTIAL, PREDICTIONS, PredictionWriter, answered, append_lines, finish
from tomovox.schema import Prediction, TomovoxError, to_line, write_atomically
from tomovox.stages import DataSource, SharedStages, StageMaker
from tomovox.tracking import Tracker

WEIGHTS = "model.safetensors"


@dataclass
class FitStage:
    """One training stage of every model: which parameters train, for how many steps."""

    stage: str
    max_steps: int
    lr: float = 1e-3


@dataclass
class Experiment:
    """An experiment file. `models` maps an id to a YAML or to {base: YAML, and changes}.

    `overrides` are laid over every model's config. `floors` are answered from the training records
    alone. `threads` fixes the number of CPU threads, so that a machine of more cores gives the same
    digits.
    """

    models: dict[str, str | dict[str, Any]]
    data: DataSource = field(default_factory=DataSource)
    shared: SharedStages = field(default_factory=SharedStages)
    fit: list[FitStage] = field(default_factory=list)
    floors: list[str] = field(default_factory=lambda: ["majority"])
    seeds: list[int] = field(default_factory=lambda: [0])
    overrides: dict[str, Any] = field(default_factory=dict)
    threads: int | None = None
    tracking_uri: str | None = None


def read_experiment(path: Path) -> Experiment:
    """Return the experiment of a YAML file; TomovoxError names the file and wrong key."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Experiment, None)
    try:
        parsed = parser.instantiate(parser.parse_object(read_yaml(path)))
    except ArgumentError as error:
        raise TomovoxError(f"{path}: {one_line(str(error))}") from None
    experiment = Experiment(**vars(parsed))
    if unknown := sorted(set(experiment.floors) - {"majority"}):
        raise TomovoxError(f"{path}: unknown floors {', '.join(unknown)}; known: majority")
    return experiment


@dataclass
class Cell:
    """One row of the table: a model and a seed, and where its files lie."""

    model: str
    seed: int
    folder: Path


class ExperimentRun:
    """Everything that `tomovox run FILE` does, in its output folder."""

    def __init__(self, path: Path, output: Path | None = None, console: Console | None = None):
        self.path, self.experiment = path, read_experiment(path)
        self.folder = output or Path("runs") / path.stem
        self.console = console or Console()
        self.stages = StageMaker(
            self.folder / "shared",
            self.experiment.data,
            self.experiment.shared,
            self.experiment.seeds[0],
            self.say,
        )

    def say(self, text: str) -> None:
        """Print one line of progress with the time."""
        self.console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {text}", highlight=False)

    def cells(self) -> list[Cell]:
        """Return the grid, models before floors, seeds inside."""
        floors = [Cell(f, self.experiment.seeds[0], Path()) for f in self.experiment.floors]
        grid = [
            Cell(m, s, Path()) for m in self.experiment.models for s in self.experiment.seeds
        ] + floors
        for cell in grid:
            cell.folder = self.folder / f"{cell.model}-s{cell.seed}"
        return grid

    def run(self) -> pd.DataFrame:
        """Do what is missing of every cell and return the table."""
        if self.experiment.threads:
            torch.set_num_threads(self.experiment.threads)
        self.folder.mkdir(parents=True, exist_ok=True)
        cells = self.cells()
        for number, cell in enumerate(cells, 1):
            self.say(f"[bold]{cell.model}[/bold] seed {cell.seed} ({number} of {len(cells)})")
            if not (cell.folder / PREDICTIONS).is_file():
                if cell.model in self.experiment.floors:
                    self.predict_floor(cell)
                else:
                    self.predict(cell, *self.fit(cell))
        return self.table(cells)

    # ---- one cell --------------------------------------------------------------------------

    def config(self, cell: Cell) -> Config:
        """Return a model's whole config: YAML, own changes, overrides, shared stages."""
        entry = self.experiment.models[cell.model]
        entry = {"base": entry} if isinstance(entry, str) else dict(entry)
        base = read_yaml(self.path.parent / entry.pop("base"))
        config = merged(base, entry, self.experiment.overrides, {"seed_everything": cell.seed})
        config = merged(config, {"data": {"seed": cell.seed}})
        return self.stages.resolve(config)

    def fit(self, cell: Cell) -> tuple[TomovoxCLI, Config]:
        """Train the missing stages; return the objects of the last with its weights loaded."""
        config = self.config(cell)
        self.keep_config(cell, config)
        done: Path | None = None
        cli: TomovoxCLI | None = None
        for number, stage in enumerate(self.experiment.fit):
            last = number == len(self.experiment.fit) - 1
            target = cell.folder / (WEIGHTS if last else f"{stage.stage}.safetensors")
            cli = self.build(cell, config, stage, done)
            cli.model.configure_model()
            if not any(p.requires_grad for p in cli.model.parameters()):
                self.say(f"  {stage.stage}: nothing to train")
                continue
            if not target.is_file():
                self.train(cell, cli, stage)
                save_trained(cli.model, target)
            elif last:
                load_trained(cli.model, target)
            done = target
        if cli is None:
            cli = self.build(cell, config, None, None)
            cli.model.configure_model()
        return cli, config

    def keep_config(self, cell: Cell, config: Config) -> None:
        """Write the config beside the results; TomovoxError if results of another lie there."""
        path = cell.folder / "config.yaml"
        config = json.loads(json.dumps(config)) | {"fit": [asdict(s) for s in self.experiment.fit]}
        if path.is_file() and (changed := differences(read_yaml(path), config)):
            raise TomovoxError(
                f"{cell.folder} was made with another config ({'; '.join(changed[:4])}); "
                f"use another --output or remove the folder"
            )
        write_atomically(path, yaml.safe_dump(config, sort_keys=False))

    def build(
        self, cell: Cell, config: Config, stage: FitStage | None, start: Path | None
    ) -> TomovoxCLI:
        """Return model, data and trainer of a stage."""
        trainer: Config = {
            "logger": False,
            "enable_checkpointing": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "limit_val_batches": 0,
        }
        change: Config = {"trainer": trainer}
        if stage is not None:
            trainer |= {"max_steps": stage.max_steps, "max_epochs": -1}
            change["model"] = {
                "init_args": {
                    "stage": stage.stage,
                    "init_from": str(start) if start else None,
                    "optimizer": {"lr": stage.lr},
                }
            }
        return instantiate(merged(config, change), f"{self.path}: {cell.model}")

    def train(self, cell: Cell, cli: TomovoxCLI, stage: FitStage) -> None:
        """Fit one stage and note what it took."""
        self.say(f"  {stage.stage}: {stage.max_steps} steps of {cli.datamodule.batch_size} volumes")
        start = time.perf_counter()
        cli.trainer.fit(cli.model, datamodule=cli.datamodule)
        figures: dict[str, Any] = {
            k: round(float(v), 4) for k, v in cli.trainer.callback_metrics.items()
        }
        trainable, total = count_parameters(cli.model)
        figures |= {
            "stage": stage.stage,
            "steps": cli.trainer.global_step,
            "volumes": cli.trainer.global_step * cli.datamodule.batch_size,
            "trainable": trainable,
            "parameters": total,
            "seconds": round(time.perf_counter() - start, 1),
        }
        append_lines(cell.folder / "training.jsonl", [json.dumps(figures)])
        self.say("  " + ", ".join(f"{k} {v}" for k, v in figures.items()))

    def predict(self, cell: Cell, cli: TomovoxCLI, config: Config) -> None:
        """Answer every record that has no line yet, then sort the lines into predictions.jsonl."""
        datamodule: M3DDataModule = cli.datamodule
        datamodule.setup("predict")
        studies = datamodule.predict_studies()
        datamodule.skip(answered(cell.folder, studies))
        records = [record for study in studies for record in study]
        self.say(f"  predict: {len(records)} records")
        trainer = Trainer(
            accelerator=config.get("trainer", {}).get("accelerator", "auto"),
            devices=1,
            logger=False,
            enable_checkpointing=False,
            callbacks=[PredictionWriter(cell.folder, datamodule.template)],
        )
        start = time.perf_counter()
        trainer.predict(cli.model, datamodule=datamodule, return_predictions=False)
        self.say(f"  predicted in {time.perf_counter() - start:.1f} s")
        self.note_left_out(cell, datamodule)
        finish(cell.folder, records)

    def note_left_out(self, cell: Cell, datamodule: M3DDataModule) -> None:
        """Write what was left out, and say how many."""
        if datamodule.left_out:
            lines = "".join(f"{i}\t{reason}\n" for i, reason in datamodule.left_out)
            write_atomically(cell.folder / "left_out.tsv", f"id\treason\n{lines}")
            count = len(datamodule.left_out)
            self.say(f"  [yellow]{count} records left out[/yellow]: left_out.tsv")

    def predict_floor(self, cell: Cell) -> None:
        """Answer from the training records alone."""
        first = next(iter(self.experiment.models))
        config = self.config(Cell(first, cell.seed, cell.folder))
        seed_everything(cell.seed, verbose=False)
        datamodule: M3DDataModule = instantiate(config, f"{self.path}: {first}").datamodule
        datamodule.setup("predict")
        records = [record for study in datamodule.predict_studies() for record in study]
        floor = MajorityAnswer(datamodule.train_records())
        lines = [to_line(Prediction.of(r, floor.answer(r))) for r in records]
        append_lines(cell.folder / PARTIAL, lines)
        finish(cell.folder, records)

    # ---- the table -------------------------------------------------------------------------

    def table(self, cells: Sequence[Cell]) -> pd.DataFrame:
        """Score every cell, write table.csv and table.md, log to MLflow and print."""
        rows = {(c.model, c.seed): score_run(c.folder).rows for c in cells}
        frame = build_table(rows)
        write_tables(frame, self.folder)
        self.track(cells, rows)
        print_table(frame, self.console)
        table = self.folder / "table.csv"
        self.say(f"table: {table} and table.md; tomovox ui {self.folder} opens MLflow")
        return frame

    def track(self, cells: Sequence[Cell], rows: dict[tuple[str, int], list[Row]]) -> None:
        """Log config, scores and tables: parent run = experiment, child = model x seed."""
        tracker = Tracker(self.experiment.tracking_uri, self.folder, self.path.stem)
        parent = tracker.parent()
        tracker.log_config(parent, self.path.read_text(encoding="utf-8"), self.path.name)
        tracker.log_files(parent, [self.folder / "table.csv", self.folder / "table.md"])
        for cell in cells:
            run = tracker.run(cell.model, cell.seed)
            tracker.log_parameters(run, {"model": cell.model, "seed": cell.seed})
            config = cell.folder / "config.yaml"
            if config.is_file():
                tracker.log_config(run, config.read_text(encoding="utf-8"))
            tracker.log_rows(run, rows[cell.model, cell.seed])
            tracker.log_files(run, [cell.folder / PREDICTIONS, cell.folder / "results.json"])
            tracker.finish(run)
        tracker.finish(parent)


def load_run(folder: Path) -> tuple[VolumeLM, M3DDataModule]:
    """Return the trained model of a RUN folder and its datamodule (not set up).

    Raises TomovoxError when the folder holds no run, or weights of another model.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise TomovoxError(f"{folder}: no config.yaml, so not a run; give runs/<experiment>/<run>")
    config = read_yaml(path)
    stages = config.pop("fit", [])
    change: Config = {"trainer": {"logger": False, "enable_checkpointing": False}}
    if stages:
        change["model"] = {"init_args": {"stage": stages[-1]["stage"]}}
    cli = instantiate(merged(config, change), str(path))
    cli.model.configure_model()
    load_trained(cli.model, folder / WEIGHTS)
    return cli.model.eval(), cli.datamodule
