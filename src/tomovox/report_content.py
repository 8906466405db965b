"""What does the page of some runs show? All that predictions, scores and data tell of them.

No model is needed, and the data only for the slices: without them the page says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tomovox.data.evidence import facts_of as evidence_of
from tomovox.data.published_files import choices_text
from tomovox.data.records import read_records
from tomovox.data.volumes import read_volume, resolve_inside
from tomovox.judge.cells import (
    headlines_in,
    lower_is_better,
    metrics_in,
    runs_of,
    trivial_of,
    unit_of,
)
from tomovox.judge.compare import SIGNIFICANT
from tomovox.judge.facts import facts_of
from tomovox.judge.layout import LEGEND
from tomovox.judge.outcome import Outcome, outcome_of
from tomovox.judge.protocols import task_protocol
from tomovox.judge.runs import experiment_names, run_names
from tomovox.judge.score import read_results, read_samples
from tomovox.judge.tables import model_and_seed
from tomovox.metrics.catalogue import metric_key
from tomovox.metrics.choice_columns import copied_question
from tomovox.report.content import Answer, Content, Sample, Scale, Volume
from tomovox.report.mosaics import chosen_volumes
from tomovox.report_attention import SHORT, Attention, attention_in
from tomovox.run_folders import data_keys, data_root, extras_of, notes_of
from tomovox.schema import (
    LETTERS,
    NONE,
    PREDICTIONS,
    Prediction,
    Record,
    Task,
    TomovoxError,
    read_predictions,
)
from tomovox.sheets import told_once

if TYPE_CHECKING:
    import pandas

NO_SLICES = "No slices, weights or evidence: the data were not at hand when this page was made."


def content_of(
    runs: Sequence[Path], most: int, command: str = "", looked: Path | None = None
) -> tuple[Content, str]:
    """Return the page of runs, and why it has no slices: "" where the data could be read.

    Scores the runs again. `most` volumes have their slices in the page, `looked` is the folder of
    `tomovox attention`, `command` what the page was asked for with. Raises TomovoxError for
    predictions that cannot be scored or answer different data.
    """
    folders = experiment_names(runs)
    outcome = outcome_of(runs, extras=extras_of(runs))
    attention = attention_in(looked, digests_of(runs).values()) if looked else Attention()
    samples = samples_of(labelled(runs, outcome.frame))
    chosen, root, missing = list[str](), Path(), ""
    try:
        root = root_of(runs)
        samples, chosen = with_data(samples, root, most)
    except TomovoxError as error:
        missing = str(error)
    absent = [NO_SLICES] if missing else unknown(samples)
    content = Content(
        title=f"Tomovox: {', '.join(folders.values())}",
        table=outcome.frame,
        scales=scales_of(outcome.frame),
        primary={str(task): task_protocol(task).primary for task in Task},
        legend=LEGEND,
        significant=SIGNIFICANT,
        provenance={"experiment": ", ".join(folders.values()), "command": command}
        | provenance_of(runs, outcome),
        notes=[*notes_of(runs), *outcome.notes, *absent, *attention.notes],
        sheets=list(told_once([*outcome.every_sheet(), *attention.sheets], set())),
        figures=attention.figures,
        samples=samples,
        volumes=volumes_of(root, chosen),
    )
    return content, missing


# ---- scores ----------------------------------------------------------------------------------


def labelled(runs: Sequence[Path], frame: pandas.DataFrame) -> dict[str, Path]:
    """Return the runs by the names of their lines in the tables."""
    lines = runs_of(frame)
    names = run_names(runs)
    labels = (lines.get((*model_and_seed(name), NONE), name) for name in names)
    return dict(zip(labels, runs, strict=True))


def scales_of(frame: pandas.DataFrame) -> dict[str, Scale]:
    """Return how each metric of a long table is read, in the order of columns."""
    headlines = set(headlines_in(frame))
    return {
        metric_key(*pair): Scale(
            unit_of(*pair), lower_is_better(*pair), pair in headlines, trivial_of(*pair)
        )
        for pair in metrics_in(frame)
    }


def provenance_of(runs: Sequence[Path], outcome: Outcome) -> dict[str, str]:
    """Return what somebody needs to make the page again; runs must be scored."""
    digests = digests_of(runs)
    seeds = sorted({seed for _, seed in map(model_and_seed, digests) if seed is not None})
    results = read_results(runs[0])
    versions = {"python": results["python"], **results["versions"]}
    return facts_of(outcome.reference, outcome.comparison, data_keys(runs)) | {
        "seeds": ", ".join(map(str, seeds)) or "unknown",
        "predictions": f"SHA-256: {', '.join(f'{n} {d[:SHORT]}' for n, d in digests.items())}",
        "versions": ", ".join(f"{n} {v}" for n, v in versions.items() if v != "absent"),
    }


def digests_of(runs: Sequence[Path]) -> dict[str, str]:
    """Return the SHA-256 of the predictions of each run, by the name of its row."""
    found = (hashlib.sha256((run / PREDICTIONS).read_bytes()).hexdigest() for run in runs)
    return dict(zip(run_names(runs), found, strict=True))


# ---- samples ---------------------------------------------------------------------------------


def samples_of(runs: Mapping[str, Path]) -> list[Sample]:
    """Return every question with the answers of all runs, by task and in the order of files.

    Copies of closed questions say nothing by themselves, and a dual encoder answers nothing: both
    are left out. Raises TomovoxError when an id is of two cases.
    """
    first: dict[str, Prediction] = {}
    answers: dict[str, dict[str, Answer]] = {}
    for name, run in runs.items():
        scores = scores_in(run)
        for said in read_predictions(run / PREDICTIONS):
            if said.task == Task.RETRIEVAL or copied_question(said) is not None:
                continue
            known = first.setdefault(said.id, said)
            if known.case != said.case:
                raise TomovoxError(
                    f"{run / PREDICTIONS}: {said.id} is of case {said.case}, in another run of "
                    f"case {known.case}: they answer different data; report each by itself"
                )
            answer = Answer(said.text, scores.get(said.id, {}), said.slice_scores)
            answers.setdefault(said.id, {})[name] = answer
    order = list(Task)
    asked = sorted(first.values(), key=lambda said: order.index(said.task))
    return [_sample(said, answers[said.id]) for said in asked]


def _sample(said: Prediction, answers: Mapping[str, Answer]) -> Sample:
    # A page lists the choices below the question, which need not name them too.
    choices = choices_text(said.choices) if 0 < len(said.choices) <= len(LETTERS) else ""
    return Sample(
        id=said.id,
        case=said.case,
        task=str(said.task),
        question=said.question.removesuffix(choices),
        reference=said.reference,
        answers=answers,
        question_type=said.question_type,
        choices=said.choices,
    )


def scores_in(run: Path) -> dict[str, dict[str, float]]:
    """Return what each record of a scored run got by itself, by metric."""
    scores: dict[str, dict[str, float]] = {}
    for row in read_samples(run):
        if "value" in row:  # counts of n-grams are no score of a record
            key = metric_key(row["metric"], row["protocol"])
            scores.setdefault(row["id"], {})[key] = row["value"]
    return scores


# ---- data ------------------------------------------------------------------------------------


def root_of(runs: Iterable[Path]) -> Path:
    """Return the first data root of the runs that is there; TomovoxError where none is."""
    named = dict.fromkeys(root for run in runs if (root := data_root(run)) is not None)
    if found := next((root for root in named if root.is_dir()), None):
        return found
    if named:
        raise TomovoxError(f"{next(iter(named))}: no such data root")
    raise TomovoxError("the runs name no data root")


def with_data(samples: Sequence[Sample], root: Path, most: int) -> tuple[list[Sample], list[str]]:
    """Return the samples with volume and evidence, and the volumes whose slices are shown.

    Where the answer is a mask, its slices are looked up for the shown volumes alone: every look
    reads a volume. Raises TomovoxError when records or evidence cannot be read.
    """
    records = records_of(samples, root)
    found = [
        replace(sample, volume=asked.volumes[0], series=len(asked.volumes))
        if (asked := records.get(sample.id))
        else sample
        for sample in samples
    ]
    there = {
        volume
        for volume in {sample.volume for sample in found} - {""}
        if resolve_inside(root, volume, volume).is_file()
    }
    chosen = chosen_volumes((sample for sample in found if sample.volume in there), most)
    shown = set(chosen)
    looked = [r for r in records.values() if r.volumes[0] in (shown if r.mask else there)]
    evidence = evidence_of(root, looked)
    return [
        replace(sample, evidence=told.slices, scope=told.scope)
        if (told := evidence.get(sample.id))
        else sample
        for sample in found
    ], chosen


def records_of(samples: Iterable[Sample], root: Path) -> dict[str, Record]:
    """Return the records of a data root that the samples ask, by id; not those of other cases."""
    cases = {sample.id: (sample.task, sample.case) for sample in samples}
    places = dict.fromkeys((task, *name.split("/")[1:2]) for name, (task, _) in cases.items())
    return {
        record.id: record
        for task, *split in places
        if split
        for record in read_records(root, Task(task), split[0])
        if cases.get(record.id) == (task, record.case)
    }


def unknown(samples: Sequence[Sample]) -> list[str]:
    """Return a note of the samples that the data do not hold; none where they hold all."""
    count = sum(not sample.volume for sample in samples)
    return [f"{count} of {len(samples)} samples are not in the data: no slices."] if count else []


def volumes_of(root: Path, names: Iterable[str]) -> Iterator[tuple[str, Volume]]:
    """Yield the uint8 voxels of volumes, each read when it is asked for."""
    for name in names:
        voxels = read_volume(root, name, name)[0]
        yield name, np.rint(voxels * 255).astype(np.uint8)
