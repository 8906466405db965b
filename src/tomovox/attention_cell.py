"""Where did the model of one row look, and what becomes of its answers when slices are hidden?

Hiding is the long part: what it found is kept line by line, and a cut call continues.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from rich.progress import Progress

from tomovox.analysis.attended import Attended
from tomovox.analysis.hiding import Trial, trials
from tomovox.cell import load_data, load_run
from tomovox.configuration import read_yaml
from tomovox.data.datamodule import M3DDataModule
from tomovox.data.dataset import collate_studies
from tomovox.data.evidence import Facts, depth_of, facts_of
from tomovox.files import append_lines, write_atomically
from tomovox.judge.runs import CONFIG
from tomovox.metrics.choice_columns import copied_question
from tomovox.models.base import VolumeLM
from tomovox.models.probing import FILLING, SliceProbe, Where
from tomovox.progress import say
from tomovox.schema import (
    PREDICTIONS,
    Batch,
    Prediction,
    Record,
    TomovoxError,
    read_predictions,
)

FOLDER = "attention"
"""The folder of a RUN that keeps what hiding slices found."""

HIDING_VERSION = 2
"""Of what a kept trial says: another set of orders, shares or figures counts it up."""


@dataclass
class Looking:
    """A RUN folder whose model scored slices, and where it looked, record by record.

    `places` are those of the studies of the records among those to predict. `several` counts the
    answers that are left out: they are about studies of several series.
    """

    run: Path
    data: M3DDataModule
    answers: dict[str, Prediction]
    attended: list[Attended]
    places: dict[str, int]
    records: dict[str, Record]
    several: int = 0

    @property
    def digest(self) -> str:
        """The SHA-256 of the predictions."""
        return sha256((self.run / PREDICTIONS).read_bytes()).hexdigest()

    def kept(self, where: Where) -> Path:
        """Return the file with what hiding slices so did to these predictions.

        Its name is another one when slices are filled otherwise, or trials say something else.
        """
        made_of = f"{HIDING_VERSION} {where} {FILLING[where]} {self.digest}"
        digest = sha256(made_of.encode()).hexdigest()[:12]
        return self.run / FOLDER / f"hidden-{where}-{digest}.jsonl"

    def volumes(self, cases: int) -> list[list[Attended]]:
        """Return the questions of every volume of up to so many cases, as drawn by their names.

        More cases hold those of fewer, so that what was found of these is used again.
        """
        names = {looked.case for looked in self.attended}
        chosen = set(sorted(names, key=lambda name: sha256(name.encode()).digest())[:cases])
        asked: dict[str, list[Attended]] = {}
        for looked in self.attended:
            if looked.case in chosen:
                asked.setdefault(looked.volume, []).append(looked)
        return list(asked.values())


def read_looking(run: Path) -> Looking | None:
    """Return the row of a RUN folder; None when its model scores no slices.

    A closed question that was asked again in other orders counts once; studies of several series
    are left out. Raises TomovoxError when predictions, data or evidence cannot be read, or when a
    model that was shown fewer slices than the volume has is asked where the evidence lies.
    """
    answers = {
        said.id: said
        for said in read_predictions(run / PREDICTIONS)
        if said.slice_scores and copied_question(said) is None
    }
    if not answers:
        return None
    data = load_data(run)
    data.setup("predict")
    studies = data.predict_studies()
    places = {record.id: place for place, study in enumerate(studies) for record in study}
    records = {record.id: record for study in studies for record in study}
    if missing := sorted(answers.keys() - records.keys()):
        raise TomovoxError(
            f"{run / PREDICTIONS}: {missing[0]} is no record of {data.root}; predict again"
        )
    asked = [(records[name], said) for name, said in answers.items()]
    asked = [(record, said) for record, said in asked if len(record.volumes) == 1]
    facts = facts_of(data.root, [record for record, _ in asked])
    _refuse_subsampled(run, data.root, asked, facts)
    attended = [
        Attended(
            id=said.id,
            case=said.case,
            volume=facts[said.id].volume,
            task=str(said.task),
            question_type=said.question_type,
            question=said.question,
            plane=facts[said.id].plane,
            phase=facts[said.id].phase,
            scores=said.slice_scores,
            evidence=facts[said.id].slices,
            scope=facts[said.id].scope,
        )
        for _, said in asked
    ]
    several = len(answers) - len(attended)
    if not attended:
        say(f"{run}: left out, since all its answers are about studies of several series")
    return Looking(run, data, answers, attended, places, records, several) if attended else None


def _refuse_subsampled(
    run: Path, root: Path, answers: Iterable[tuple[Record, Prediction]], facts: Mapping[str, Facts]
) -> None:
    """Raise TomovoxError where evidence names slices of a volume that were not all scored."""
    depths: dict[str, int] = {}
    for record, said in answers:
        if facts[record.id].slices:
            volume, count = record.volumes[0], len(said.slice_scores)
            if volume not in depths:
                depths[volume] = depth_of(root, record)
            if depths[volume] != count:
                raise TomovoxError(
                    f"{run / PREDICTIONS}: record {record.id} has scores of {count} slices and "
                    f"evidence on a volume of {depths[volume]}; predict again with all slices "
                    f"(zformer.max_slices, max_per_series), or from data prepared to fewer"
                )


def hide_slices(
    looking: Looking, cases: int, ways: Sequence[Where], progress: Progress
) -> dict[Where, list[Trial]]:
    """Return the trials of all questions about up to so many cases, for each way of hiding.

    Only the missing ones are made. They are kept below RUN/attention, in files of their own for
    every set of predictions.
    """
    wanted = looking.volumes(cases)
    found = {where: _read_trials(looking, where) for where in ways}
    title = f"{looking.run.name}: slices hidden in the {' and the '.join(ways)}"
    bar, model = progress.add_task(title, total=len(wanted)), None
    for asked in wanted:
        missing = [w for w in ways if any(looked.id not in found[w] for looked in asked)]
        if missing:
            if model is None:
                model = load_run(looking.run)[0].float()
            with threads_of(looking.run):
                probe = _probe(model, looking, asked)
                made = {w: trials(partial(_ask, probe, w), asked) for w in missing}
            for where, each in made.items():
                lines = [trial.to_line() for trial in each]
                append_lines(looking.kept(where), lines)
                found[where] |= _trials_of(lines, looking)
        progress.advance(bar)
    return {w: [found[w][looked.id] for asked in wanted for looked in asked] for w in ways}


@contextmanager
def threads_of(run: Path) -> Iterator[None]:
    """Work with as many CPU threads as a RUN was made with: another number gives other digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(read_yaml(run / CONFIG).get("threads") or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _ask(
    probe: SliceProbe,
    where: Where,
    keep: Bool[np.ndarray, "k n"],
    wanted: Bool[np.ndarray, "k q"],
) -> Float[np.ndarray, "k q"]:
    return probe(keep, where, wanted)


def _probe(model: VolumeLM, looking: Looking, asked: Sequence[Attended]) -> SliceProbe:
    """Return the likelihoods of what the model itself answered to these questions of a volume."""
    batch, answers = batch_of(looking, asked), []
    for record in batch.records:
        said = replace(record, reference=looking.answers[record.id].text)
        answers.append(looking.data.template.encode(said, answer=True).answer_ids)
    return SliceProbe(model, batch, answers)


def batch_of(looking: Looking, asked: Sequence[Attended]) -> Batch:
    """Return the prompts of some questions about one volume, in their order."""
    wanted = [looked.id for looked in asked]
    item = looking.data.predict_item(looking.places[wanted[0]])
    by_id = {record.id: record for record in item.records}
    item.records, item.masks = [by_id[name] for name in wanted], {}
    return collate_studies([item], looking.data.template, train=False)


def _read_trials(looking: Looking, where: Where) -> dict[str, Trial]:
    """Return the trials that an earlier call kept, by record id; cut off a torn last line."""
    path = looking.kept(where)
    if not path.is_file():
        return {}
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        write_atomically(path, whole)
    try:
        return _trials_of(whole.decode().splitlines(), looking)
    except (ValueError, KeyError, TypeError):
        raise TomovoxError(
            f"{path}: not what hiding slices found for {looking.run / PREDICTIONS}; remove the file"
        ) from None


def _trials_of(lines: Iterable[str], looking: Looking) -> dict[str, Trial]:
    """Return trials as they are kept, so that a call that was cut ends with the same digits."""
    records = {looked.id: looked for looked in looking.attended}
    made = [Trial.from_line(line, records) for line in lines]
    return {trial.attended.id: trial for trial in made}
