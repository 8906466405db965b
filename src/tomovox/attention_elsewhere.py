"""Where would a model look if something were otherwise: other words, or scrambled weights?

Nothing is answered here: a volume is perceived once, and its slices are scored again and again.
Letters: s scrambles, n slices.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from zlib import crc32

import numpy as np
import torch
from jaxtyping import Float
from rich.progress import Progress

from tomovox.analysis.attended import Attended
from tomovox.attention_cell import Looking, batch_of, threads_of
from tomovox.cell import load_run
from tomovox.models.base import VolumeLM
from tomovox.models.probing import scrambled
from tomovox.schema import Percept, Questions, Record

SCRAMBLES = 20
"""Scrambled models. One alone says nothing: all its records share the profile that it drew."""

VOLUMES_AT_A_TIME = 8
"""Volumes whose percepts are kept while weights are scrambled: that costs more than scoring."""

Scores = tuple[float, ...]


@dataclass
class Elsewhere:
    """Slice scores of the records of some cases, by record id, had something been otherwise.

    `swapped` are those for a question of the task but of another type, asked of another case;
    records of a task of one type have none. `shuffled` are those for the question's own words in
    random order. `scrambled` (s n) are those of models whose scoring weights are scrambled; there
    are none where a prior scores, which has learned nothing that could be scrambled.
    """

    swapped: dict[str, Scores] = field(default_factory=dict)
    shuffled: dict[str, Scores] = field(default_factory=dict)
    scrambled: dict[str, Float[np.ndarray, "s n"]] = field(default_factory=dict)


class _Seen(NamedTuple):
    """A volume that was perceived, and its questions."""

    asked: Sequence[Attended]
    percept: Percept
    questions: Questions


def look_elsewhere(looking: Looking, cases: int, progress: Progress) -> Elsewhere:
    """Return what scores become for all questions about up to so many cases."""
    model = load_run(looking.run)[0].float()
    volumes = looking.volumes(cases)
    donors = swapped_questions(looking.attended)
    found = Elsewhere()
    bar = progress.add_task(f"{looking.run.name}: other words and weights", total=len(volumes))
    with torch.no_grad(), threads_of(looking.run):
        for start in range(0, len(volumes), VOLUMES_AT_A_TIME):
            some = volumes[start : start + VOLUMES_AT_A_TIME]
            seen = [_perceived(model, looking, asked) for asked in some]
            for each in seen:
                found.swapped |= _asked_otherwise(model, looking, each, donors)
                words = {looked.id: _shuffled(looking.records[looked.id]) for looked in each.asked}
                found.shuffled |= _scored(model, looking, each, words)
            if learns_to_score(model):
                found.scrambled |= _scrambled(model, seen)
            progress.advance(bar, len(some))
    return found


def learns_to_score(model: VolumeLM) -> bool:
    """Return whether slice scores come from weights; a prior of TG-IS has none."""
    parts = [model.get_submodule(part) for part in model.scoring_parts]
    return all(getattr(part, "reads_question", True) for part in parts)


def swapped_questions(records: Iterable[Attended]) -> dict[str, str]:
    """Return the record whose question each is asked instead: same task, other type, other case.

    The id of the record decides where among the others the search starts.
    """
    tasks: dict[str, list[Attended]] = {}
    for record in sorted(records, key=lambda record: record.id):
        tasks.setdefault(record.task, []).append(record)
    donors = {}
    for mine in tasks.values():
        for record in mine:
            start = crc32(record.id.encode()) % len(mine)
            for other in (*mine[start:], *mine[:start]):
                if other.case != record.case and other.question_type != record.question_type:
                    donors[record.id] = other.id
                    break
    return donors


def _perceived(model: VolumeLM, looking: Looking, asked: Sequence[Attended]) -> _Seen:
    batch = batch_of(looking, asked)
    return _Seen(asked, model.perceive(batch.studies), batch.questions)


def _asked_otherwise(
    model: VolumeLM, looking: Looking, seen: _Seen, donors: dict[str, str]
) -> dict[str, Scores]:
    """Return the scores of a volume for the questions of other records."""
    records = looking.records
    asked = {}
    for looked in seen.asked:
        if donor := donors.get(looked.id):
            other = records[donor]
            asked[looked.id] = replace(
                records[looked.id], question=other.question, choices=other.choices
            )
    return _scored(model, looking, seen, asked)


def _shuffled(record: Record) -> Record:
    """Return the record with the words of its question in an order that its id draws."""
    words = record.question.split()
    random.Random(crc32(record.id.encode())).shuffle(words)
    return replace(record, question=" ".join(words))


def _scored(
    model: VolumeLM, looking: Looking, seen: _Seen, asked: dict[str, Record]
) -> dict[str, Scores]:
    """Return the scores of a volume when each record's question is the given one, by id."""
    if not asked:
        return {}
    template = looking.data.template
    questions = template.collate(list(asked.values()), [0] * len(asked), train=False)[0]
    return dict(zip(asked, _scores(model, seen.percept, questions), strict=True))


def _scrambled(model: VolumeLM, seen: Sequence[_Seen]) -> dict[str, Float[np.ndarray, "s n"]]:
    """Return what scrambled models score for the questions of some volumes, by record id."""
    drawn: dict[str, list[Scores]] = {}
    for seed in range(SCRAMBLES):
        with scrambled(model, seed):
            for asked, percept, questions in seen:
                rows = _scores(model, percept, questions)
                for looked, row in zip(asked, rows, strict=True):
                    drawn.setdefault(looked.id, []).append(row)
    return {name: np.array(rows) for name, rows in drawn.items()}


def _scores(model: VolumeLM, percept: Percept, questions: Questions) -> list[Scores]:
    """Return the scores of each question, to six digits as predictions keep them."""
    found = model.attend(percept, questions).slice_scores
    assert found is not None
    return [tuple(round(score, 6) for score in row) for row in found.tolist()]
