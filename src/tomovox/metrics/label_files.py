"""Which findings have the records of a data set? Tables of labels, as CT-RATE publishes them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tomovox.schema import TomovoxError

KEYS = ("id", "VolumeName")
"""What the first column may be: the id of a record, or the file of a volume."""

VALUES = {"0": False, "1": True, "0.0": False, "1.0": True}


@dataclass(frozen=True)
class LabelTable:
    """The labels of some files: `names` in their order, and what each record or volume has.

    `source` is what the files are called.
    """

    names: tuple[str, ...]
    rows: dict[str, frozenset[str]]
    source: str

    def of(self, record: str) -> frozenset[str] | None:
        """Return the labels of a record, None without a row.

        Its row is that of its id, or of a volume that the last part of the id names, alone or as
        its scan: report/test/valid_53_a has those of valid_53_a_1.nii.gz.
        """
        return self.rows.get(record, self.rows.get(record.rpartition("/")[2]))


def read_label_files(paths: Sequence[Path]) -> LabelTable:
    """Return the labels of tables with the same columns: one of KEYS, then a 0 or 1 per label.

    All volumes of a scan have the labels of its first row. Raises TomovoxError with file and line
    for what is no such table.
    """
    names: tuple[str, ...] = ()
    rows: dict[str, frozenset[str]] = {}
    for path in paths:
        for line, (key, *cells) in _lines(path):
            if line == 1:
                if names and names != tuple(cells):
                    raise TomovoxError(f"{path}:1: other labels than in {paths[0]}; give one")
                names, is_volume = _names(path, key, cells), key != KEYS[0]
                continue
            if len(cells) != len(names) or not all(cell in VALUES for cell in cells):
                raise TomovoxError(f"{path}:{line}: wanted a 0 or 1 for {len(names)} labels")
            there = frozenset(n for n, cell in zip(names, cells, strict=True) if VALUES[cell])
            for called in _called(key) if is_volume else (key,):
                rows.setdefault(called, there)
    if not names:
        raise TomovoxError(f"{paths[0]}: holds no labels; give a table of labels")
    return LabelTable(names, rows, "+".join(path.name for path in paths))


def _names(path: Path, key: str, cells: Sequence[str]) -> tuple[str, ...]:
    if key not in KEYS or not cells or not all(cells) or len(set(cells)) < len(cells):
        raise TomovoxError(
            f"{path}:1: no table of labels; its columns are {' or '.join(KEYS)}, then labels"
        )
    return tuple(cells)


def _called(volume: str) -> tuple[str, str]:
    """Return what names a volume: its file without ending, and its scan."""
    stem = volume.partition(".")[0]
    return stem, stem.rpartition("_")[0]


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
