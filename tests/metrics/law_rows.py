"""Answers to try the laws of all metrics on: perfect, exchanged and silent ones, for every task."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tomovox.boxes import box_to_text
from tomovox.metrics.catalogue import METRICS
from tomovox.metrics.clinical_columns import CLINICAL_METRICS, OF_LABELS, of_labels, of_values
from tomovox.metrics.masks import write_mask_file
from tomovox.metrics.metric import Metric
from tomovox.metrics.retrieval import encode_embedding
from tomovox.schema import Prediction, Task

CHOICES = ("liver", "spleen", "left kidney", "kidney")
SENTENCES = [
    "There is a simple cyst of 3.2 cm in the right lobe of the liver.",
    "No pleural effusion is seen on either side of the chest.",
    "The spleen is enlarged and reaches the left iliac fossa today.",
    "Compared with the last scan the nodule has not changed its size.",
]
LOW, HIGH = (0.0, 0.0, 0.0, 0.5, 0.5, 0.5), (0.25, 0.25, 0.25, 1.0, 1.0, 1.0)
BOXES = [f"It is at {box_to_text(LOW)}.", "No box: it is not there.", f"{box_to_text(HIGH)}"]
SHAPE = (4, 8, 9)


def references_of(task: Task) -> list[str]:
    """Return what the records of a task ask for; one of them is a negative where there are any."""
    if task == Task.VQA_CLOSED:
        return [f"{letter}. {text}" for letter, text in zip("ABCD", CHOICES, strict=True)]
    if task == Task.REC:
        return BOXES
    if task == Task.RETRIEVAL:
        return [f"Report {i} of twelve." for i in range(12)]
    return SENTENCES


def with_labels() -> dict[str, Metric]:
    """Return the catalogue, in which a word stands for a finding and every text has its labels."""
    words = tuple(sorted({word for each in SENTENCES for word in each.split()}))

    def bound(key: str) -> Metric:
        def measure(rows):
            pairs = {r.id: (set(r.text.split()), set(r.reference.split())) for r in rows}
            if key not in OF_LABELS:
                same = {record: float(said == wanted) for record, (said, wanted) in pairs.items()}
                return of_values(key, same, "model:none").measure(rows)
            made = of_labels(pairs, words, "labeller:words")
            return next(m for m in made if f"{m.name}.standard" == key).measure(rows)

        return replace(METRICS[key], measure=measure)

    return {**METRICS, **{key: bound(key) for key in CLINICAL_METRICS}}


def records(task: Task, answers: list[str], references: list[str]) -> list[Prediction]:
    """Return one prediction per answer."""
    return [
        Prediction(f"r{i:02d}", task, f"c{i}", "q", reference, answer, "", CHOICES)
        for i, (answer, reference) in enumerate(zip(answers, references, strict=True))
    ]


def perfect(task: Task, folder: Path) -> list[Prediction]:
    """Return answers that say, draw and embed just what is right."""
    return _answers(task, folder, lambda things: things)


def exchanged(task: Task, folder: Path) -> list[Prediction]:
    """Return answers each of which is right for the next record."""
    return _answers(task, folder, lambda things: [*things[1:], things[0]])


def silent(task: Task, folder: Path) -> list[Prediction]:
    """Return empty answers, empty masks and embeddings of zeros."""
    return _answers(task, folder, lambda things: [_nothing(thing) for thing in things])


def _answers(task, folder, said_of):
    references = references_of(task)
    rows = records(task, said_of(references), references)
    vectors = list(np.random.default_rng(0).standard_normal((len(rows), 8)).astype(np.float32))
    for row, drawn, true, vector, other in zip(
        rows, said_of(_masks(len(rows))), _masks(len(rows)), vectors, said_of(vectors), strict=True
    ):
        if task in (Task.SEG_SEMANTIC, Task.SEG_REFERRING):
            row.mask = str(folder / f"{row.id}.npz")
            write_mask_file(Path(row.mask), drawn, true)
            row.soft = (float(drawn.sum()), float(true.sum()), float((drawn & true).sum()))
        if task == Task.RETRIEVAL:
            row.volume_embedding, row.text_embedding = map(encode_embedding, (vector, other))
    if task == Task.VQA_CLOSED:
        for row, logprobs in zip(rows, said_of(list(99 * np.eye(4) - 100)), strict=True):
            row.choice_logprobs = tuple(logprobs.tolist())
        return [one for row in rows for one in (row, *(_moved(row, i) for i in (1, 2, 3)))]
    return rows


def _moved(row: Prediction, first: int) -> Prediction:
    """Return the same answer to a question whose choices begin with another one."""
    choices = (*CHOICES[first:], *CHOICES[:first])
    reference, text = (
        written and f"{'ABCD'[choices.index(written[3:])]}. {written[3:]}"
        for written in (row.reference, row.text)
    )
    name = f"{row.id}~{first}"
    return replace(
        row, id=name, reference=reference, text=text, choices=choices, choice_logprobs=()
    )


def _masks(count: int) -> list[np.ndarray]:
    """Return balls of different places; the first mask is empty."""
    grid = np.moveaxis(np.indices(SHAPE), 0, -1)
    centres = np.random.default_rng(1).uniform((1, 2, 2), (3, 6, 7), (count, 3))
    masks = [((grid - centre) ** 2).sum(-1) < 5 for centre in centres]
    return [np.zeros(SHAPE, bool), *masks[1:]]


def _nothing(thing):
    return "" if isinstance(thing, str) else np.zeros_like(thing)
