"""Do our rows reach the figures of their papers? Reported beside ours, and what is known to differ.

Only numbers of one metric in one protocol meet. That both come from the same data is for the caller
to know: a run does not say which data set it read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from tomovox.judge.cells import beside_trivial
from tomovox.judge.published import Figure
from tomovox.judge.reported import SAME_DATA, same_numbers, systems_of
from tomovox.metrics.metric import PROTOCOLS
from tomovox.sheets import printable

if TYPE_CHECKING:
    import pandas

DEVIATIONS = {
    "m3d_clip": "sentences and turns drawn by seed, epoch and pair; padding to the longest report",
    "m3d_lamed": "no turns and flips; stage 2 keeps the input embeddings of stage 1; no mask head "
    "unless asked for",
    "med2e3": "the text projection of TG-IS is loaded; the frozen question encoder has no dropout; "
    "no turns and flips",
    "ms_vlm": "re-implementation, there is no official code; a resampler of width 768; no stage of "
    "masked embeddings; padded slices hidden from the resampler",
}
"""What differs from the released systems even at published size: the README of each says more."""

LARGEST = "At published size; recipes of scale tiny and smol differ in models and volumes as well."

_MARKS = re.compile(r"([\\`*_\[\]<>|])")


@dataclass(frozen=True, slots=True)
class Entry:
    """A reported figure beside ours; `ours` is None where the metric could not run.

    `ours_lo` and `ours_hi` end the 95 % interval of ours over its `cases`, None where the table has
    none. `difference` is ours less reported, in the unit of both: fractions, or ranks.
    """

    model: str
    seed: int | None
    system: str
    task: str
    question_type: str
    metric: str
    protocol: str
    reported: float
    ours: float | None
    ours_lo: float | None
    ours_hi: float | None
    difference: float | None
    unit: str
    n_reported: int | None
    n_ours: int
    cases: int | None
    split: str
    source: str
    verified: bool
    deviations: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """What `ledger` returns: the entries, and the system of each row of the table that has one."""

    entries: list[Entry]
    systems: dict[str, str]


def ledger(
    frame: pandas.DataFrame,
    published: Sequence[Figure],
    systems: Mapping[str, str] | None = None,
) -> Ledger:
    """Return every row of a long table (judge.tables) that a paper has the same number of.

    `same_numbers` finds them; controls and reported rows have none. `systems` names the system of a
    row's model; any other model that is named as a system is that one (see `systems_of`).
    DEVIATIONS say what is known to differ. Raises TomovoxError when `systems` names a row
    that is not there, or a system that neither figures nor deviations have.
    """
    names = DEVIATIONS.keys() | {figure.system for figure in published}
    mapped = systems_of(frame, names, systems)
    entries = [
        _entry(row, figure, DEVIATIONS.get(figure.system, ""))
        for row, figure in same_numbers(frame, published)
        if figure.system == mapped.get(row["model"])
    ]
    return Ledger(entries, mapped)


def _entry(row: Mapping[str, Any], figure: Figure, deviations: str) -> Entry:
    import pandas

    def number(name: str) -> float | None:
        return None if name not in row or pandas.isna(row[name]) else float(row[name])

    ours, cases = number("value"), number("cases")
    return Entry(
        model=row["model"],
        seed=None if pandas.isna(row["seed"]) else int(row["seed"]),
        system=figure.system,
        task=str(figure.task),
        question_type=figure.question_type,
        metric=figure.metric,
        protocol=figure.protocol,
        reported=figure.value,
        ours=ours,
        ours_lo=number("lo"),
        ours_hi=number("hi"),
        difference=None if ours is None else ours - figure.value,
        unit=figure.unit,
        n_reported=figure.n,
        n_ours=int(row["n"]),
        cases=None if cases is None else int(cases),
        split=figure.split,
        source=figure.source,
        verified=figure.verified,
        deviations=deviations,
    )


def ledger_tsv(found: Ledger) -> str:
    """Return a line per entry, tab-separated, with the fields of Entry as its header.

    Values have six digits; what is not known is empty, `verified` yes or no.
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(field.name for field in fields(Entry))
    writer.writerows([_plain(cell) for cell in asdict(entry).values()] for entry in found.entries)
    return text.getvalue()


def _plain(cell: str | float | bool | None) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return f"{cell:.6f}" if isinstance(cell, float) else printable(str(cell))


def ledger_markdown(found: Ledger, facts: Mapping[str, str] | None = None) -> str:
    """Return a table per protocol, and below them what is known to differ, row by row.

    A row of a system without a comparable figure is named there too. The `facts` are what somebody
    needs to make ours again, such as the commit.
    """
    lines = ["# Reproduction ledger", "", SAME_DATA, ""]
    lines += [f"- {_escaped(name)}: {_escaped(fact)}" for name, fact in (facts or {}).items()]
    lines += [""] if facts else []
    for protocol in PROTOCOLS:
        entries = [entry for entry in found.entries if entry.protocol == protocol]
        if entries:
            lines += [f"## protocol {protocol}", "", *_table(entries), ""]
    lines += ["## Known deviations", "", LARGEST, ""]
    compared = {entry.model for entry in found.entries}
    for model, system in found.systems.items():
        note = DEVIATIONS.get(system) or "none listed"
        alone = "" if model in compared else " (no comparable figure)"
        lines.append(f"- {_escaped(model)}{alone}: {_escaped(note)}")
    return "\n".join([*lines, ""])


def _table(entries: Iterable[Entry]) -> list[str]:
    heads = (
        *("row", "system", "task", "type", "metric", "reported", "ours [95 %]", "difference"),
        *("n reported", "n ours", "cases", "verified", "source"),
    )
    lines = ["| " + " | ".join(heads) + " |", "|---" * 5 + "|---:" * 6 + "|---" * 2 + "|"]
    for entry in entries:
        name = entry.model if entry.seed is None else f"{entry.model} (seed {entry.seed})"
        cells = (
            *(name, entry.system, entry.task, entry.question_type),
            beside_trivial(entry.metric, entry.protocol),
            *(_shown(entry.reported, entry.unit), _with_interval(entry)),
            _shown(entry.difference, entry.unit, "+").replace("%", " points"),
            "not stated" if entry.n_reported is None else str(entry.n_reported),
            *(str(entry.n_ours), "n/a" if entry.cases is None else str(entry.cases)),
            *("yes" if entry.verified else "no", entry.source),
        )
        lines.append("| " + " | ".join(_escaped(cell) for cell in cells) + " |")
    return lines


def _with_interval(entry: Entry) -> str:
    value = _shown(entry.ours, entry.unit)
    if entry.ours_lo is None or entry.ours_hi is None:
        return value
    ends = (_shown(end, entry.unit).removesuffix("%") for end in (entry.ours_lo, entry.ours_hi))
    return f"{value} [{', '.join(ends)}]"


def _shown(value: float | None, unit: str, sign: str = "") -> str:
    """Return a value with the digits of papers: 75.78%, 0.1438."""
    if value is None:
        return "n/a"
    digits = {"percent": 2, "rank": 1}.get(unit, 4)
    percent = unit == "percent"
    return f"{100 * value if percent else value:{sign}.{digits}f}{'%' if percent else ''}"


def _escaped(text: str) -> str:
    return _MARKS.sub(r"\\\1", printable(text))
