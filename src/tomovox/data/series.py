"""Which series does a case have, and what may a model be told of each?

A name tells plane and phase, which questions ask for. A listing may follow the names, so that for
questions the other series of a case stand in an order of their own for each case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from tomovox.data.ct_rate_records import kernels
from tomovox.data.evidence import plane_and_phase
from tomovox.data.published_files import csv_rows
from tomovox.data.published_tables import SERIES_COLUMNS
from tomovox.data.records import CAP_FILE, case_of, listed_series
from tomovox.data.root_layout import CT_RATE, layout_of
from tomovox.schema import Record, Task

SERIES_FILE = "series.csv"
"""What a phantom or sample knows of its series."""

UNTOLD = frozenset({Task.VQA_CLOSED, Task.VQA_OPEN})
"""Tasks that ask for plane and phase: nothing is told to any of their questions."""


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """How a series was made; an empty text where it is unknown or withheld."""

    plane: str = ""
    phase: str = ""
    kernel: str = ""


def is_told(record: Record) -> bool:
    """Return whether what is known of the series may be told to a record: not to questions."""
    return record.task not in UNTOLD


def series_facts(root: Path, volumes: Iterable[str]) -> dict[str, SeriesFacts]:
    """Return what the data root says of each series: series.csv if it is there, else its name.

    Of CT-RATE, whose scans are axial and without contrast, the metadata tell the kernel. Raises
    TomovoxError for tables without the columns that say so.
    """
    if layout_of(root) == CT_RATE:
        known = kernels(root)
        return {v: SeriesFacts("axial", "noncontrast", known.get(v, "")) for v in volumes}
    path = root / SERIES_FILE
    rows = csv_rows(path, SERIES_COLUMNS) if path.is_file() else ()
    listed = {row["image"]: SeriesFacts(row["plane"], row["phase"], row["kernel"]) for row in rows}
    return {
        volume: listed.get(volume) or SeriesFacts(*plane_and_phase(volume)) for volume in volumes
    }


def with_own_series(records: Iterable[Record]) -> list[Record]:
    """Return the records with the one series that each is about, but reports of cases with all."""
    return [r if r.task == Task.CASE_REPORT else replace(r, volumes=r.volumes[:1]) for r in records]


def with_case_series(root: Path, records: Sequence[Record], split: str) -> list[Record]:
    """Return the records with all series of their case that the split lists, their own first.

    The others follow in the order of M3D_Cap.json, then of the records; for a record that may not
    be told of them, in one that case and places there decide. A small pool such as test1k takes the
    series of the split that it is cut from. A record of several series stays as it is, as do all of
    CT-RATE: those name the reconstructions of a scan, and a patient may have two scans.
    """
    if layout_of(root) == CT_RATE:
        return list(records)
    listed: dict[str, dict[str, None]] = defaultdict(dict)
    for volume in listed_series(root, split) if (root / CAP_FILE).is_file() else ():
        listed[case_of(volume)][volume] = None
    for record in records:
        listed[record.case][record.volumes[0]] = None
    mixed = {case: _mixed(case, list(series)) for case, series in listed.items()}
    return [
        replace(r, volumes=_own_first(r.volumes[0], (listed if is_told(r) else mixed)[r.case]))
        if len(r.volumes) == 1
        else r
        for r in records
    ]


def _own_first(own: str, series: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((own, *series)))


def _mixed(case: str, series: Sequence[str]) -> list[str]:
    """Return the series in an order that depends on the case and not on their names."""
    order = sorted(range(len(series)), key=lambda n: sha256(f"{case}:{n}".encode()).digest())
    return [series[place] for place in order]
