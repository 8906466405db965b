"""What is measured of a task, on which rows and from which answers? A file per task says it.

The files lie in protocols/. They are read, checked against the metrics there are, and shown; what
computes a number is its metric alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tomovox.metrics.catalogue import metric_key, metrics_of
from tomovox.metrics.metric import PROTOCOLS
from tomovox.parsed import yaml_of
from tomovox.schema import Task, TomovoxError

FOLDER = Path(__file__).with_name("protocols")
TASKS = frozenset(Task)


@dataclass(frozen=True, slots=True)
class Decoding:
    """How an answer is generated, and its most new tokens."""

    strategy: Literal["greedy"]
    max_new_tokens: int


@dataclass(frozen=True, slots=True)
class TaskProtocol:
    """How a task is measured so that its numbers compare with the published ones.

    `split` is what M3D-Bench asks; `decoding` None where nothing is generated; `parser` what is
    read of an answer. `metrics` are the names of each of the two protocols, in the order of tables,
    `version` the versions of these. `primary`, a "name.protocol", is the one number of the task.
    """

    task: Task
    split: str
    decoding: Decoding | None
    parser: str
    metrics: dict[str, tuple[str, ...]]
    primary: str
    version: dict[str, int]


def is_primary(cell: Mapping[str, Any]) -> bool:
    """Return whether a sample, or a row of a table, is of the primary metric of its task."""
    key = metric_key(cell["metric"], cell["protocol"])
    return cell["task"] in TASKS and task_protocol(Task(cell["task"])).primary == key


@cache
def task_protocol(task: Task) -> TaskProtocol:
    """Return the protocol of a task, as read_protocol."""
    return read_protocol(FOLDER / f"{task}.yaml")


def read_protocol(path: Path) -> TaskProtocol:
    """Return the protocol of the task that a file is named after.

    Raises TomovoxError for a file that is none, keys that are missing or unknown, decoding that is
    not greedy, metrics or versions other than the catalogue's, and an unknown primary metric.
    """
    content = _content(path)
    known = [field.name for field in fields(TaskProtocol)]
    if wrong := sorted(content.keys() ^ set(known)):
        state = "missing" if wrong[0] in known else "not known"
        raise TomovoxError(f"{path}: {wrong[0]!r} is {state}; the keys are {', '.join(known)}")
    if content["task"] != path.stem or content["task"] not in set(Task):
        raise TomovoxError(f"{path}: task {content['task']!r} must be a task and the file's name")
    for key in ("split", "parser"):
        if not isinstance(content[key], str) or not content[key]:
            raise TomovoxError(f"{path}: {key} must be a text; write it in quotes")
    task = Task(content["task"])
    there = metrics_of(task)
    _check(path, "metrics", content["metrics"], _names_of(task))
    _check(path, "version", content["version"], PROTOCOLS)
    if content["primary"] not in there:
        raise TomovoxError(
            f"{path}: primary {content['primary']!r} is no metric; known: {', '.join(there)}"
        )
    decoding, metrics = _decoding(path, content["decoding"]), content["metrics"]
    return TaskProtocol(
        **content
        | {"task": task, "decoding": decoding}
        | {"metrics": {name: tuple(names) for name, names in metrics.items()}}
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml_of(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TomovoxError(f"{path}: cannot be read ({error.strerror}); install again") from None
    except ValueError as error:
        raise TomovoxError(f"{path}: not YAML ({error}); mend it") from None
    if not isinstance(content, dict):
        raise TomovoxError(f"{path}: not a mapping; write key: value lines")
    return content


def _names_of(task: Task) -> dict[str, list[str]]:
    """Return the names of a task's metrics by protocol, in the order of tables."""
    metrics = metrics_of(task).values()
    return {name: [m.name for m in metrics if m.protocol == name] for name in PROTOCOLS}


def _check(path: Path, key: str, written: object, wanted: dict[str, Any]) -> None:
    if written != wanted:
        raise TomovoxError(f"{path}: {key} is {written}, the catalogue has {wanted}; write that")


def _decoding(path: Path, written: Any) -> Decoding | None:
    if written is None:
        return None
    match written:
        case {"strategy": "greedy", "max_new_tokens": int(most), **others} if not others:
            return Decoding("greedy", most)
    raise TomovoxError(
        f"{path}: decoding is {written}; write {{strategy: greedy, max_new_tokens: N}} or null"
    )
