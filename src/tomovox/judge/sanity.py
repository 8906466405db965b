"""Which text metrics reward what is wrong? Texts of known worth, scored as if a model wrote them.

A metric can be trusted as far as its score of the negated reference lies below its score of the
reference, and a model says something of the image as far as it lies above another case's reference.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tomovox.judge.cells import (
    Run,
    beside_trivial,
    cells_of,
    metrics_in,
    runs_of,
    shown,
    span,
    where,
)
from tomovox.judge.columns import Column, columns_of
from tomovox.judge.compare import DRAWS, LEVEL, SEED
from tomovox.judge.reliance import LEAST_GAIN
from tomovox.judge.score import ALL, check_one_data_set, score
from tomovox.judge.tables import build_table, model_and_seed
from tomovox.metrics.metric import PROTOCOLS, Metric
from tomovox.schema import NONE, Prediction, Task, TomovoxError
from tomovox.sheets import Sheet, in_order
from tomovox.statistics.bootstrap import shared_draws
from tomovox.statistics.way import way_between

if TYPE_CHECKING:
    import pandas

TASKS = (Task.REPORT, Task.CASE_REPORT, Task.VQA_OPEN)
"""The tasks whose references are sentences or words that can be denied."""

REFERENCE, NEGATED, SHUFFLED = "(reference)", "(negated)", "(another case)"
"""The names of the made-up rows: a ceiling, the reference denied, that of another case as floor."""

CEILING: Run = (REFERENCE, None, NONE)
FLOOR: Run = (SHUFFLED, None, NONE)

WAY = ("way", "way_lo", "way_hi", "cases")
"""Columns that the board adds to the long table: (value - floor) / (ceiling - floor), the ends of
its interval over cases, and how many cases it counts."""

HOW_READ = (
    f"Rows named value hold the metric itself: of the floor {SHUFFLED}, which is given the "
    f"reference of another case, and of the ceiling {REFERENCE}. Every other row says how much of "
    f"the way between them it has gone [{LEVEL:.0%} interval over cases]; {NEGATED} is the "
    f"reference with every sentence denied."
)

_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?;])(?=\s)|(?=\n)")  # the dot of 3.5 mm ends none
_NEGATION = re.compile(r"\b(?:no|not)\b\s*|\b(with)out\b", re.IGNORECASE)
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|had|shows?|appears?)\b", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")


def sanity_board(
    runs: Mapping[str, Iterable[Prediction]],
    seed: int = 0,
    more: Callable[[Sequence[Prediction]], Sequence[Metric]] = lambda answers: (),
) -> pandas.DataFrame:
    """Return the long table of reports and open questions of all runs and of the made-up rows.

    It has the columns of `build_table`, for all records of a task, and WAY. A way is made of the
    records that its row, the ceiling and the floor have in common; it is NaN where the ceiling does
    not stand clearly above the floor. The made-up rows hold the records of all runs, but for those
    that `shuffled` leaves out. `more` makes further metrics of the answers of a row. Raises
    TomovoxError when two runs do not have the same reference for a record, when a run has a made-up
    row's name, when there is neither a report nor an open question, and when all are of one case.
    """
    import pandas

    scores = {
        (*model_and_seed(name), NONE): score(predictions, more=more(predictions))
        for name, predictions in _answers(runs, seed).items()
    }
    frame = build_table({run: found.rows for run, found in scores.items()})
    frame = where(frame, question_type=ALL).reset_index(drop=True)
    ways: dict[tuple[Any, ...], dict[str, float]] = {}
    for column in columns_of({run: found.samples for run, found in scores.items()}):
        for run in column.runs:
            ways[run, ALL, column.metric, column.protocol, column.task] = _way(column, run)
    added = []
    for task, part in frame.groupby("task", sort=False):  # the frame is sorted by task
        added += [ways.get((*place, task), {}) for place in cells_of(part)]
    extra = pandas.DataFrame(added, columns=list(WAY))
    extra["cases"] = extra["cases"].astype("Int64")
    return frame.join(extra)


def _answers(
    runs: Mapping[str, Iterable[Prediction]], seed: int
) -> dict[str, Sequence[Prediction]]:
    """Return what every row of the board answers, the made-up ones first."""
    mine = {
        name: [record for record in predictions if record.task in TASKS]
        for name, predictions in runs.items()
    }
    asked = _records(mine)
    if not asked:
        raise TomovoxError(
            f"no answers to {' or '.join(TASKS)} in these runs; name a run that has some"
        )
    answers: dict[str, Sequence[Prediction]] = {
        REFERENCE: [replace(record, text=record.reference) for record in asked],
        NEGATED: [replace(record, text=negated(record.reference)) for record in asked],
        SHUFFLED: shuffled(asked, seed),
    }
    if not answers[SHUFFLED]:
        raise TomovoxError(
            f"{asked[0].id}: no other case has a reference that could be the floor; name a run of "
            f"more cases"
        )
    if taken := sorted(answers.keys() & mine.keys()):
        raise TomovoxError(f"run {taken[0]}: the name is that of a made-up row; rename the run")
    return answers | mine


def _way(column: Column, run: Run) -> dict[str, float]:
    """Return the columns WAY of one run in one metric; none of them without a common record."""
    among = column.common((run, CEILING, FLOOR))
    if among is None:
        return {}
    value, ceiling, floor = (among.statistic(place, ALL) for place in (run, CEILING, FLOOR))
    if value is None or ceiling is None or floor is None:
        return {}
    weights = shared_draws(len(among.case_index), DRAWS, SEED)
    cases = among.counts(run, ALL)[1]
    found = way_between(floor, ceiling, value, weights, LEAST_GAIN, LEVEL)
    return {"cases": cases} if found is None else dict(zip(WAY, (*found, cases), strict=True))


def sanity_sheets(board: pandas.DataFrame) -> list[Sheet]:
    """Return a sheet for each task and protocol of a board: every row of it, every metric.

    A metric without a way stands below the sheet, and so does the reason of one that did not run.
    """
    sheets = []
    labels = runs_of(board)
    made_up = [(name, None, NONE) for name in (REFERENCE, SHUFFLED, NEGATED)]
    runs = {run: labels[run] for run in [*made_up, *(r for r in labels if r not in made_up)]}
    for task in in_order(board["task"], [str(task) for task in TASKS]):
        for protocol in in_order(where(board, task=task)["protocol"], list(PROTOCOLS)):
            part = where(board, task=task, protocol=protocol)
            sheets.append(_sheet(part, task, protocol, runs))
    return sheets


def _sheet(part: pandas.DataFrame, task: str, protocol: str, runs: Mapping[Run, str]) -> Sheet:
    cells, heads = cells_of(part), []
    told = [HOW_READ]
    for metric, _ in metrics_in(part):
        mine = where(part, metric=metric)
        if mine["way"].notna().any():
            heads.append(metric)
            continue
        notes = "; ".join(sorted(set(mine["note"]) - {""}))
        reason = notes or "the ceiling is not clearly above the floor"
        told.append(f"{task}, {metric} of protocol {protocol}: {reason}")
    rows = []
    for run, label in runs.items():
        is_value = run in (CEILING, FLOOR)
        row = [f"{label}, value" if is_value else label]
        for metric in heads:
            cell = cells.get((run, ALL, metric, protocol))
            row.append(shown(cell, metric, protocol, short=True) if is_value else _shown(cell))
        rows.append(tuple(row))
    named = (beside_trivial(metric, protocol) for metric in heads)
    title = f"{task}, protocol {protocol}: from floor to ceiling ({span(part['n'])})"
    return Sheet(title, ("model", *named), tuple(rows), task, tuple(told))


def _shown(cell: Any) -> str:
    """Return a way as it is read: "4% [2, 7]"; n/a where a row has none."""
    if cell is None or np.isnan(cell["way"]):
        return "n/a"
    way, low, high = (round(100 * cell[name]) for name in WAY[:3])
    return f"{way}% [{low}, {high}]"


def _records(runs: Mapping[str, Sequence[Prediction]]) -> list[Prediction]:
    """Return one prediction of every record, by id."""
    check_one_data_set(
        {name: {r.id: (r.case, r.reference) for r in mine} for name, mine in runs.items()}
    )
    found = {record.id: record for mine in runs.values() for record in mine}
    return [found[key] for key in sorted(found)]


def shuffled(records: Sequence[Prediction], seed: int) -> list[Prediction]:
    """Return the records, each answered with the reference of a record of another case.

    Task and question type stay the same; each reference is given once. The cases come in an order
    drawn from `seed`, and every record takes the reference as far ahead as the largest case has
    records, so that it leaves its own case. Where one case has more than half of the records it
    cannot, and the record is left out.
    """
    groups: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.id):
        groups[str(record.task), record.question_type].append(record)
    answers = []
    for group in groups.values():
        by_case: dict[str, list[Prediction]] = defaultdict(list)
        for record in group:
            by_case[record.case].append(record)
        cases = random.Random(seed).sample(sorted(by_case), len(by_case))
        row = [record for case in cases for record in by_case[case]]
        ahead = max(map(len, by_case.values()))
        for i, record in enumerate(row):
            other = row[(i + ahead) % len(row)]
            if other.case != record.case:
                answers.append(replace(record, text=other.reference))
    return answers


def negated(text: str) -> str:
    """Return the text with every sentence denied by one rule; the grammar may suffer.

    A sentence that has "no" or "not" loses each, and "without" becomes "with". Any other gets a
    "not" behind its first is, are, was, were, has, have, had, show(s) or appear(s), and one without
    such a verb a "no" in front. Sentences end at line ends and at . ! ? ; before a space. A text
    that is "yes" or "no" becomes the other.
    """
    answer = re.fullmatch(r"(\W*)(?:(yes)|no)(\W*)", text, re.IGNORECASE)
    if answer:
        return _like(text, f"{answer[1]}{'no' if answer[2] else 'yes'}{answer[3]}")
    return "".join(_denied(part) for part in _BETWEEN_SENTENCES.split(text))


def _denied(sentence: str) -> str:
    if not re.search(r"\w", sentence):
        return sentence
    if _NEGATION.search(sentence):
        return _like(sentence, _NEGATION.sub(lambda found: found[1] or "", sentence))
    if _VERB.search(sentence):
        return _VERB.sub(lambda found: f"{found[0]} not", sentence, count=1)
    return _like(sentence, re.sub(r"\w.*", _with_no, sentence, count=1, flags=re.DOTALL))


def _with_no(found: re.Match[str]) -> str:
    text = found[0]
    name = text[1:2].isupper() or text[1:2].isdigit()  # CT and T2 keep their capital
    return f"no {text if name else text[0].lower() + text[1:]}"


def _like(sentence: str, changed: str) -> str:
    """Return `changed` with a capital where `sentence` begins with one."""
    old, new = _LETTER.search(sentence), _LETTER.search(changed)
    if old is None or new is None or not old[0].isupper():
        return changed
    return changed[: new.start()] + new[0].upper() + changed[new.end() :]
