"""How does one YAML file become a table? Shared stages, then every model x seed, then the scores.

Every step leaves a file, and a step whose file exists is not done again: the same call picks up
where it stopped.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from jsonargparse import ArgumentError, ArgumentParser
from rich.console import Console

from tomovox.answering import Answering
from tomovox.cell import Cell, FitStage, keep_config, make_cell
from tomovox.configuration import (
    Config,
    check_series,
    merged,
    names_data_class,
    one_line,
    read_yaml,
    shows_several,
)
from tomovox.control_cell import (
    control_folder,
    control_notes,
    controls_of,
    make_controls,
    missing_controls,
)
from tomovox.data.controls import check_controls
from tomovox.data.experiment_data import DataSource
from tomovox.executor import SlurmQueue, SlurmSettings
from tomovox.files import write_atomically
from tomovox.floor_cell import FLOORS, make_floor
from tomovox.judge.cells import Run
from tomovox.judge.compute import SIZE
from tomovox.judge.labelling import Labelling, label_runs
from tomovox.judge.outcome import Extras, Outcome
from tomovox.judge.tables import print_table
from tomovox.left_out import left_out_notes
from tomovox.lock import only_process, sweep
from tomovox.predict import forget_parts
from tomovox.progress import Job, do_all, do_in_order, say
from tomovox.retrieval_cell import make_retrieval
from tomovox.schema import NONE, PREDICTIONS, TomovoxError
from tomovox.size_cell import write_size
from tomovox.slurm_jobs import FOLDER, refuse_beside_slurm
from tomovox.stage_kinds import SharedStages
from tomovox.stage_plan import StageJob, StagePlan, key_of
from tomovox.stages import make_stage, taught
from tomovox.tracked import keep_source, track
from tomovox.tracking.masking import masked
from tomovox.training import forget_cuts

NOTES = "notes.txt"


@dataclass
class Experiment:
    """An experiment file. `models` maps an id to a YAML or to {base: YAML, and changes}.

    `overrides` are laid over every model's config. `floors` are answered from the training records
    alone. Every model that reads volumes answers again under each of the `controls` (see
    `data.controls`). `clean_split` is a file of `tomovox data audit`, relative to the experiment's:
    the tables show what is left without the records that leaked. `reported` adds what papers report
    of the rows' systems, of data that are theirs. `clinical` says how the findings of reports are
    compared. `reference` is the row that the others are compared with, by default blind where there
    is one, and `correction` that of p. `processes` shared stages or rows are made at a time, each
    with `threads` CPU threads: a fixed number, so that a machine of more cores gives the same
    digits. A training leaves a checkpoint every `checkpoint_minutes`, from which one that was cut
    goes on. `predict` says how rows and controls are answered, in whatever precision they trained.
    `slurm` is read where a cluster does the work (`--executor slurm`).
    """

    models: dict[str, str | dict[str, Any]]
    data: DataSource = field(default_factory=DataSource)
    shared: SharedStages = field(default_factory=SharedStages)
    fit: list[FitStage] = field(default_factory=list)
    floors: list[str] = field(default_factory=lambda: ["majority"])
    controls: list[str] = field(default_factory=list)
    clean_split: str | None = None
    reported: bool = False
    clinical: Labelling = field(default_factory=Labelling)
    reference: str | None = None
    correction: Literal["holm", "bh"] = "holm"
    seeds: list[int] = field(default_factory=lambda: [0])
    overrides: dict[str, Any] = field(default_factory=dict)
    processes: int = 1
    threads: int = 2
    checkpoint_minutes: float = 10.0
    predict: Answering = field(default_factory=Answering)
    slurm: SlurmSettings = field(default_factory=SlurmSettings)
    tracking_uri: str | None = None


def read_experiment(path: Path) -> Experiment:
    """Return the experiment of a YAML file; TomovoxError names the file and wrong key."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Experiment, None)
    try:
        parsed = parser.instantiate(parser.parse_object(read_yaml(path)))
    except (ArgumentError, TypeError, ValueError) as error:  # nested values that are no mapping
        raise TomovoxError(f"{path}: {masked(one_line(str(error)))}") from None
    experiment = Experiment(**vars(parsed))
    if unknown := sorted(set(experiment.floors) - set(FLOORS)):
        raise TomovoxError(
            f"{path}: unknown floors {', '.join(unknown)}; known: {', '.join(FLOORS)}"
        )
    check_controls(experiment.controls, str(path))
    given = [name for name, value in vars(experiment.data).items() if value is not None]
    if len(given) != 1:
        raise TomovoxError(
            f"{path}: data must name exactly one of root, phantom, sample; it names "
            f"{' and '.join(given) or 'none'}"
        )
    rows = [*experiment.models, *experiment.floors]
    if experiment.reported and experiment.data.root is None:
        raise TomovoxError(
            f"{path}: reported: a set that is made here has no published figures; give data.root, "
            f"or leave it out"
        )
    if experiment.reference is not None and experiment.reference not in rows:
        raise TomovoxError(
            f"{path}: reference {experiment.reference!r} is no row; there are {', '.join(rows)}"
        )
    if not experiment.models or not experiment.seeds:
        raise TomovoxError(f"{path}: models and seeds must each name at least one")
    return experiment


class ExperimentRun:
    """Everything that `tomovox run FILE` does, in its output folder.

    `executor` is who does the jobs: "local", processes of this machine, or "slurm".
    """

    def __init__(self, path: Path, output: Path | None = None, executor: str = "local"):
        self.path, self.experiment = path, read_experiment(path)
        self.executor = executor
        self.folder = (output or Path("runs") / path.stem).resolve()
        given = self.experiment
        split = "" if given.clean_split is None else str(path.parent / given.clean_split)
        self.extras = Extras(split, given.reported, {}, given.reference, given.correction)
        self.extras.split()  # refused now, not after the training
        self.clinical = given.clinical.checked(path.parent)
        shared = self.folder / "shared"
        self.plan = StagePlan(shared, given.data, given.shared, given.seeds[0], given.threads)

    @property
    def quiet(self) -> bool:
        """Whether lines replace progress bars: several processes share the terminal, or a log."""
        return self.experiment.processes > 1 or self.executor != "local"

    def run(self) -> pd.DataFrame:
        """Do what is missing of every cell and return the table.

        Raises TomovoxError when another process does so, or did with another config or other data.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with only_process(self.folder):
            if self.executor == "local":
                refuse_beside_slurm(self.folder / FOLDER)
                sweep(self.folder)
            os.environ["OMP_NUM_THREADS"] = str(self.experiment.threads)
            cells, stages = self.cells()
            for cell in cells:
                keep_config(cell)
            keep_source(self.folder, self.path, self.experiment.tracking_uri)
            self.make(cells, stages)
            return self.table(cells)

    def make(self, cells: Sequence[Cell], stages: Sequence[StageJob]) -> None:
        """Do the jobs of all shared stages, rows, controls and sizes that are missing."""
        given = self.experiment
        jobs: list[Job[Any]] = [
            Job(str(stage.folder), make_stage, stage, stage.needs)
            for stage in stages
            if not stage.done
        ]
        for stage in stages:
            if stage.done:
                forget_cuts(stage.folder)
        for folder in self.folders(cells).values():
            if (folder / PREDICTIONS).is_file():
                forget_parts(folder)
        pending = [cell for cell in cells if not cell.done]
        jobs += [Job(c.name, _maker(c), c, c.needs) for c in pending]
        jobs += [
            Job(f"{c.name} controls", make_controls, c, frozenset({c.name}))
            for c in cells
            if missing_controls(c)
        ]
        jobs += [
            Job(f"{c.name} size", write_size, c) for c in cells if not (c.folder / SIZE).is_file()
        ]
        if len(pending) < len(cells):
            say(f"{len(cells) - len(pending)} of {len(cells)} rows are already there")
        if self.executor == "slurm":
            queue = SlurmQueue(self.folder / FOLDER, given.slurm, given.threads)
            do_in_order(jobs, queue)
            queue.stop()  # what an earlier call submitted and this one has no use for
        else:
            do_all(jobs, given.processes, given.threads)

    def cells(self) -> tuple[list[Cell], list[StageJob]]:
        """Return the grid, models before floors, and the shared stages it needs, each once."""
        given = self.experiment
        root = self.plan.data_root(given.processes * given.threads)
        cells: list[Cell] = []
        stages: dict[Path, StageJob] = {}
        grid = [(m, s, False) for m in given.models for s in given.seeds]
        for model, seed, floor in grid + [(f, given.seeds[0], True) for f in given.floors]:
            base, entry = self._recipe(self._asks_questions() if floor else model)
            if names_data_class(base):  # a dual encoder: its own YAML says how it trains
                seeds = {"seed_everything": seed, "data": {"init_args": {"seed": seed}}}
                config, jobs = self.plan.resolve_pairs(merged(base, entry, seeds), root)
                fit_stages = []
            else:
                seeds = {"seed_everything": seed, "data": {"seed": seed}}
                config, jobs = self.plan.resolve(merged(base, entry, given.overrides, seeds), root)
                fit_stages = given.fit
            stages = {job.folder: job for job in jobs} | stages
            folder = self.folder / f"{model}-s{seed}"
            needs = frozenset() if floor else frozenset(str(job.folder) for job in jobs)
            cell = Cell(model, seed, folder, config, fit_stages, floor, self.quiet, needs)
            cell.data_key = key_of(self.plan.data_key(root, config["data"]))
            cell.threads, cell.answering = given.threads, given.predict
            cell.checkpoint_minutes = given.checkpoint_minutes
            cell.controls = controls_of(cell, given.controls)
            if shows_several(config["data"]):
                check_series(cell.model_class, cell.name)
            cells.append(cell)
        for stage in stages.values():
            stage.quiet, stage.checkpoint_minutes = self.quiet, given.checkpoint_minutes
        return cells, list(stages.values())

    def _recipe(self, model: str) -> tuple[Config, Config]:
        """Return the YAML of a model and what the experiment lays over it."""
        entry = self.experiment.models[model]
        entry = {"base": entry} if isinstance(entry, str) else dict(entry)
        return read_yaml(self.path.parent / entry.pop("base")), entry

    def _asks_questions(self) -> str:
        """Return the first model that answers questions: floors answer those of its data."""
        for model in self.experiment.models:
            if not names_data_class(self._recipe(model)[0]):
                return model
        raise TomovoxError(
            f"{self.path}: no model answers questions, so floors have none either: set floors: []"
        )

    def table(self, cells: Sequence[Cell]) -> pd.DataFrame:
        """Score and compare every cell and control, write the tables, print and log to MLflow."""
        notes = self.notes(cells)
        label_runs(self.folders(cells).values(), self.clinical, self.plan.data_root(1))
        outcome = Outcome.of_folders(self.folders(cells), extras=self.extras, again=True)
        self.extras.keep(self.folder)
        write_atomically(self.folder / NOTES, "".join(f"{note}\n" for note in notes))
        outcome.write(self.folder, notes, {cell.data_key for cell in cells})
        console = table_console()
        print_table(outcome.frame, console, notes + outcome.notes)
        outcome.print_verdicts(console)
        folder = Path(os.path.relpath(self.folder))
        shown = f"; tomovox ui {folder} opens MLflow" if track(self.folder) else ""
        say(f"table: {folder / 'table.csv'}, .md, .tex and .html{shown}")
        return outcome.frame

    def folders(self, cells: Sequence[Cell]) -> dict[Run, Path]:
        """Return where every row, as it is and under every control, keeps its predictions."""
        found: dict[Run, Path] = {}
        for cell in cells:
            found[cell.model, cell.seed, NONE] = cell.folder
            for control in cell.controls:
                found[cell.model, cell.seed, control] = control_folder(cell.folder, control)
        return found

    def notes(self, cells: Sequence[Cell]) -> list[str]:
        """Return what a reader of the table must know of its rows."""
        lessons: dict[str, list[str]] = {}
        for cell in cells:
            for lesson in sorted({taught(Path(need)) for need in cell.needs} - {""}):
                lessons.setdefault(lesson, []).append(cell.name)
        notes = [f"{lesson}: {', '.join(rows)}" for lesson, rows in lessons.items()]
        for cell in cells:
            remark = "" if cell.floor else getattr(cell.model_class, "remark", "")
            if remark:
                notes.append(f"{cell.name}: {remark}")
        notes += control_notes(cells, self.experiment.controls)
        return notes + left_out_notes(cell.folder for cell in cells)


def table_console() -> Console:
    """Return a console that is wide enough for a table when nobody's terminal sets the width."""
    console = Console()
    return console if console.is_terminal else Console(width=110)


def _maker(cell: Cell) -> Callable[[Cell], None]:
    """Return what makes a cell: a dual encoder embeds, a floor counts, a model trains."""
    if cell.retrieval:
        return make_retrieval
    return make_floor if cell.floor else make_cell
