"""What does an experiment's folder keep of its runs in MLflow? All of mlflow.json.

A folder that is moved, or a job that is started again on another machine, continues the same runs.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tomovox.files import write_atomically
from tomovox.parsed import read_object
from tomovox.schema import TomovoxError

IDS = "mlflow.json"
REMEDY = "remove the file: runs that are there are found again"


@dataclass
class Kept:
    """Ids of an experiment's runs in MLflow, and what is needed to log there again.

    `uri` is the address without its secrets, None for the folder's own mlflow.db; `file` the
    experiment file, seen from the folder. `key` is the tag of the parent run: it is made before the
    run, which can so be found where its id was never told. `sent` are the SHA-256 of the artifacts
    of each run. `pending`: not everything is logged.
    """

    experiment: str = ""
    key: str = ""
    uri: str | None = None
    file: str | None = None
    parent: str = ""
    children: dict[str, str] = field(default_factory=dict)
    sent: dict[str, dict[str, str]] = field(default_factory=dict)
    pending: bool = False

    @classmethod
    def read(cls, folder: Path) -> Kept:
        """Return what a folder keeps; a new key and nothing else where it keeps nothing.

        Raises TomovoxError for a file that says something else.
        """
        path = folder / IDS
        stored = read_object(path, REMEDY) if path.exists() else {}
        known = {f.name: stored[f.name] for f in fields(cls) if f.name in stored}
        if broken := [name for name, value in known.items() if not _is_kept(name, value)]:
            raise TomovoxError(f"{path}: {broken[0]} is no such thing; {REMEDY}")
        kept = cls(**known)
        kept.key = kept.key or folder_key(folder)
        return kept

    def write(self, folder: Path) -> None:
        """Write mlflow.json whole, or leave the old one."""
        write_atomically(folder / IDS, json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")


def _is_kept(name: str, value: Any) -> bool:
    """Return whether a value read from a file may be that of a field."""
    match name:
        case "pending":
            return isinstance(value, bool)
        case "uri" | "file":
            return value is None or isinstance(value, str)
        case "children":
            return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
        case "sent":
            return isinstance(value, dict) and all(_is_kept("children", v) for v in value.values())
    return isinstance(value, str)


def folder_key(folder: Path) -> str:
    """Return what a new parent run is tagged with: a UUID of the machine's name and the folder.

    The name, because containers that share a server also share paths.
    """
    return str(uuid5(NAMESPACE_URL, f"file://{platform.node()}{folder.resolve().as_posix()}"))
