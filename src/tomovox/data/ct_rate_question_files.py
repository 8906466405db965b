"""How do the questions of CT-RATE become one file per form, of the volumes that are there?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from tomovox.data.ct_rate import QUESTIONS, SUFFIX, Tree, name_of
from tomovox.data.ct_rate_questions import (
    ALL_FORMS,
    FORMS,
    ONE_FORM,
    REPORT_FORM,
    Asked,
    asked_in,
    items_of,
    right_choice,
    split_choices,
)
from tomovox.data.faults import DataFault, Faults
from tomovox.data.written import path_inside
from tomovox.files import whole_file

ELSEWHERE, NO_VOLUME = "about other volumes", "about no volume"
"""Questions that are counted and not written."""


def write_questions(
    tree: Tree, split: str, kept: Collection[str], target: Path, faults: Faults
) -> Counter[str]:
    """Write the questions of a published split about the volumes `kept`; count all by form.

    Files of all forms and files of one form are read item by item, so that their size does not
    matter. An item that is no question, or a question whose choices cannot be told, goes to
    `faults` and is left out. Where the tree asks nothing, nothing is written.
    """
    counts: Counter[str] = Counter()
    folder = (tree.tables / QUESTIONS).relative_to(tree.root).as_posix()
    places = {f: f"{folder}/{ONE_FORM.format(split=split, form=f)}" for f in FORMS}
    with ExitStack() as stack:
        streams: dict[str, IO[str]] = {}
        for asked in _asked(tree, split, kept, faults, counts):
            stream = streams.get(asked.form)
            if stream is None:
                place = path_inside(target, places[asked.form])
                temporary = stack.enter_context(whole_file(place))
                stream = stack.enter_context(temporary.open("w", encoding="utf-8"))
                stack.callback(stream.write, "\n]\n")
                streams[asked.form] = stream
                stream.write("[\n")
            else:
                stream.write(",\n")
            item = {"image": asked.volume, "question": asked.question, "answer": asked.answer}
            stream.write(json.dumps(item, ensure_ascii=False))
    return counts


def _asked(
    tree: Tree, split: str, kept: Collection[str], faults: Faults, counts: Counter[str]
) -> Iterator[Asked]:
    """Yield the questions about the volumes `kept`, and count all."""
    for path, form in _files(tree, split, faults):
        for number, item in enumerate(items_of(path)):
            place = f"{path}: item {number}"
            if isinstance(item, dict) and not {"image", "vision3d"} & item.keys():
                counts[NO_VOLUME] += 1
                continue
            try:
                for asked in asked_in(item, form, place):
                    name = name_of(asked.volume, place)
                    there = name.volume in kept
                    if there and asked.form == "choice":
                        _check_choices(asked, place)
                    counts[asked.form if there else ELSEWHERE] += 1
                    if there and asked.form != REPORT_FORM:
                        yield Asked(asked.form, name.volume + SUFFIX, asked.question, asked.answer)
            except DataFault as fault:
                faults.add(fault)


def _files(tree: Tree, split: str, faults: Faults) -> Iterator[tuple[Path, str]]:
    """Yield the files of questions to read, each with its form, "" for all forms.

    Where there is one of all forms, those of one form hold the same questions and go to `faults`.
    """
    folder = tree.tables / QUESTIONS
    whole = folder / ALL_FORMS.format(split=split)
    if whole.is_file():
        yield whole, ""
    for form in (*FORMS, REPORT_FORM):
        path = folder / ONE_FORM.format(split=split, form=form)
        if path.is_file() and whole.is_file():
            what = f"its questions are in {whole.name} too, which was read"
            faults.add(DataFault(str(path), what, "remove one of the two files"))
        elif path.is_file():
            yield path, form


def _check_choices(asked: Asked, place: str) -> None:
    try:
        right_choice(asked.answer, split_choices(asked.question)[1])
    except ValueError as error:
        raise DataFault(place, f"no question of choices: {error}", "leave it out") from None
