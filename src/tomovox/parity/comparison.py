"""How far is our output from the recorded one? Strict loading, pairs of tensors and verdicts."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn

from tomovox.models.weights import key_faults
from tomovox.parity.cases import Case
from tomovox.parity.recipe import tensor_for


class Pair(NamedTuple):
    """An output of a case: ours and the recorded one."""

    output: str
    ours: Tensor
    expected: Tensor


@dataclass(frozen=True)
class Outcome:
    """How far one output lies from the recorded one; `note` says why it cannot be compared."""

    output: str
    error: float
    tolerance: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """True within the tolerance; a value that is not a number never is."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Verdict:
    """All outcomes of a case; none when its kind is not supported yet."""

    case: Case
    kind: str
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """True when the case ran and every output is within its tolerance."""
        return bool(self.outcomes) and all(o.passed for o in self.outcomes)

    @property
    def failed(self) -> bool:
        """True when the case ran and an output is not within its tolerance."""
        return bool(self.outcomes) and not self.passed


class KeysDiffer(Exception):
    """Our model does not take the reference's state dict; the text names the keys."""


def compare(pair: Pair, tolerance: float) -> Outcome:
    """Return the largest absolute error of one output; other shapes are infinitely far."""
    ours, expected = pair.ours.double(), pair.expected.double()
    if ours.shape != expected.shape:
        note = f"shape {tuple(ours.shape)}, recorded {tuple(expected.shape)}"
        return Outcome(pair.output, math.inf, tolerance, note)
    error = float((ours - expected).abs().max()) if ours.numel() else 0.0
    return Outcome(pair.output, error, tolerance)


def load_recipe(module: nn.Module, case: Case, partial: bool = False, **given: Tensor) -> None:
    """Load the recipe's tensors of the case's keys strictly; `given` replace those of the recipe.

    With `partial` the case may list only the first keys: a value depends on its name, so a wrong
    name among the others shows in the outputs. Raises KeysDiffer on missing, unexpected and
    mis-shaped keys.
    """
    own = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    listed = case.shapes
    if faults := key_faults(own, own | listed if partial else listed):
        raise KeysDiffer(faults)
    module.load_state_dict({k: given.get(k, tensor_for(k, s)) for k, s in own.items()})
    module.eval()
