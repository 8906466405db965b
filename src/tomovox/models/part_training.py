"""How is one part of a model trained by itself, on images alone? What such stages share."""

import math
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn

from tomovox.models.optimising import cosine_with_warmup
from tomovox.models.weights import save_tensors, untied_state
from tomovox.schema import Studies, TomovoxError


class PartTraining(LightningModule):
    """Trains one part, which a model's recipe then names by `<part_name>.weights`.

    Modules are made in `configure_model`. The part is whole on every device: one device or DDP.
    """

    part_name: str
    """The setting of a model that the part is for."""

    @abstractmethod
    def make(self) -> None:
        """Create all modules."""

    @property
    @abstractmethod
    def part(self) -> nn.Module:
        """What is kept."""

    @abstractmethod
    def embed_studies(self, studies: Studies) -> Tensor:
        """Return what the part makes of studies, as a model will have it."""

    def configure_model(self) -> None:
        """Create the modules once; TomovoxError where every device would hold a share of them."""
        if self.device_mesh is not None:
            raise TomovoxError(
                f"trainer.strategy: {self.part_name} trains whole on every device; set strategy: "
                f"ddp"
            )
        if not list(self.children()):
            self.make()

    @property
    def progress(self) -> float:
        """Share of the steps that are done, in [0, 1]."""
        return min(1.0, self.trainer.global_step / int(self.trainer.estimated_stepping_batches))

    def decayed(self, lr: float, weight_decay: float, **options: Any) -> torch.optim.AdamW:
        """Return AdamW over what trains; norms and biases, its second group, do not decay."""
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for parameter in self.parameters():
            if parameter.requires_grad:
                groups[parameter.ndim != 1].append(parameter)
        return torch.optim.AdamW(
            [
                {"params": groups[True], "weight_decay": weight_decay},
                {"params": groups[False], "weight_decay": 0.0},
            ],
            lr=lr,
            **options,
        )

    def cosine(self, optimizer: torch.optim.Optimizer, warmup: float, floor: float) -> Any:
        """Return what Lightning asks for: the optimizer, its rate warmed up, then along a cosine.

        `warmup` is a share of the steps, `floor` one of the rate.
        """
        steps = int(self.trainer.estimated_stepping_batches)
        factor: Callable[[int], float] = lambda step: cosine_with_warmup(  # noqa: E731
            step, steps, warmup, floor
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def between(start: float, end: float, progress: float) -> float:
    """Return where a cosine from start to end stands after a share of the way."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


def save_part(training: PartTraining, path: Path) -> None:
    """Write the part that was trained, alone, as safetensors."""
    save_tensors(untied_state(training.part), path, {"system": type(training.part).__name__})
