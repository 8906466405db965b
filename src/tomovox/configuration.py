"""How does YAML become a model, its data and a trainer? One typed schema for every verb."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from tomovox.data.datamodule import M3DDataModule
from tomovox.data.report_pairs import PairBatch, ReportPairs
from tomovox.data.slice_views import SliceViews
from tomovox.data.study_series import StudySeries
from tomovox.models.base import VolumeLM
from tomovox.models.clip_training import ClipTraining
from tomovox.models.masked_embedding import MaskedEmbedding
from tomovox.models.self_distillation import SelfDistillation
from tomovox.parsed import yaml_of
from tomovox.progress import quiet_libraries
from tomovox.ranks import check_world_size
from tomovox.schema import Batch, Task, TomovoxError, Vocabulary

Config = dict[str, Any]

REPETITION = (
    "Does not validate against any of the Union",
    "Subtypes:",
    "Errors:",
    "- Expected a <class 'NoneType'>",
    "Given value",
)
"""How the lines of a jsonargparse message begin that do not say what is wrong."""


class TomovoxCLI(LightningCLI):
    """LightningCLI with the tokenizer's vocabulary handed from the data to the model."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link data.template's vocabulary to the model."""
        parser.link_arguments(
            "data", "model.init_args.vocabulary", compute_fn=_vocabulary_of, apply_on="instantiate"
        )

    def instantiate_classes(self) -> None:
        """Create data, model and trainer; what the data refuses is raised as they raised it."""
        try:
            super().instantiate_classes()
            if shows_several(vars(self.datamodule)):
                check_series(type(self.model), "data")
        except ValueError as error:
            # jsonargparse wraps what a linked function raises.
            if isinstance(error.__cause__, TomovoxError):
                raise error.__cause__ from None
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Create the trainer; TomovoxError for what only Lightning can tell is not to be had."""
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except (ValueError, MisconfigurationException) as error:
            raise TomovoxError(f"trainer: {one_line(str(error))}") from None
        # The number of processes is known when they have started, and before anything is written.
        check = LambdaCallback(setup=lambda trainer, _, stage: check_world_size(trainer))
        trainer.callbacks.insert(0, check)  # type: ignore[attr-defined]
        convert_tensors_alone(trainer)
        return trainer


def convert_tensors_alone(trainer: Trainer) -> None:
    """Let the trainer's precision convert the tensors of a batch: it refuses frozen records.

    Half and double precision convert what a model reads, and DeepSpeed does in every precision.
    """
    plugin = trainer.precision_plugin
    convert = plugin.convert_input

    def converted(data: Any) -> Any:
        if not isinstance(data, Batch | PairBatch):
            return convert(data)
        return replace(convert(replace(data, records=[])), records=data.records)

    plugin.convert_input = converted  # type: ignore[method-assign]


def _vocabulary_of(data: LightningDataModule) -> Vocabulary | None:
    """Return the vocabulary of data that hold texts; slices alone have none."""
    tell = getattr(data, "vocabulary", None)
    return tell() if tell else None


def cli_arguments(data_by_class: bool = False) -> Config:
    """Return the arguments of TomovoxCLI that every use shares.

    A language model reads M3DDataModule. With `data_by_class`, the config names the class of its
    data, and its model may be any LightningModule: contrastive pretraining reads pairs, and the
    training of a part slices.
    """
    return {
        "model_class": LightningModule if data_by_class else VolumeLM,
        "datamodule_class": LightningDataModule if data_by_class else M3DDataModule,
        "subclass_mode_model": True,
        "subclass_mode_data": data_by_class,
        "save_config_callback": None,
        "seed_everything_default": 0,
    }


def instantiate(config: Config, place: str) -> TomovoxCLI:
    """Return the cli with `.model`, `.datamodule` and `.trainer` of a config.

    Raises TomovoxError naming `place` when a key is unknown, a value has the wrong type, or the
    model reads other data than these.
    """
    quiet_libraries()  # again: importing Lightning set its own levels
    try:
        cli = TomovoxCLI(
            **cli_arguments(names_data_class(config)),
            args=config,
            run=False,
            parser_kwargs={"exit_on_error": False},
        )
    except ArgumentError as error:
        raise TomovoxError(f"{place}: {one_line(str(error))}") from None
    pairs = (
        *((VolumeLM, M3DDataModule), (ClipTraining, ReportPairs)),
        *((SelfDistillation, SliceViews), (MaskedEmbedding, StudySeries)),
    )
    if not any(isinstance(cli.model, m) and isinstance(cli.datamodule, d) for m, d in pairs):
        given = f"{type(cli.model).__name__} does not read {type(cli.datamodule).__name__}"
        raise TomovoxError(
            f"{place}: {given}; give ClipTraining with data of class ReportPairs, SelfDistillation "
            f"with SliceViews, MaskedEmbedding with StudySeries, or a VolumeLM whose data name no "
            f"class"
        )
    return cli


def shows_several(data: Mapping[str, Any]) -> bool:
    """Return whether settings of M3DDataModule show several series in one study."""
    return data.get("series") == "case" or Task.CASE_REPORT in (data.get("tasks") or ())


def check_series(model: Any, place: str) -> None:
    """Raise TomovoxError when a class of models reads one series of a study."""
    if getattr(model, "one_series", False):
        raise TomovoxError(
            f"{place}: {model.__name__} reads one series of a study; set data.series own and leave "
            f"case_report out of data.tasks, or take a model that reads several, such as ms_vlm"
        )


def one_line(message: str, limit: int = 500) -> str:
    """Return a message of many lines as one, without those that only repeat what was given.

    Past `limit` characters its middle is left out.
    """
    telling = [x for x in message.splitlines() if not x.strip().startswith(REPETITION)]
    text = " ".join(" ".join(telling).split())
    return text if len(text) <= limit else f"{text[: limit // 3]} ... {text[-2 * limit // 3 :]}"


def read_yaml(path: Path) -> Config:
    """Return the mapping in a YAML file; TomovoxError when missing, broken or no mapping."""
    try:
        value = yaml_of(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TomovoxError(
            f"{path}: cannot be read ({one_line(str(error))}); give a YAML file"
        ) from None
    except ValueError as error:
        raise TomovoxError(f"{path}: not YAML: {one_line(str(error))}") from None
    if not (isinstance(value, dict) and all(isinstance(key, str) for key in value)):
        raise TomovoxError(f"{path}: holds no keys; expected a mapping such as `model: ...`")
    return value


def names_data_class(config: Mapping[str, Any]) -> bool:
    """Return whether a config names the class of its data (see `cli_arguments`)."""
    data = config.get("data")
    return isinstance(data, Mapping) and "class_path" in data


def merged(base: Mapping[str, Any], *changes: Mapping[str, Any]) -> Config:
    """Return `base` with each of `changes` laid over it, key by key, down to the leaves."""
    result = dict(base)
    for change in changes:
        for key, value in change.items():
            old = result.get(key)
            both = isinstance(old, Mapping) and isinstance(value, Mapping)
            result[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return result


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return what changed from old to new as `key: old -> new`, sorted by key."""
    lines = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {a} -> {b}")
    return lines
