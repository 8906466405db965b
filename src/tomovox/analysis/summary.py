"""What does the table of attention come to? Per question and task a sheet, with verdicts in words.

Sheets show all question types together; attention.csv has each, every plane and every phase.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tomovox.analysis.rows import ALL
from tomovox.analysis.table import Run
from tomovox.schema import Task
from tomovox.sheets import BELOW, Sheet

if TYPE_CHECKING:
    import pandas

SIGNIFICANT = 0.05
"""An adjusted p below this is a difference."""

WORDS = {
    "uniform": "uniform",
    "gaussian": "the centre prior",
    "area": "the area prior",
    "random": "random",
    "centre": "the centre",
    "chance": "chance",
    "shuffled": "shuffled",
}
"""Name in column `against` -> how a verdict calls it."""

BITS = ".2g"
"""Divergences of flat scores are small: they are shown to two digits wherever these stand."""

NO_DIFFERENCE = "no difference found"

HOW_COMPARED = (
    "Below a value stands what each baseline scores on the same records, and the difference to it. "
    "95 % intervals from a bootstrap over cases; p from swaps by case, corrected over all groups "
    f'of a statistic; "{NO_DIFFERENCE}" is a p of 0.05 or more.'
)
HOW_FLAT = (
    "Effective slices are exp(entropy): over how many slices uniform scores would be as flat. They "
    "stand beside the number of slices."
)
HOW_SHIFTED = (
    "Jensen-Shannon divergence, 0 to 1 bit: other_question between questions of a task about one "
    "volume, other_volume between volumes asked one question."
)
HOW_TYPED = (
    "type_shift is the divergence between the mean scores of question types; shuffled is what it "
    "is when types are permuted within volumes."
)
HOW_SCRAMBLED = (
    "Rank correlation with the scores of the model whose scoring weights are scrambled: 1 means "
    "that nothing learned decides them."
)
HOW_SEEDED = "Rank correlation between seeds, beside that of other cases of the same question type."


@dataclass(frozen=True)
class Claim:
    """What is asked of a model per task, and the statistics that answer it, larger is better."""

    question: str
    statistics: tuple[str, ...]
    baselines: tuple[str, ...]
    told: tuple[str, ...]
    hidden: str = ""


LOCAL = Claim(
    "does it find the slices that hold the answer?",
    ("evidence_mass", "pointing_hit"),
    ("uniform", "gaussian", "area"),
    (
        "evidence_mass is the share of the scores on slices that hold the answer, pointing_hit how "
        "often the highest is; gaussian is a prior about the centre, area where the evidence of "
        "other cases lies. Only questions whose evidence is local count.",
    ),
)
_ORDERED = ("top_hidden", "deletion_auc", "insertion_auc", "effect_correlation")
_BASELINES = ("random", "centre", "chance")
_COSTS = (
    "What hiding costs the model's own answer, in nats: its 3 top slices (top_hidden), one after "
    "the other (deletion_auc), and what showing them gains (insertion_auc), against slices in "
    "random order and from the centre; effect_correlation ranks scores against the cost of each "
    "slice alone."
)
PERCEPT = Claim(
    "slices hidden in the percept: do high scores matter more?",
    _ORDERED,
    _BASELINES,
    (_COSTS, "Hidden in the percept, a slice still speaks through what else saw it (3D tokens)."),
    "percept",
)
INPUT = Claim(
    "slices hidden in the input: do high scores matter more?",
    _ORDERED,
    _BASELINES,
    (_COSTS, "Hidden in the input, a slice is gone before anything perceives it."),
    "input",
)
CLAIMS = (LOCAL, PERCEPT, INPUT)

HEADLINES = frozenset(
    (
        *LOCAL.statistics,
        *_ORDERED,
        *("effective_slices", "type_shift", "other_question", "other_volume"),
        "scrambled_correlation",
    )
)
"""The statistics that a run's page shows."""

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
    sheets = [_claimed(table, task, claim) for task in table.tasks for claim in CLAIMS]
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
                name, base = BELOW + cell["against"], f"{cell['baseline']:.3f}"
                rows.append((name, "", base, _difference(cell), verdict_of(cell)))
    heads = ("model", "metric", "value [95 %]", "difference [95 %]", "verdict")
    return Sheet(f"{task}: {claim.question}", heads, tuple(rows), task, (*claim.told, HOW_COMPARED))


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
        if cell := table.cell(place, "type_shift", "shuffled"):
            p = cell["p_adjusted"]
            said = "moves with the type" if p < SIGNIFICANT else NO_DIFFERENCE
            base = f"{cell['baseline']:{BITS}}"
            rows.append((place, (_value(cell, BITS), base, f"{p:.3f}", said)))
    heads = ("type_shift [95 %]", "shuffled", "p, adjusted", "verdict")
    title = "Do the scores move with the type of the question?"
    return _over_tasks(table, title, heads, rows, HOW_TYPED)


def _shifted(table: _Table) -> Sheet:
    rows = []
    for place in table.places():
        asked, seen = table.cell(place, "other_question"), table.cell(place, "other_volume")
        if asked and seen:
            said = NO_DIFFERENCE
            if asked["hi"] < seen["lo"] or seen["hi"] < asked["lo"]:
                said = f"more with the {'volume' if asked['hi'] < seen['lo'] else 'question'}"
            rows.append((place, (_value(asked, BITS), _value(seen, BITS), said)))
    heads = ("other_question [95 %]", "other_volume [95 %]", "verdict")
    title = "What moves the scores more: the question or the volume?"
    return _over_tasks(table, title, heads, rows, HOW_SHIFTED)


def _scrambled(table: _Table) -> Sheet:
    rows = []
    for place in table.places():
        if cell := table.cell(place, "scrambled_correlation", "chance"):
            alike = cell["p_adjusted"] < SIGNIFICANT and cell["value"] > 0
            said = "in part not learned" if alike else "no likeness found: learned"
            rows.append((place, (_value(cell), said)))
    heads = ("scrambled_correlation [95 %]", "verdict")
    return _over_tasks(table, "Are the scores learned?", heads, rows, HOW_SCRAMBLED)


def _seeded(table: _Table) -> Sheet:
    rows = []
    for place in table.places():
        if cell := table.cell(place, "seed_correlation", "shuffled"):
            said = verdict_of({**cell, "against": "other cases"})
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


def _interval(low: float, high: float, form: str) -> str:
    return "" if low != low else f" [{low:{form}}, {high:{form}}]"


def _share(cell: Any) -> str:
    return f"{100 * cell['value'] / cell['baseline']:.0f}%"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    return text.replace("_", r"\_").replace("[", r"\[").replace("|", r"\|")
