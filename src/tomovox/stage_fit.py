"""What do all shared stages that train on images do alike? Parse their part, fit, complain."""

from collections.abc import Callable
from typing import Any, TypeVar

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from tomovox.configuration import Config
from tomovox.progress import PLAIN_TRAINER
from tomovox.schema import TomovoxError
from tomovox.stage_plan import StageJob
from tomovox.training import Checkpoints, fit

ConfigT = TypeVar("ConfigT")

TRAINING = "training.ckpt"
"""File of a stage's folder: where a cut one goes on."""

EARLIER = "earlier"
"""Among the figures of a training: its seconds before it was cut."""


def fit_stage(
    job: StageJob, module: LightningModule, loader: Any, *callbacks: Callback
) -> dict[str, float]:
    """Train for the steps of a stage, from where a cut one stood; return the last figures."""
    trainer = Trainer(**trainer_arguments(job.stage.max_steps, job.quiet))
    trainer.callbacks.extend(callbacks)  # type: ignore[attr-defined]
    kept = Checkpoints(job.folder / TRAINING, job.checkpoint_minutes)
    figures = fit(trainer, module, job.name, job.quiet, kept, train_dataloaders=loader)
    return figures | {EARLIER: kept.earlier}


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


def check_size(volumes: int, what: str, job: StageJob) -> None:
    """Raise TomovoxError when there are fewer volumes than a batch takes."""
    if volumes < job.stage.batch_size:
        raise TomovoxError(
            f"{job.data['root']}: {volumes} {what} are fewer than shared.{job.name}.batch_size "
            f"{job.stage.batch_size}; lower it"
        )


def part_config(made_by: Callable[..., ConfigT], arguments: Config, name: str) -> ConfigT:
    """Return the config of a part; TomovoxError for a key that it does not have."""
    try:
        return made_by(**{k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()})
    except TypeError as error:
        raise TomovoxError(f"model.init_args.{name}: {error}") from None
