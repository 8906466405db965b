"""Which figures do the papers report, and how sure are we of them? The file published.csv.

A figure stands in the catalogue's name and protocol, or in the protocol `unknown`: then nothing of
ours may stand beside it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from tomovox.metrics.catalogue import METRICS, metric_key
from tomovox.metrics.metric import PROTOCOLS, Metric
from tomovox.schema import Task, TomovoxError

NAME = "published.csv"

UNKNOWN = "unknown"
"""The protocol of a figure whose paper does not say how it was computed, on which mean or data."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a paper, by the columns of published.csv in their order.

    `value` is a fraction where `unit`, that of the catalogue, is percent or fraction. `n` is None
    and `split` "unknown" where the paper is not known to say them. `verified` figures were read in
    a paper, or are confirmed by a second one; `note` says by what, or why not.
    """

    system: str
    task: Task
    question_type: str
    metric: str
    protocol: str
    value: float
    unit: str
    n: int | None
    split: str
    source: str
    verified: bool
    note: str

    @property
    def key(self) -> tuple[str, ...]:
        """What no two figures share."""
        place = (self.system, self.task, self.question_type, self.metric, self.protocol)
        return (*place, self.split)


COLUMNS = tuple(field.name for field in fields(Figure))


def reported_rows(task: Task, protocol: str, figures: Sequence[Figure]) -> list[Figure]:
    """Return the figures of a task that may stand beside ours of one protocol.

    There are none for a protocol that the catalogue does not have.
    """
    return [
        f for f in figures if protocol in PROTOCOLS and (f.task, f.protocol) == (task, protocol)
    ]


def published_file() -> Path:
    """Return published.csv of this checkout's baselines, or the copy that a wheel installed.

    Raises TomovoxError where there is neither.
    """
    checkout = Path(__file__).resolve().parents[3] / "baselines" / NAME
    if checkout.is_file():
        return checkout
    try:
        places = [Path(str(file.locate())) for file in files("tomovox") or () if file.name == NAME]
    except PackageNotFoundError:
        places = []
    for place in places:
        if place.is_file():
            return place.resolve()
    raise TomovoxError(f"{NAME}: not part of this installation; name the file, or install again")


def read_published(path: Path | None = None) -> list[Figure]:
    """Return the figures of a file, by default of published_file(), in file order.

    Raises TomovoxError with file and line for a column, task, metric, protocol or unit that is not
    known, what is no number, an empty place, and a figure that stands there twice.
    """
    path = path or published_file()
    lines: dict[tuple[str, ...], int] = {}
    figures = []
    for number, row in _rows(path):
        try:
            figure = _figure(row)
        except ValueError as error:
            raise TomovoxError(f"{path}:{number}: {error}") from None
        if figure.key in lines:
            raise TomovoxError(
                f"{path}:{number}: {' '.join(figure.key)} stands in line {lines[figure.key]} too; "
                f"keep one"
            )
        lines[figure.key] = number
        figures.append(figure)
    return figures


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and cells by column."""
    known = ",".join(COLUMNS)
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            if wrong := [name for name in header if name not in COLUMNS]:
                raise TomovoxError(f"{path}:1: column {wrong[0]!r} is not known; write {known}")
            if tuple(header) != COLUMNS:
                raise TomovoxError(f"{path}:1: columns are missing or moved; write {known}")
            for cells in reader:
                if len(cells) != len(COLUMNS):
                    raise TomovoxError(
                        f"{path}:{reader.line_num}: {len(cells)} cells instead of {len(COLUMNS)}; "
                        f"quote a text that has commas"
                    )
                yield reader.line_num, dict(zip(COLUMNS, cells, strict=True))
    except OSError as error:
        raise TomovoxError(f"{path}: cannot be read ({error.strerror}); give another") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise TomovoxError(f"{path}: not a CSV file in UTF-8 ({error}); mend it") from None


def _figure(row: dict[str, str]) -> Figure:
    """Return the figure of a row; raise ValueError with what is wrong and what to do."""
    for column, cell in row.items():
        if cell != cell.strip() or (not cell and column != "n"):
            raise ValueError(f"{column} {cell!r} is empty or has space around it; only n may be")
    if row["verified"] not in ("yes", "no"):
        raise ValueError(f"verified {row['verified']!r}; write yes or no")
    metric = _metric(row)
    if row["unit"] != metric.unit:
        raise ValueError(f"unit {row['unit']!r} of {metric.name}; write {metric.unit}")
    if row["n"] and not (row["n"].isdecimal() and int(row["n"])):
        raise ValueError(f"n {row['n']!r} is no number of records; write one or leave it empty")
    return Figure(
        system=row["system"],
        task=Task(row["task"]),
        question_type=row["question_type"],
        metric=row["metric"],
        protocol=row["protocol"],
        value=_value(row["value"], metric.unit),
        unit=row["unit"],
        n=int(row["n"]) if row["n"] else None,
        split=row["split"],
        source=row["source"],
        verified=row["verified"] == "yes",
        note=row["note"],
    )


def _metric(row: dict[str, str]) -> Metric:
    """Return the metric that a row names; of an unknown protocol, one of that name."""
    if row["task"] not in set(Task):
        raise ValueError(f"task {row['task']!r} is not known; known: {', '.join(Task)}")
    here = [metric for metric in METRICS.values() if Task(row["task"]) in metric.tasks]
    named = [metric for metric in here if metric.name == row["metric"]]
    if not named:
        names = dict.fromkeys(metric.name for metric in here)
        raise ValueError(
            f"metric {row['metric']!r} is not known for {row['task']}; known: {', '.join(names)}"
        )
    if row["protocol"] == UNKNOWN:
        return named[0]
    protocols = [metric.protocol for metric in named]
    if row["protocol"] not in protocols:
        raise ValueError(
            f"protocol {row['protocol']!r} is not known for {row['metric']}; known: "
            f"{', '.join([*protocols, UNKNOWN])}"
        )
    return METRICS[metric_key(row["metric"], row["protocol"])]


def _value(text: str, unit: str) -> float:
    """Return the number of a text, which is a fraction unless it is a rank."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"value {text!r} is no number; write one such as 0.7578")
    if unit != "rank" and abs(value) > 1:
        raise ValueError(f"value {text} is above 1; write {unit} as a fraction, such as 0.7578")
    return value
