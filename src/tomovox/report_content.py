"""What does the page of some runs show? All that predictions, scores and data tell of them.

No model is needed, and the data only for the slices: without them the page says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tomovox.analysis.summary import attention_sheets
from tomovox.analysis.table import COLUMNS
from tomovox.data.evidence import facts_of as evidence_of
from tomovox.data.records import choices_text, read_records
from tomovox.data.volumes import read_volume, resolve_inside
from tomovox.judge.cells import headlines_in, lower_is_better, metrics_in, runs_of, unit_of
from tomovox.judge.compare import SIGNIFICANT
from tomovox.judge.facts import facts_of
from tomovox.judge.layout import LEGEND
from tomovox.judge.outcome import Extras, Outcome, outcome_of
from tomovox.judge.protocols import task_protocol
from tomovox.judge.runs import experiment_names, run_names
from tomovox.judge.score import RESULTS, SAMPLES
from tomovox.judge.tables import model_and_seed
from tomovox.metrics.catalogue import metric_key
from tomovox.metrics.choice_columns import copied_question
from tomovox.report.content import Answer, Content, Figure, Sample, Scale, Volume
from tomovox.report.mosaics import MOST_VOLUMES, chosen_volumes
from tomovox.run_folders import data_keys, data_root, notes_of
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
from tomovox.sheets import Sheet, told_once

if TYPE_CHECKING:
    import pandas

CAPTIONS = {
    "depth": "Where the models look: mean weight of the slices along the volume.",
    "type_shift": "Whether the question moves the weights: how far question types lie apart.",
    "localisation": "Whether the weights find the slices that hold the answer.",
    "curves": "Whether the weights matter: answers as slices are hidden, or shown, by weight.",
}
"""File stem -> what a drawing of `tomovox attention` shows, in the order of a page."""

CASE = "case-"
"""How the stems of drawings of single volumes begin."""

ATTENTION = "attention.csv"
WORDS = ("model", "statistic", "task", "question_type", "plane", "phase", "hidden", "against")
"""The table of `tomovox attention`, and its columns that are no numbers."""

NO_SLICES = "No slices and no evidence: the data were not at hand when this page was made."


def content_of(
    runs: Sequence[Path],
    command: str = "",
    most: int = MOST_VOLUMES,
    looked: Path | None = None,
) -> tuple[Content, str]:
    """Return the page of runs, and why it has no slices: "" where the data could be read.

    Scores the runs again. `most` volumes have their slices in the page, `looked` is the folder of
    `tomovox attention`, `command` what the page was asked for with. Raises TomovoxError for
    predictions that cannot be scored or answer different data, and another table of attention.
    """
    folders = experiment_names(runs)
    extras = Extras.kept(next(iter(folders))) if len(folders) == 1 else Extras()
    attention = sheets_in(looked) if looked is not None else []
    outcome = outcome_of(runs, extras=extras)
    samples = samples_of(labelled(runs, outcome.frame))
    chosen, root, missing = list[str](), Path(), ""
    try:
        root = root_of(runs)
        samples, chosen = with_data(samples, root, most)
    except TomovoxError as error:
        missing = str(error)
    content = Content(
        title=f"Tomovox: {', '.join(folders.values())}",
        table=rounded(outcome.frame),
        scales=scales_of(outcome.frame),
        primary={str(task): task_protocol(task).primary for task in Task},
        legend=LEGEND,
        significant=SIGNIFICANT,
        provenance={"experiment": ", ".join(folders.values()), "command": command}
        | provenance_of(runs, outcome),
        notes=[*notes_of(runs), *outcome.notes, *([NO_SLICES] if missing else unknown(samples))],
        sheets=list(told_once([*outcome.every_sheet(), *attention], set())),
        figures=figures_in(looked) if looked is not None else [],
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


def rounded(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Return a long table with six digits, as table.csv has; what is rounded to zero has no sign.

    A metric of a neural network differs past them from call to call, and a page must not.
    """
    numbers = frame.select_dtypes("float").columns
    return frame.assign(**{name: frame[name].round(6) + 0.0 for name in numbers})


def scales_of(frame: pandas.DataFrame) -> dict[str, Scale]:
    """Return how each metric of a long table is read, in the order of columns."""
    headlines = set(headlines_in(frame))
    return {
        metric_key(*pair): Scale(unit_of(*pair), lower_is_better(*pair), pair in headlines)
        for pair in metrics_in(frame)
    }


def provenance_of(runs: Sequence[Path], outcome: Outcome) -> dict[str, str]:
    """Return what somebody needs to make the page again; runs must be scored."""
    names = run_names(runs)
    results = [json.loads((run / RESULTS).read_text(encoding="utf-8")) for run in runs]
    seeds = sorted({seed for _, seed in map(model_and_seed, names) if seed is not None})
    digests = [f"{n} {r['predictions_sha256'][:12]}" for n, r in zip(names, results, strict=True)]
    versions = {"python": results[0]["python"], **results[0]["versions"]}
    return facts_of(outcome.reference, outcome.comparison, data_keys(runs)) | {
        "seeds": ", ".join(map(str, seeds)) or "unknown",
        "predictions": f"SHA-256: {', '.join(digests)}",
        "versions": ", ".join(f"{n} {v}" for n, v in versions.items() if v != "absent"),
    }


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
    choices = choices_text(said.choices) if len(said.choices) == len(LETTERS) else ""
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
    with (run / SAMPLES).open(encoding="utf-8") as stream:
        for row in map(json.loads, stream):
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
        replace(sample, volume=records[sample.id].volumes[0]) if sample.id in records else sample
        for sample in samples
    ]
    there = {
        volume
        for volume in {sample.volume for sample in found} - {""}
        if resolve_inside(root, volume, volume).is_file()
    }
    chosen = chosen_volumes((sample for sample in found if sample.volume in there), most)
    looked = [r for r in records.values() if not r.mask or r.volumes[0] in chosen]
    evidence = evidence_of(root, looked)
    return [
        replace(sample, evidence=evidence[sample.id].slices) if sample.id in evidence else sample
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


# ---- attention -------------------------------------------------------------------------------


def figures_in(folder: Path) -> list[Figure]:
    """Return the drawings of a folder with their captions: known ones, others, single volumes."""
    order = list(CAPTIONS)
    stems = {path.stem: path for path in sorted(folder.glob("*.svg"))}
    known = [stem for stem in order if stem in stems]
    others = [stem for stem in stems if stem not in CAPTIONS]
    others.sort(key=lambda stem: stem.startswith(CASE))
    return [
        Figure(_caption(stem), stems[stem].read_text(encoding="utf-8")) for stem in known + others
    ]


def sheets_in(folder: Path) -> list[Sheet]:
    """Return what a folder's attention.csv comes to; nothing without it.

    Raises TomovoxError for a table that is none of this version.
    """
    import pandas

    path = folder / ATTENTION
    if not path.is_file():
        return []
    numbers = {name: [""] for name in COLUMNS if name not in WORDS}
    types = {"seed": "Int64", **dict.fromkeys(WORDS, str)}
    try:
        frame = pandas.read_csv(path, dtype=types, na_values=numbers, keep_default_na=False)
    except ValueError as error:
        raise _stale(path, str(error)) from None
    if list(frame.columns) != list(COLUMNS):
        raise _stale(path, "it has other columns")
    return attention_sheets(frame)


def _stale(path: Path, why: str) -> TomovoxError:
    why = " ".join(why.split())
    return TomovoxError(f"{path}: no table of this version ({why}); run tomovox attention again")


def _caption(stem: str) -> str:
    if stem.startswith(CASE):
        return f"Where the models look in one volume: {stem.removeprefix(CASE)}."
    return CAPTIONS.get(stem, stem)
