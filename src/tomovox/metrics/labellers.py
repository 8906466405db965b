"""Who says which findings a report has? A labeller by its name, or by the path of its class."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Sequence
from typing import Any, Protocol, runtime_checkable

from tomovox.schema import TomovoxError


@runtime_checkable
class Labeller(Protocol):
    """What reads reports: `name`, with a version, stands in signatures; `labels` are what it knows.

    Made without arguments; raises resources.Unavailable, with what to install, when it cannot run.
    """

    name: str
    labels: tuple[str, ...]

    def __call__(self, texts: Sequence[str]) -> Sequence[Collection[str]]:
        """Return the labels of each text that are there."""


LABELLERS = {
    "rule": "tomovox.metrics.rule_labeller.RuleLabeller",
    "radbert": "tomovox.metrics.radbert.RadBert",
}
"""Name of a labeller -> the path of its class."""


def find_labeller(name: str) -> Any:
    """Return the class of a Labeller by its name or path; TomovoxError for one that is none."""
    module, _, kind = LABELLERS.get(name, name).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), kind) if module else None
    except (ImportError, AttributeError):
        found = None
    if not callable(found) or not hasattr(found, "labels"):
        known = ", ".join(LABELLERS)
        raise TomovoxError(
            f"labeller {name!r} is not known; write {known} or the path of a class with name and "
            f"labels, such as mypackage.labels.MyLabeller"
        )
    return found
