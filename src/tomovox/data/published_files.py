"""What does a file of a data set hold, as text, as JSON, as csv rows, as records?

A file that cannot be read is one DataFault that names it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tomovox.data.faults import DataFault, Faults
from tomovox.parsed import json_of
from tomovox.schema import LETTERS, Record

Row = TypeVar("Row")


def read_text(path: Path, asked_by: str = "") -> str:
    """Return the text of a file in UTF-8; `asked_by` follows its name in a DataFault."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unreadable(path, error, asked_by) from None
    except UnicodeDecodeError as error:
        raise DataFault(
            f"{path}{asked_by}",
            f"not text in UTF-8 ({error.reason} at byte {error.start})",
            "save it again",
        ) from None


def read_json(path: Path) -> Any:
    """Return the value of a JSON file; DataFault with the line of what is broken."""
    try:
        return json_of(read_text(path))
    except json.JSONDecodeError as error:
        raise DataFault(
            f"{path}:{error.lineno}", f"broken JSON ({error.msg})", "download the file again"
        ) from None
    except ValueError as error:
        raise DataFault(str(path), f"broken JSON ({error})", "download the file again") from None


def csv_rows(path: Path, columns: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a csv file as text; DataFault when one of `columns` is missing.

    A row with fewer or more cells than the header holds the value or the key None.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise DataFault(
                    str(path),
                    f"no column {', '.join(map(repr, missing))} in its first line",
                    "add it or download the file again",
                )
            yield from reader
    except OSError as error:
        raise _unreadable(path, error) from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataFault(str(path), f"not a csv file in UTF-8 ({error})", "save it again") from None


def records_of_rows(
    rows: Iterable[Row], record_of: Callable[[Row, int], Record], faults: Faults | None
) -> list[Record]:
    """Return the records of all rows; what is wrong with one goes to `faults`."""
    faults = faults or Faults()
    records = []
    try:
        for number, row in enumerate(rows):
            try:
                records.append(record_of(row, number))
            except DataFault as fault:
                faults.add(fault)
    except DataFault as fault:  # the file itself ends early; what was read before it counts
        faults.add(fault)
    return records


def check_width(row: dict[str, str], place: str) -> None:
    """Raise DataFault for a csv row that has more or fewer cells than its header."""
    if None in row or None in row.values():
        raise DataFault(place, "has more or fewer cells than the header", "mend the row")


def choices_text(choices: tuple[str, ...]) -> str:
    """Return what a closed question appends to its stem: " Choices: A. axial B. ..."."""
    letters = LETTERS[: len(choices)]
    listed = " ".join(f"{letter}. {text}" for letter, text in zip(letters, choices, strict=True))
    return f" Choices: {listed}"


def _unreadable(path: Path, error: OSError, asked_by: str = "") -> DataFault:
    return DataFault(
        f"{path}{asked_by}",
        f"cannot be read ({error.strerror})",
        "check the data root or download the file",
    )
