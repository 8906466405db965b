"""What does the table of attention come to? Per question and task a sheet, with verdicts in words.

Sheets show all question types together; attention.csv has each, every plane and every phase.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tomovox.analysis.claims import (
    ALIKE,
    BITS,
    CLAIMS,
    HEADLINES,
    HOW_COMPARED,
    HOW_FLAT,
    HOW_PARTED,
    HOW_SCRAMBLED,
    HOW_SEEDED,
    HOW_SHIFTED,
    HOW_TYPED,
    NO_DIFFERENCE,
    SIGNIFICANT,
    WORDS,
    Claim,
)
from tomovox.analysis.rows import ALL
from tomovox.analysis.table import Run
from tomovox.schema import Task
from tomovox.sheets import BELOW, Sheet

if TYPE_CHECKING:
    import pandas

Place = tuple[Run, str]
"""A run and a task: a line of the sheets over all tasks."""

_Line = tuple[Place, tuple[str, ...]]


def attention_sheets(frame: pandas.DataFrame, told: Sequence[str] = ()) -> list[Sheet]:
    """Return the sheets of a table of attention; `told` are lines that stand below the first.

    Per task: whether scores find the evidence, and whether slices of high scores matter. Over all
    tasks: how flat they are, whether they move with the question, whether they are learned, and
    whether seeds agree. A sheet without rows is left out.
    """
    table = _Table(frame)
    sheets = []
    for task in table.tasks:
        sheets += [_claimed(table, task, claim) for claim in CLAIMS]
        sheets.append(_parted(table, task))
    sheets += [of(table) for of in (_flat, _typed, _shifted, _scrambled, _seeded)]
    sheets = [sheet for sheet in sheets if sheet.rows]
    return [replace(sheets[0], told=(*sheets[0].told, *told)), *sheets[1:]] if sheets else []


def headlines(frame: pandas.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of HEADLINES about all planes and phases, those of each question type too."""
    shown = frame["statistic"].isin(HEADLINES) & (frame["plane"] == "") & (frame["phase"] == "")
    return frame[shown].to_dict("records")


def summary_markdown(sheets: Sequence[Sheet]) -> str:
    """Return the sheets as a page of Markdown; what they tell stands once, below the first."""
    lines = ["# Where do the models look, and does it matter?", ""]
    told: set[str] = set()
    for sheet in sheets:
        lines += [f"## {_escaped(sheet.title)}", "", _line(sheet.heads)]
        lines += [_line("---" if left else "---:" for left in sheet.lefts)]
        for row in sheet.rows:
            indent = "&emsp;" if row[0].startswith(BELOW) else ""
            lines.append(_line((indent + row[0].strip(), *row[1:])))
        lines.append("")
        for line in sheet.told:
            lines += [] if line in told else [_escaped(line), ""]
        told.update(sheet.told)
    return "\n".join(lines)


def verdict_of(cell: Any) -> str:
    """Return "better than ...", "worse than ..." or that no difference is found; "" untested."""
    if cell["p_adjusted"] != cell["p_adjusted"]:
        return ""
    if cell["p_adjusted"] >= SIGNIFICANT or not cell["difference"]:
        return NO_DIFFERENCE
    words = WORDS.get(cell["against"], cell["against"])
    return f"{'better' if cell['difference'] > 0 else 'worse'} than {words}"


class _Table:
    """The rows of a table of attention about all question types, planes and phases together."""

    def __init__(self, frame: pandas.DataFrame) -> None:
        self.frame = frame
        whole = frame[(frame["plane"] == "") & (frame["phase"] == "")]
        self.tasks = [str(task) for task in Task if str(task) in set(whole["task"])]
        seeds = [None if unknown else int(seed) for seed, unknown in _seeds(whole)]
        self.cells: dict[tuple[str, ...], dict[str, Any]] = {}
        self.runs: list[Run] = list(dict.fromkeys(zip(whole["model"], seeds, strict=True)))
        for seed, row in zip(seeds, whole.to_dict("records"), strict=True):
            key = (
                *(row["model"], str(seed), row["task"], row["statistic"]),
                *(row["hidden"], row["against"]),
            )
            if row["question_type"] == ALL:
                self.cells[key] = row
            elif row["statistic"] == "type_shift":  # of two types there is one pair, and no mean
                self.cells.setdefault(key, row)

    def cell(
        self, place: Place, statistic: str, against: str = "", hidden: str = ""
    ) -> dict[str, Any] | None:
        (model, seed), task = place
        return self.cells.get((model, str(seed), task, statistic, hidden, against))

    def parted(self, run: Run, task: str, statistic: str) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the rows of a statistic by question type, plane or phase, and by baseline."""
        model, seed = run
        frame = self.frame
        mine = frame[(frame["model"] == model) & (frame["statistic"] == statistic)]
        mine = mine[
            (mine["task"] == task) & (mine["seed"].fillna(-1) == (-1 if seed is None else seed))
        ]
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for column in ("question_type", "plane", "phase"):
            parted = mine[~mine[column].isin(("", ALL))]
            for row in parted.to_dict("records"):
                found.setdefault(row[column], {})[row["against"]] = row
        return found

    def places(self) -> list[Place]:
        return [(run, task) for run in self.runs for task in self.tasks]

    def label(self, run: Run) -> str:
        """Return the model, and its seed where the table has several of the model."""
        model, seed = run
        several = sum(m == model and s is not None for m, s in self.runs) > 1
        return f"{model} (seed {seed})" if several and seed is not None else model


def _seeds(frame: pandas.DataFrame) -> Iterator[tuple[Any, bool]]:
    return zip(frame["seed"].fillna(0), frame["seed"].isna(), strict=True)


def _claimed(table: _Table, task: str, claim: Claim) -> Sheet:
    """Return the verdicts of a claim: below each statistic of a run a row for each baseline."""
    rows: list[tuple[str, ...]] = []
    for run in table.runs:
        for statistic in claim.statistics:
            compared = [
                cell
                for against in claim.baselines
                if (cell := table.cell((run, task), statistic, against, claim.hidden))
            ]
            if compared:
                rows.append((table.label(run), statistic, _value(compared[0]), "", ""))
            for cell in compared:
                # Of a baseline that some records lack, the value is not the one above.
                fewer = cell["n"] < compared[0]["n"]
                name = BELOW + cell["against"] + (f" ({cell['n']} records)" if fewer else "")
                base = f"{cell['baseline']:.3f}"
                rows.append((name, "", base, _difference(cell), verdict_of(cell)))
    heads = ("model", "metric", "value [95 %]", "difference [95 %]", "verdict")
    return Sheet(f"{task}: {claim.question}", heads, tuple(rows), task, (*claim.told, HOW_COMPARED))


def _parted(table: _Table, task: str) -> Sheet:
    """Return how much of the scores lies on evidence, by question type, plane and phase."""
    against = ("uniform", "area", "other_question")
    rows: list[tuple[str, ...]] = []
    for run in table.runs:
        for name, cells in table.parted(run, task, "evidence_mass").items():
            first = cells.get("uniform") or next(iter(cells.values()))
            less = [_marked(cells[base]) if base in cells else "" for base in against]
            rows.append((table.label(run), name, str(first["n"]), _value(first), *less))
    heads = (
        "model",
        "question type",
        "n",
        "evidence_mass [95 %]",
        *(f"less {base}" for base in against),
    )
    title = f"{task}: does it find them for every question type, plane and phase?"
    return Sheet(title, heads, tuple(rows), task, (HOW_PARTED,))


def _over_tasks(
    table: _Table, title: str, heads: tuple[str, ...], rows: Iterable[_Line], told: str
) -> Sheet:
    named = tuple((table.label(run), task, *cells) for (run, task), cells in rows)
    return Sheet(title, ("model", "task", *heads), named, told=(told,))


def _flat(table: _Table) -> Sheet:
    rows = [
        (place, (_value(cell, ".1f"), f"{cell['baseline']:.1f}", _share(cell)))
        for place in table.places()
        if (cell := table.cell(place, "effective_slices", "uniform"))
    ]
    heads = ("effective slices [95 %]", "of", "share")
    return _over_tasks(table, "How flat are the scores?", heads, rows, HOW_FLAT)


def _typed(table: _Table) -> Sheet:
    rows = []
    for place in table.places():
        if cell := table.cell(place, "type_shift", "permuted"):
            p = cell["p_adjusted"]
            said = "moves with the words of the type" if p < SIGNIFICANT else NO_DIFFERENCE
            base = f"{cell['baseline']:{BITS}}"
            rows.append((place, (_value(cell, BITS), base, f"{p:.3f}", said)))
    heads = ("type_shift [95 %]", "permuted", "p, adjusted", "verdict")
    title = "Do the scores move with the type of the question?"
    return _over_tasks(table, title, heads, rows, HOW_TYPED)


def _shifted(table: _Table) -> Sheet:
    statistics = ("other_question", "swapped_question", "shuffled_words", "other_volume")
    rows = []
    for place in table.places():
        cells = [table.cell(place, statistic) for statistic in statistics]
        if any(cells):
            rows.append((place, tuple(_value(cell, BITS) if cell else "" for cell in cells)))
    heads = tuple(f"{statistic} [95 %]" for statistic in statistics)
    title = "How far do the scores move with the question, its words, and the volume?"
    return _over_tasks(table, title, heads, rows, HOW_SHIFTED)


def _scrambled(table: _Table) -> Sheet:
    rows = []
    for place in table.places():
        if cell := table.cell(place, "scrambled_correlation"):
            rows.append((place, (_value(cell), _likeness(cell))))
        elif table.cell(place, "shuffled_words"):
            rows.append((place, ("n/a", "")))
    heads = ("scrambled_correlation [95 %]", "likeness to scrambled weights")
    title = "Would scrambled weights look at the same slices?"
    return _over_tasks(table, title, heads, rows, HOW_SCRAMBLED)


def _likeness(cell: Any) -> str:
    """Return high or low where the interval says so; "open" where it lies on both sides."""
    if cell["lo"] != cell["lo"]:
        return ""
    return "high" if cell["lo"] > ALIKE else "low" if cell["hi"] < ALIKE else "open"


def _seeded(table: _Table) -> Sheet:
    rows = []
    for place in table.places():
        if cell := table.cell(place, "seed_correlation", "other_case"):
            said = verdict_of(cell)
            base = f"{cell['baseline']:.3f}"
            rows.append((place, (_value(cell), base, _difference(cell), said)))
    heads = ("seed_correlation [95 %]", "other cases", "difference [95 %]", "verdict")
    return _over_tasks(table, "Do seeds look at the same slices?", heads, rows, HOW_SEEDED)


def _value(cell: Any, form: str = ".3f") -> str:
    """Return "0.123 [0.101, 0.145]", without the interval where there is none."""
    return f"{cell['value']:{form}}{_interval(cell['lo'], cell['hi'], form)}"


def _difference(cell: Any) -> str:
    ends = _interval(cell["difference_lo"], cell["difference_hi"], "+.3f")
    return f"{cell['difference']:+.3f}{ends}"


def _marked(cell: Any) -> str:
    return _difference(cell) + (" *" if cell["p_adjusted"] < SIGNIFICANT else "")


def _interval(low: float, high: float, form: str) -> str:
    return "" if low != low else f" [{low:{form}}, {high:{form}}]"


def _share(cell: Any) -> str:
    return f"{100 * cell['value'] / cell['baseline']:.0f}%"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    return text.replace("_", r"\_").replace("[", r"\[").replace("|", r"\|")
