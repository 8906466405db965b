"""What does a system's slice score measure, and where in the model is it read?"""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any, NamedTuple

from tomovox.analysis.capture import Capture
from tomovox.analysis.table import Run
from tomovox.attention_cell import Looking
from tomovox.configuration import read_yaml
from tomovox.judge.facts import commit
from tomovox.judge.runs import CONFIG
from tomovox.models.med2e3 import Med2E3
from tomovox.models.ms_vlm import MSVLM
from tomovox.models.vit3d import ViT3DConfig
from tomovox.schema import TomovoxError


class Read(NamedTuple):
    """What the numbers are, and at which layer they are read."""

    scored: str
    layer: str


READ: dict[type, Read] = {
    Med2E3: Read(
        "TG-IS weights, after the softmax and before dropout",
        "the connectors' output: a slice's 2D tokens and the 3D tokens of its depth bin",
    ),
    MSVLM: Read(
        "shares of the resampler's attention to slices, mean over heads and latents",
        "all layers of the resampler, their mean",
    ),
}
"""System -> what its slice scores are."""

OTHER = Read("slice scores of the system's own", "its own layer")


def capture_of(run: Run, looking: Looking) -> Capture:
    """Return how the scores of a row came about; TomovoxError for a config that says no model."""
    path = looking.run / CONFIG
    config = read_yaml(path)
    try:
        module, _, name = config["model"]["class_path"].rpartition(".")
        system = getattr(import_module(module), name)
        read = next((told for known, told in READ.items() if issubclass(system, known)), OTHER)
        arguments = _arguments(config["model"]) if issubclass(system, Med2E3) else {}
        bins = _depth_bins(arguments) if arguments else None
    except (ImportError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        raise TomovoxError(f"{path}: says no model that can be built; run it again") from None
    return Capture(
        *run,
        system=name,
        scored=read.scored,
        layer=read.layer,
        scoring=arguments.get("scoring", ""),
        temperature=arguments.get("temperature"),
        depth_bins=bins,
        slices=max(len(looked.scores) for looked in looking.attended),
        predictions=looking.digest,
        records=len(looking.attended),
        known=sum(bool(looked.scope) for looked in looking.attended),
        located=sum(looked.located for looked in looking.attended),
        several=looking.several,
        commit=commit(),
    )


def _arguments(model: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a Med-2E3, those included that its config leaves out."""
    known = signature(Med2E3).parameters.values()
    return {p.name: p.default for p in known if p.default is not p.empty} | model["init_args"]


def _depth_bins(arguments: dict[str, Any]) -> int:
    """Return how many bins of depth the pooled 3D tokens of a Med-2E3 have."""
    image, patch = (tuple(arguments["vision3d"][name]) for name in ("image", "patch"))
    return ViT3DConfig(image=image, patch=patch).grid[0] // int(arguments["pool"])
