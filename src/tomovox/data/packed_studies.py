"""How can many processes hold half a million questions without a copy each?

A process that reads volumes begins as a copy of its parent that shares all pages. Looking at a
Python object writes to its page (the count of its references), so that a list of records is copied
page by page in every process, epoch after epoch. Bytes in one array are only read.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, fields
from typing import overload

import numpy as np

from tomovox.schema import Record, Task

NAMES = tuple(field.name for field in fields(Record))


class PackedStudies(Sequence[list[Record]]):
    """The questions of each study, kept as bytes and made anew whenever they are asked for.

    Equal records come out, not the same objects. The texts that the questions of a study have in
    common (series, context) are kept once by the compression.
    """

    def __init__(self, studies: Iterable[Sequence[Record]]) -> None:
        packed = [_pack(study) for study in studies]
        self._ends = np.cumsum([0, *map(len, packed)])
        self._bytes = np.frombuffer(b"".join(packed), np.uint8)

    def __len__(self) -> int:
        """Number of studies."""
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> list[Record]: ...
    @overload
    def __getitem__(self, place: slice) -> list[list[Record]]: ...
    def __getitem__(self, place: int | slice) -> list[Record] | list[list[Record]]:
        """Return the questions of a study, or of some; IndexError where there is none."""
        if isinstance(place, slice):
            return [self[row] for row in range(*place.indices(len(self)))]
        row = range(len(self))[place]
        begin, end = self._ends[row : row + 2]
        return _unpack(self._bytes[begin:end].tobytes())

    def __iter__(self) -> Iterator[list[Record]]:
        """Yield the questions of every study in order."""
        return (self[row] for row in range(len(self)))


def _pack(study: Sequence[Record]) -> bytes:
    return zlib.compress(json.dumps([astuple(record) for record in study]).encode(), level=1)


def _unpack(packed: bytes) -> list[Record]:
    studies = []
    for values in json.loads(zlib.decompress(packed)):
        row = dict(zip(NAMES, values, strict=True))
        row |= {name: tuple(value) for name, value in row.items() if isinstance(value, list)}
        studies.append(Record(**(row | {"task": Task(row["task"])})))
    return studies
