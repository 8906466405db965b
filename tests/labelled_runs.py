"""Runs with reports of known findings, and a labeller that tests can read at a glance."""

from dataclasses import replace
from pathlib import Path

from tomovox.metrics.catalogue import METRICS
from tomovox.metrics.clinical_columns import CLINICAL_METRICS, unlabelled
from tomovox.schema import PREDICTIONS, Prediction, Task, to_line

LABELLER = f"{__name__}.WordLabeller"
LABELS = ("cyst", "mass", "stone")


class WordLabeller:
    """Finds what is named, word by word."""

    name, labels = "words-1", LABELS

    def __call__(self, texts):
        return [set(text.split()) & set(LABELS) for text in texts]


class AbsentLabeller(WordLabeller):
    """A labeller that lacks what it needs."""

    def __init__(self):
        from tomovox.metrics.resources import Unavailable

        raise Unavailable("nothing to read with: fetch it")


def only_clinical(monkeypatch) -> None:
    """Let every other metric count no record, so that nothing but labels takes time."""
    for key in set(METRICS) - set(CLINICAL_METRICS):
        monkeypatch.setitem(METRICS, key, replace(METRICS[key], measure=unlabelled))


def report(number: int, text: str, reference: str, task: Task = Task.REPORT) -> Prediction:
    """Return an answer of a case of its own."""
    return Prediction(f"{task}/test/{number}", task, f"c{number}", "q", reference, text)


REFERENCES = ["cyst", "mass cyst", "", "mass", "cyst"]
PERFECT = [report(i, each, each) for i, each in enumerate(REFERENCES)]
SILENT = [report(i, "", each) for i, each in enumerate(REFERENCES)]
MIXED = [
    report(i, text, each)
    for i, (text, each) in enumerate(
        zip(["cyst", "cyst", "mass", "mass stone", ""], REFERENCES, strict=True)
    )
]


def write_run(folder: Path, predictions: list[Prediction]) -> Path:
    """Write a RUN folder with predictions; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{to_line(prediction)}\n" for prediction in predictions)
    (folder / PREDICTIONS).write_text(lines, encoding="utf-8")
    return folder
