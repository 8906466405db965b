"""Which records did unreadable volumes cost, and why? Kept beside the results, as left_out.tsv."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tomovox.files import write_atomically
from tomovox.schema import TomovoxError

LEFT_OUT = "left_out.tsv"
COLUMNS = ("split", "id", "reason")


def write_left_out(
    folder: Path, left_out: Sequence[tuple[str, str, str]], checked: Iterable[str]
) -> None:
    """Write (split, id, reason) of the records left out.

    `checked` are the splits that `left_out` is about; what the file says of others is kept. When
    nothing is left out there is no file.
    """
    path, now = folder / LEFT_OUT, set(checked)
    rows = [row for row in _read(path) if row[0] not in now]
    rows = sorted([*rows, *((s, i, " ".join(reason.split())) for s, i, reason in left_out)])
    if rows:
        write_atomically(path, "".join("\t".join(row) + "\n" for row in [COLUMNS, *rows]))
    else:
        path.unlink(missing_ok=True)


def count_left_out(folder: Path) -> dict[str, int]:
    """Return how many records of each split folder/left_out.tsv lists; none without the file."""
    return dict(sorted(Counter(split for split, _, _ in _read(folder / LEFT_OUT)).items()))


def left_out_notes(folders: Iterable[Path]) -> list[str]:
    """Return what a reader of the table must know of the RUN folders whose test is not whole."""
    counts = {folder.name: count_left_out(folder).get("test", 0) for folder in folders}
    return [
        f"{name}: {count} test records left out (unreadable volumes): see {LEFT_OUT}"
        for name, count in counts.items()
        if count
    ]


def in_words(counts: dict[str, int]) -> str:
    """Return "train 4, test 2" of the counts per split."""
    return ", ".join(f"{split} {count}" for split, count in counts.items())


def _read(path: Path) -> list[tuple[str, str, str]]:
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream, dialect="excel-tab", quoting=csv.QUOTE_NONE)
            if tuple(header) != COLUMNS:
                raise ValueError(f"its first line is not {', '.join(COLUMNS)}")
            return [(split, name, reason) for split, name, reason in rows]
    except (OSError, ValueError, csv.Error) as error:  # a row of other length is a ValueError
        raise TomovoxError(f"{path}: not what was left out ({error}); remove the file") from None
