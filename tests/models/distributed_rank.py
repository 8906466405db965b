"""One process of three trainings, under DDP and FSDP2: python distributed_rank.py RANK FOLDER.

Each takes two steps on two questions, which two ranks divide and one process takes as one batch. It
leaves FOLDER/STRATEGY/trained.safetensors and lightning.ckpt, and in RANK.txt how many numbers of
the weights this rank held. The third is FSDP2 again, cut after a step, with a checkpoint that is a
folder to which each rank writes its share, and continued: FOLDER/shards/trained.safetensors.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch.distributed as dist
from lightning import LightningDataModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from tiny_models import batch_of, language, make, vision2d, vision3d, volumes
from torch.utils.data import DataLoader

from tomovox.data.dataset import move_batch
from tomovox.models.base import VolumeLM
from tomovox.models.checkpoint import save_trained
from tomovox.models.optimising import OptimizerConfig
from tomovox.progress import PLAIN_TRAINER, quiet_libraries
from tomovox.schema import Batch
from tomovox.training import Checkpoints, fit

RANKS, STEPS = 2, 2
STRATEGIES = ("ddp", "fsdp2")
QUESTIONS = [[5, 6, 7], [8, 9, 10, 11, 12]]
ANSWERS = [[20, 21, 1], [22, 23, 1]]
"""As many words in each: the mean over all is the mean of the ranks' means."""


def untrained() -> VolumeLM:
    """Return Med-2E3 with trainable and frozen parts, and tied token tables."""
    return make(
        "med2e3",
        vision3d=vision3d(frozen=True),
        vision2d=vision2d(),
        language=language(train="lora", embeddings="input"),
        optimizer=OptimizerConfig(lr=1e-2, weight_decay=0.1, warmup=0.0),
        score_dropout=0.0,
    )


def batch(rows: list[int]) -> Batch:
    """Return the questions of some studies."""
    voxels = list(volumes(RANKS)[rows])
    places = list(range(len(rows)))
    asked, said = [QUESTIONS[r] for r in rows], [ANSWERS[r] for r in rows]
    return batch_of(voxels, places, asked, said, places)


class Given(LightningDataModule):
    """The same batch at every step."""

    def __init__(self, rows: list[int]):
        super().__init__()
        self.rows = rows

    def train_dataloader(self) -> DataLoader[Batch]:
        return DataLoader([batch(self.rows)] * STEPS, batch_size=None)

    def transfer_batch_to_device(self, batch: Batch, device: Any, dataloader_idx: int) -> Batch:
        return move_batch(batch, device)


def strategy(name: str) -> Any:
    """Return the strategy of a name."""
    if name == "fsdp2":
        return ModelParallelStrategy(
            data_parallel_size=RANKS, tensor_parallel_size=1, save_distributed_checkpoint=False
        )
    return DDPStrategy() if name == "ddp" else "auto"


def train(name: str, rank: int, ranks: int, folder: Path) -> None:
    """Train and write what the ranks leave."""
    model = untrained()
    trainer = Trainer(
        accelerator="cpu",
        devices=ranks,
        strategy=strategy(name),
        max_steps=STEPS,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
        plugins=[LightningEnvironment()],
    )
    trainer.fit(model, datamodule=Given([rank] if ranks > 1 else list(range(RANKS))))
    trainer.save_checkpoint(folder / "lightning.ckpt")
    save_trained(model, folder / "trained.safetensors")
    held = sum(getattr(p, "_local_tensor", p).numel() for p in model.parameters())
    (folder / f"{rank}.txt").write_text(str(held), encoding="utf-8")


class Cut(Exception):
    """What ends a training in the middle."""


class CutAt(Callback):
    """Cuts a training before a step."""

    def __init__(self, step: int | None):
        self.step = step

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise Cut


def train_twice(rank: int, folder: Path) -> None:
    """Train in shares, cut after a step and continued from what the ranks left."""
    for cut in (1, None):
        model = untrained()
        trainer = Trainer(
            accelerator="cpu",
            devices=RANKS,
            strategy=ModelParallelStrategy(data_parallel_size=RANKS, tensor_parallel_size=1),
            max_steps=STEPS,
            max_epochs=-1,
            gradient_clip_val=1.0,
            use_distributed_sampler=False,
            **{**PLAIN_TRAINER, "enable_progress_bar": False},
            plugins=[LightningEnvironment()],
            callbacks=[CutAt(cut)],
        )
        kept = Checkpoints(folder / "cut.ckpt", 0.0)
        with suppress(Cut):
            fit(trainer, model, "shards", False, kept, datamodule=Given([rank]))
    save_trained(model, folder / "trained.safetensors")


def main(rank: int, folder: Path) -> None:
    quiet_libraries()
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    for name in STRATEGIES:
        train(name, rank, RANKS, folder / name)
    train_twice(rank, folder / "shards")
    dist.barrier()  # a rank that leaves first would close the connection under the other
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]).absolute())
