"""Which findings have the records of a data set? Tables of labels, as CT-RATE publishes them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tomovox.schema import TomovoxError

KEYS = ("id", "VolumeName")
"""What the first column may be: the id of a record, or the file of a volume."""

VALUES = {"0": False, "1": True, "0.0": False, "1.0": True}

ENDINGS = (".nii.gz", ".nii", ".npz", ".npy")
"""What the file of a volume may end in; any other dot belongs to its name."""


@dataclass(frozen=True)
class LabelTable:
    """The labels of some files: `names` in their order, and what each record or volume has.

    `records` are rows by id, `volumes` those by the name of a volume and `scans` those of the first
    volume of each scan. `source` is what the files are called.
    """

    names: tuple[str, ...]
    records: Mapping[str, frozenset[str]]
    volumes: Mapping[str, frozenset[str]]
    scans: Mapping[str, frozenset[str]]
    source: str

    def of(self, record: str) -> frozenset[str] | None:
        """Return the labels of a record, None without a row.

        Its row is that of its id, or of a volume that the last part of the id names, alone or as
        its scan: report/test/valid_53_a has those of valid_53_a_1.nii.gz.
        """
        last = record.rpartition("/")[2]
        places = ((self.records, record), (self.volumes, last), (self.scans, last))
        return next((rows[name] for rows, name in places if name in rows), None)


def read_label_files(paths: Sequence[Path]) -> LabelTable:
    """Return the labels of tables with the same columns: one of KEYS, then a 0 or 1 per label.

    Raises TomovoxError with file and line for what is no such table, and for a record or volume
    that has two rows with different labels.
    """
    names: tuple[str, ...] = ()
    records: dict[str, frozenset[str]] = {}
    volumes: dict[str, frozenset[str]] = {}
    for path in paths:
        lines = _lines(path)
        line, (key, *cells) = next(lines, (1, [""]))
        if names and names != tuple(cells):
            raise TomovoxError(f"{path}:{line}: other labels than in {paths[0]}; give one")
        names, is_volume = _names(f"{path}:{line}", key, cells), key != KEYS[0]
        for line, (key, *cells) in lines:
            if len(cells) != len(names) or not all(cell in VALUES for cell in cells):
                raise TomovoxError(f"{path}:{line}: wanted a 0 or 1 for {len(names)} labels")
            there = frozenset(n for n, cell in zip(names, cells, strict=True) if VALUES[cell])
            rows, name = (volumes, _stem(key)) if is_volume else (records, key)
            if rows.setdefault(name, there) != there:
                raise TomovoxError(f"{path}:{line}: {key} has other labels above; keep one row")
    scans: dict[str, frozenset[str]] = {}
    for volume, there in volumes.items():
        scans.setdefault(volume.rpartition("_")[0], there)
    return LabelTable(names, records, volumes, scans, "+".join(path.name for path in paths))


def _names(place: str, key: str, cells: Sequence[str]) -> tuple[str, ...]:
    if key not in KEYS or not cells or not all(cells) or len(set(cells)) < len(cells):
        raise TomovoxError(
            f"{place}: no table of labels; its columns are {' or '.join(KEYS)}, then labels"
        )
    return tuple(cells)


def _stem(volume: str) -> str:
    """Return the name of the file of a volume without its ending."""
    name = volume.rpartition("/")[2]
    return next((name.removesuffix(each) for each in ENDINGS if name.endswith(each)), name)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each line that is not empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            for cells in reader:
                if cells:
                    yield reader.line_num, [cell.strip() for cell in cells]
    except OSError as error:
        raise TomovoxError(f"{path}: cannot be read ({error.strerror}); give another") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise TomovoxError(f"{path}: not a CSV file in UTF-8 ({error}); mend it") from None
