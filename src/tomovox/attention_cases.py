"""What does a single volume look like beside the weights of its slices? A few case sheets."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING

from tomovox.analysis.attended import Attended
from tomovox.analysis.figure_case import case_sheet
from tomovox.analysis.table import Run
from tomovox.attention_cell import Looking
from tomovox.data.volumes import read_volume
from tomovox.schema import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHEETS = 3
"""Volumes that get a sheet."""

MOST_QUESTIONS = 3
"""Questions on a sheet."""


def case_sheets(looking: Mapping[Run, Looking]) -> dict[str, Figure]:
    """Return sheets of a few volumes, by name: case-1, case-2, ...

    They show closed questions whose evidence is local, one of a type, and every model's answers to
    them, of its first seed. A hash of the volume's name picks the volumes: nobody does.
    """
    models: dict[str, Looking] = {}
    for model, seed in sorted(looking, key=str):
        models.setdefault(model, looking[model, seed])
    asked: dict[str, dict[str, Attended]] = {}
    for mine in models.values():
        for looked in mine.attended:
            if looked.located and looked.task == Task.VQA_CLOSED:
                asked.setdefault(looked.volume, {}).setdefault(looked.question_type, looked)
    picked = sorted(asked, key=lambda name: sha256(name.encode()).digest())[:SHEETS]
    return {
        f"case-{number}": _sheet(models, [looked.id for looked in asked[volume].values()])
        for number, volume in enumerate(picked, 1)
    }


def _sheet(models: Mapping[str, Looking], wanted: list[str]) -> Figure:
    """Return the sheet of some questions about one volume."""
    ids = sorted(wanted)[:MOST_QUESTIONS]
    looked = {
        model: [each for each in mine.attended if each.id in ids] for model, mine in models.items()
    }
    there = {model: models[model] for model, found in looked.items() if found}
    mine = next(iter(there.values()))
    volume = next(each.volume for each in mine.attended if each.id in ids)
    answers = {
        model: {name: said.answers[name].text for name in ids if name in said.answers}
        for model, said in there.items()
    }
    references = {name: mine.answers[name].reference for name in ids if name in mine.answers}
    slices = read_volume(mine.data.root, volume, ids[0])[0]
    return case_sheet({model: looked[model] for model in there}, slices, answers, references)
