"""Which records leaked? The file that an audit of the data writes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tomovox.parsed import json_of
from tomovox.schema import TomovoxError
from tomovox.sheets import printable

VERSION = 1
"""The version of clean_split.json that is read here."""

Leaked = Mapping[str, Sequence[str]]
"""The ids of the records to leave out, each with the kinds of leak that speak against it."""


@dataclass(frozen=True)
class CleanSplit:
    """What a clean_split.json says: `leaked` as Leaked, and the name of the folder audited.

    `digest` is the SHA-256 of the file. `unchecked` counts the rows, reports and volumes that the
    audit could not read or did not compare in full.
    """

    file: str
    digest: str
    data: str
    leaked: dict[str, tuple[str, ...]]
    unchecked: int

    @property
    def title(self) -> str:
        """The file and what it says of itself, on one line."""
        return f"{self.file} (audit of {self.data}, SHA-256 {self.digest[:12]})"

    def listed(self, task: str) -> int:
        """Return how many records of a task leaked, of whatever split."""
        return sum(name.startswith(f"{task}/") for name in self.leaked)


def read_clean(path: Path) -> CleanSplit:
    """Return what an audit wrote; TomovoxError for a file that is missing or of another form."""
    try:
        data = path.read_bytes()
        content = json_of(data)
    except OSError as error:
        raise TomovoxError(
            f"{path}: cannot be read ({error.strerror}); write it with tomovox data audit"
        ) from None
    except ValueError as error:
        raise TomovoxError(
            f"{path}: not JSON ({printable(str(error))}); write it again with tomovox data audit"
        ) from None
    match content:
        case {"version": int(version)} if version != VERSION:
            raise TomovoxError(
                f"{path}: version {version}, this program reads {VERSION}; audit the data again"
            )
        case {
            "version": int(),
            "data": str(audited),
            "leaked": dict(leaked),
            "not_read": int(unread),
            "not_compared_in_full": {"report": int(reports), "volume": int(volumes)},
        } if all(map(_are_kinds, leaked.values())):
            return CleanSplit(
                file=path.name,
                digest=hashlib.sha256(data).hexdigest(),
                data=printable(Path(audited).name or audited),
                leaked={name: tuple(map(printable, found)) for name, found in leaked.items()},
                unchecked=unread + reports + volumes,
            )
    raise TomovoxError(
        f"{path}: not the clean_split.json of an audit, whose leaked maps each id to a list of "
        f"kinds; write it again with tomovox data audit"
    )


def _are_kinds(found: object) -> bool:
    return isinstance(found, list) and bool(found) and all(isinstance(kind, str) for kind in found)
