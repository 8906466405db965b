"""Where did the model of one row look, and what becomes of its answers when slices are hidden?

Hiding is the long part: what it found is kept line by line, and a cut call continues.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from importlib import import_module
from inspect import signature
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
from tomovox.data.evidence import facts_of
from tomovox.judge.runs import CONFIG
from tomovox.metrics.choice_columns import copied_question
from tomovox.models.base import VolumeLM
from tomovox.models.med2e3 import Med2E3
from tomovox.models.probing import SliceProbe, Where, scramble
from tomovox.models.vit3d import ViT3DConfig
from tomovox.predict import append_lines
from tomovox.schema import (
    PREDICTIONS,
    Batch,
    Prediction,
    TomovoxError,
    read_predictions,
    write_atomically,
)

FOLDER = "attention"
"""The folder of a RUN that keeps what hiding slices found."""

SCRAMBLE_SEED = 0


@dataclass
class Looking:
    """A RUN folder whose model scored slices, and where it looked, record by record.

    `places` are those of the studies of the records among those to predict.
    """

    run: Path
    data: M3DDataModule
    answers: dict[str, Prediction]
    attended: list[Attended]
    places: dict[str, int]

    def kept(self, where: Where) -> Path:
        """Return the file with what hiding slices did to these predictions."""
        digest = sha256((self.run / PREDICTIONS).read_bytes()).hexdigest()[:12]
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
    are left out. Raises TomovoxError when predictions, data or evidence cannot be read.
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
    facts = facts_of(data.root, [records[name] for name in answers])
    attended = [
        Attended(
            id=name,
            case=said.case,
            volume=facts[name].volume,
            task=str(said.task),
            question_type=said.question_type,
            question=said.question,
            plane=facts[name].plane,
            phase=facts[name].phase,
            scores=said.slice_scores,
            evidence=facts[name].slices,
            scope=facts[name].scope,
        )
        for name, said in answers.items()
        if len(records[name].volumes) == 1
    ]
    return Looking(run, data, answers, attended, places) if attended else None


def depth_bins(run: Path) -> int | None:
    """Return how many bins of depth the pooled 3D tokens of a RUN's Med-2E3 have; else None."""
    model = read_yaml(run / CONFIG)["model"]
    module, _, name = model["class_path"].rpartition(".")
    system = getattr(import_module(module), name)
    if not issubclass(system, Med2E3):
        return None
    arguments = {"pool": signature(Med2E3).parameters["pool"].default, **model["init_args"]}
    image, patch = (tuple(arguments["vision3d"][name]) for name in ("image", "patch"))
    return ViT3DConfig(image=image, patch=patch).grid[0] // int(arguments["pool"])


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
                model = load_run(looking.run)[0]
            with _threads_of(looking.run):
                probe = _probe(model, looking, asked)
                made = {w: trials(partial(_ask, probe, w), asked) for w in missing}
            for where, each in made.items():
                lines = [trial.to_line() for trial in each]
                append_lines(looking.kept(where), lines)
                found[where] |= _trials_of(lines, looking)
        progress.advance(bar)
    return {w: [found[w][looked.id] for asked in wanted for looked in asked] for w in ways}


@contextmanager
def _threads_of(run: Path) -> Iterator[None]:
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


def scrambled_scores(looking: Looking, cases: int) -> dict[str, tuple[float, ...]]:
    """Return the slice scores of the model whose scoring parts are scrambled, by record id."""
    model, _ = load_run(looking.run)
    scramble(model, SCRAMBLE_SEED)
    scores: dict[str, tuple[float, ...]] = {}
    for asked in looking.volumes(cases):
        batch = _batch(looking, asked)
        with torch.no_grad(), _threads_of(looking.run):
            visual = model.attend(model.perceive(batch.studies), batch.questions)
        assert visual.slice_scores is not None
        for looked, found in zip(asked, visual.slice_scores.tolist(), strict=True):
            scores[looked.id] = tuple(found)
    return scores


def _probe(model: VolumeLM, looking: Looking, asked: Sequence[Attended]) -> SliceProbe:
    """Return the likelihoods of what the model itself answered to these questions of a volume."""
    batch, answers = _batch(looking, asked), []
    for record in batch.records:
        said = replace(record, reference=looking.answers[record.id].text)
        answers.append(looking.data.template.encode(said, answer=True).answer_ids)
    return SliceProbe(model, batch, answers)


def _batch(looking: Looking, asked: Sequence[Attended]) -> Batch:
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
