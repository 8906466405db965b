"""At which rate does each parameter learn? AdamW, with a warm-up and a cosine counted in steps."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class OptimizerConfig:
    """AdamW with linear warm-up and a cosine to `floor` times the rate, both counted in steps.

    `language_scale` multiplies the rate of the language model's own parameters.
    """

    lr: float = 1e-4
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0.03
    floor: float = 0.0
    language_scale: float = 1.0


def cosine_with_warmup(step: int, steps: int, warmup: float, floor: float) -> float:
    """Return the learning rate's factor at `step` of `steps`; `warmup` is a share of the steps."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    progress = min(1.0, (step - rising) / max(1, steps - rising))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def adamw(named: Iterable[tuple[str, nn.Parameter]], config: OptimizerConfig) -> torch.optim.AdamW:
    """Return AdamW over named parameters of a VolumeLM; norms and biases do not decay."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in named:
        key = (name.startswith("language."), parameter.ndim >= 2)
        groups.setdefault(key, []).append(parameter)
    rows = [
        {
            "params": parameters,
            "lr": config.lr * (config.language_scale if language else 1.0),
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (language, decays), parameters in sorted(groups.items())
    ]
    return torch.optim.AdamW(rows, betas=config.betas)
