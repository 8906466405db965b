"""The readers of what is known of findings: tables of labels, and the labels of a run."""

from dataclasses import asdict
from pathlib import Path

from damage import csv_bytes, damaged_csv, damaged_json, json_bytes, json_lines
from fuzz_data import put
from fuzz_runs import RUN
from fuzz_target import Target

from tomovox.judge.clinical import CLINICAL_FILE, Labelled, LabelledAnswer, clinical_metrics
from tomovox.metrics.label_files import read_label_files
from tomovox.schema import PREDICTIONS

TABLE = "labels.csv"
ROWS = [["id", "Emphysema", "Atelectasis"], ["report/test/0", "1", "0"], ["b", "0", "1"]]
LABELLED = Labelled(
    *(("Emphysema",), "rule-2", "rule", "labels.csv"),
    {"report/test/0": LabelledAnswer("0f", ("Emphysema",), (), {"green": 0.5})},
    {"green": "model:a"},
    {"labels": "no labeller"},
)


def write_labels(folder: Path) -> None:
    """Write a table of labels, and the labels of a run."""
    put(folder / TABLE, csv_bytes(ROWS))
    put(folder / RUN / CLINICAL_FILE, json_bytes(asdict(LABELLED)))
    put(folder / RUN / PREDICTIONS, json_lines([]))


LABELS = [
    Target(
        "labels of reports",
        str(RUN / CLINICAL_FILE),
        write_labels,
        lambda content: damaged_json(asdict(LABELLED)),
        lambda folder: [m.signature() for m in clinical_metrics(folder / RUN, [])],
    ),
    Target(
        "table of labels",
        TABLE,
        write_labels,
        lambda content: damaged_csv(ROWS),
        lambda folder: read_label_files([folder / TABLE]),
    ),
]
