"""The readers of what was asked for and of what runs left: recipes, predictions, scores, costs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import yaml
from damage import (
    Bytes,
    csv_bytes,
    damaged_csv,
    damaged_json,
    damaged_lines,
    damaged_yaml,
    json_bytes,
    json_lines,
)
from damage_arrays import damaged_npy, damaged_zip, npy_bytes, zip_bytes
from fuzz_data import put
from fuzz_target import Target
from rich.progress import Progress

from tomovox.analysis.attended import Attended
from tomovox.analysis.capture import CAPTURE, Capture, read_captures, told_of, write_captures
from tomovox.analysis.hiding import FIGURES
from tomovox.attention_capture import capture_of
from tomovox.attention_cell import FILLING, HIDING_VERSION, Looking, hide_slices
from tomovox.configuration import read_yaml
from tomovox.experiment import read_experiment
from tomovox.judge.clean_split import read_clean
from tomovox.judge.compute import SIZE, TIMING, TRAINING, compute_of
from tomovox.judge.llm_verdicts import Verdict, verdict_key
from tomovox.judge.outcome import EXTRAS, Extras, Outcome
from tomovox.judge.published import published_file, read_published
from tomovox.judge.score import RESULTS, SAMPLES, read_results, results_json, score, score_run
from tomovox.left_out import LEFT_OUT, count_left_out
from tomovox.metrics.masks import read_mask_file
from tomovox.metrics.retrieval import encode_embedding
from tomovox.report_content import data_root, scores_in
from tomovox.run_folders import data_keys
from tomovox.schema import PREDICTIONS, Prediction, Task, read_predictions, to_line
from tomovox.tracking.kept import IDS, Kept

RUN = Path("med2e3-s0")
MASK = "masks/a.npz"
VECTOR = encode_embedding(np.array([1.0, 2.0], np.float32))
CHOICES = ("Axial", "Coronal", "Sagittal", "Oblique")
ANSWERS = [
    Prediction(
        *("vqa_closed/test/000000", Task.VQA_CLOSED, "a", "Which plane?", "A. Axial", "A. Axial"),
        *("plane", CHOICES, (0.25, 0.75)),
        choice_logprobs=(-1.0, -2.0, -3.0, -4.0),
    ),
    Prediction("vqa_open/test/000000", Task.VQA_OPEN, "a", "What?", "A cyst", "a cyst", "organ"),
    Prediction(
        *("seg_semantic/test/0", Task.SEG_SEMANTIC, "b", "Draw it.", "[SEG]", "[SEG]", "liver"),
        mask=MASK,
        soft=(1.0, 2.0, 0.5),
    ),
    Prediction(
        *("retrieval/test/0", Task.RETRIEVAL, "b", "", "A cyst", ""),
        volume_embedding=VECTOR,
        text_embedding=VECTOR,
    ),
]
ROWS = [json.loads(to_line(answer)) for answer in ANSWERS]
SIZES = {
    **{"parameters": 324, "trainable": 154, "visual_tokens": 32, "note": ""},
    **{"perceive": 0.9, "attend": 0.08, "prefill": 0.18, "token": 0.003, "shared": ["shared/a"]},
}
TRAINED = [{"stage": "align", "samples": 100, "seconds": 2.5, "device": "cpu"}] * 2
TIMED = [{"study": "a", "questions": 2, "seconds": 0.5, "peak_mib": 700}] * 2
MASKS = {
    "drawn.npy": np.packbits(np.eye(4, dtype=bool)[None]),
    "true.npy": np.packbits(np.ones((1, 4, 4), bool)),
    "shape.npy": np.array([1, 4, 4]),
}
EXPERIMENT = {
    "models": {"blind": "blind.yaml", "med2e3": {"base": "med2e3.yaml", "model": {"a": 1}}},
    "data": {"phantom": {"cases": 8, "seed": 0}},
    "shared": {"language": {"max_steps": 5, "batch_size": 4}},
    "fit": [{"stage": "align", "max_steps": 3, "lr": 0.001}],
    **{"floors": ["majority"], "controls": ["no_image"], "seeds": [0, 1], "processes": 1},
    "overrides": {"data": {"tasks": ["vqa_closed"], "batch_size": 4}},
}
CONFIG = {
    "model": {
        "class_path": "tomovox.models.med2e3.Med2E3",
        "init_args": {"vision3d": {"image": [8, 32, 32], "patch": [2, 8, 8]}, "pool": 2},
    },
    "data": {"root": "${experiment}/shared/data", "batch_size": 4},
    **{"fit": [{"stage": "align", "max_steps": 2, "lr": None}], "threads": 1, "data_key": "ab"},
}
CLEAN = {
    **{"version": 1, "data": "M3D", "not_read": 0},
    "not_compared_in_full": {"report": 0, "volume": 1},
    "leaked": {"vqa_closed/test/000000": ["case", "report"], "report/test/000001": ["volume"]},
}


def write_run(folder: Path) -> None:
    """Write a RUN with everything that is read again."""
    run = folder / RUN
    put(run / PREDICTIONS, json_lines(ROWS))
    put(run / MASK, zip_bytes({name: npy_bytes(array) for name, array in MASKS.items()}))
    put(run / SIZE, json_bytes(SIZES))
    put(run / TRAINING, json_lines(TRAINED))
    put(run / TIMING, json_lines(TIMED))
    put(folder / "shared/a/stage.json", json_bytes({"seconds": 2.5}))
    put(run / "config.yaml", yaml.safe_dump(CONFIG))
    scores = score([ANSWERS[0]])
    put(run / SAMPLES, json_lines(scores.samples))
    put(run / RESULTS, results_json(scores))
    put(run / VERDICTS, json_lines([asdict(VERDICT)] * 2))
    put(run / LEFT_OUT, csv_bytes(LEFT, "\t"))
    put(folder / EXTRAS, json_bytes({"clean_split": "clean_split.json", **asdict(Extras())}))
    put(folder / "clean_split.json", json_bytes(CLEAN))
    put(folder / "published.csv", published_file().read_bytes())
    put(folder / "experiment.yaml", yaml.safe_dump(EXPERIMENT))
    put(folder / IDS, json_bytes({"parent": "0" * 32, "children": {"med2e3-s0": "1" * 32}}))
    put(_looking(folder).kept("input"), json_lines(KEPT))
    write_captures([CAPTURED], folder)


VERDICTS = "judge-m.jsonl"
VERDICT = Verdict(
    "vqa_open/test/000000", verdict_key(ANSWERS[1], "p", "m"), 80, "Score: 80", "p", "m", "m-1"
)
LEFT = [("split", "id", "reason"), ("test", "a/test/1", "cut off"), ("train", "b", "NaN")]


# ---- where models looked ------------------------------------------------------------------------

LOOKED = Attended(
    *("vqa_closed/test/000000", "a", "v.npy", "vqa_closed", "plane", "Which plane?", "", ""),
    *((0.25, 0.75), (1,), "slice"),
)
CURVES = {"scores": [0.0, 1.0], "random": [0.0, 1.0], "centre": [0.0, 1.0]}
SHOWN = {"scores": 0.1, "random": 0.2, "centre": 0.3}
PARTS = {"shares": [0.0, 1.0], "without": [0.5, 0.5], "deletion": CURVES, "insertion": CURVES}
KEPT = [{"id": LOOKED.id, **{f: PARTS.get(f, SHOWN) for f in FIGURES}}]


CAPTURED = Capture(
    *("med2e3", 0, "Med2E3", "weights", "a layer", "dot", 5.0, 4, 32, "ab", 10, 5, 3, 1, "abc")
)


def _looking(folder: Path) -> Looking:
    places, records = {LOOKED.id: 0}, {}
    return Looking(folder / RUN, None, {}, [LOOKED], places, records)  # type: ignore[arg-type]


def _kept(folder: Path) -> object:
    with Progress(disable=True) as progress:
        return hide_slices(_looking(folder), 1, ["input"], progress)


# ---- readers ------------------------------------------------------------------------------------


def _predictions(folder: Path) -> None:
    for prediction in read_predictions(folder / RUN / PREDICTIONS):
        to_line(prediction).encode()  # what is read can be written again


def _compute(folder: Path) -> object:
    return compute_of({("med2e3", 0, "none"): folder / RUN})


def _config(folder: Path) -> object:
    return (
        data_root(folder / RUN),
        data_keys([folder / RUN]),
        capture_of(("a", 0), _looking(folder)),
    )


def _extras(folder: Path) -> object:
    extras = Extras.kept(folder)
    extras.keep(folder / "again")
    return extras


def _run(
    name: str,
    file: str | Path,
    drawn: Bytes,
    read: Callable[[Path], object],
    *names: str,
) -> Target:
    return Target(name, str(file), write_run, lambda content: drawn, read, names)


def _captured(folder: Path) -> object:
    return told_of(read_captures(folder))


def _yaml(value: dict[str, object]) -> Bytes:
    return damaged_yaml(value, yaml.safe_dump(value))


def _published() -> Bytes:
    return damaged_csv(list(csv.reader(io.StringIO(published_file().read_text("utf-8"))))[:6])


def _masks() -> Bytes:
    arrays = {name: damaged_npy(array) for name, array in MASKS.items()}
    return damaged_zip(arrays, {name: npy_bytes(array) for name, array in MASKS.items()})


RECIPE = Path(__file__).parents[2] / "baselines" / "med2e3" / "tiny.yaml"
SCORED = score([ANSWERS[0]])
MADE_OF = f"{HIDING_VERSION} input {FILLING['input']} {sha256(json_lines(ROWS)).hexdigest()}"
DIGEST = sha256(MADE_OF.encode()).hexdigest()[:12]

RUNS = [
    _run(
        "experiment",
        "experiment.yaml",
        _yaml(EXPERIMENT),
        lambda f: read_experiment(f / "experiment.yaml"),
    ),
    _run(
        "recipe",
        "experiment.yaml",
        damaged_yaml(read_yaml(RECIPE), RECIPE.read_text(encoding="utf-8")),
        lambda folder: read_yaml(folder / "experiment.yaml"),
    ),
    _run("config of a run", RUN / "config.yaml", _yaml(CONFIG), _config),
    _run("predictions", RUN / PREDICTIONS, damaged_lines(ROWS), _predictions),
    _run(
        "predictions, scored",
        RUN / PREDICTIONS,
        damaged_lines(ROWS),
        lambda f: score_run(f / RUN),
        "/test/",
    ),
    _run(
        "masks of a run", RUN / MASK, _masks(), lambda f: read_mask_file(f / RUN / MASK, "a/test/1")
    ),
    _run("masks of a run, scored", RUN / MASK, _masks(), lambda f: score_run(f / RUN)),
    _run(
        "verdicts",
        RUN / VERDICTS,
        damaged_lines([asdict(VERDICT)] * 2),
        lambda f: score_run(f / RUN),
    ),
    _run(
        "scores.jsonl", RUN / SAMPLES, damaged_lines(SCORED.samples), lambda f: scores_in(f / RUN)
    ),
    _run(
        "scores that are kept",
        RUN / RESULTS,
        damaged_json(json.loads(results_json(SCORED))),
        lambda f: Outcome.of_folders({("med2e3", 0, "none"): f / RUN}),
    ),
    _run("capture.json", CAPTURE, damaged_json([asdict(CAPTURED)]), _captured),
    _run(
        "results.json",
        RUN / RESULTS,
        damaged_json(json.loads(results_json(SCORED))),
        lambda f: read_results(f / RUN),
    ),
    _run("size.json", RUN / SIZE, damaged_json(SIZES), _compute),
    _run("training.jsonl", RUN / TRAINING, damaged_lines(TRAINED), _compute),
    _run("timing.jsonl", RUN / TIMING, damaged_lines(TIMED), _compute),
    _run("stage.json", "shared/a/stage.json", damaged_json({"seconds": 2.5}), _compute),
    _run(
        "clean_split.json",
        "clean_split.json",
        damaged_json(CLEAN),
        lambda f: read_clean(f / "clean_split.json"),
    ),
    _run(
        "published.csv",
        "published.csv",
        _published(),
        lambda f: read_published(f / "published.csv"),
    ),
    _run(
        "extras.json",
        EXTRAS,
        damaged_json(
            {"clean_split": "c.json", "reported": True, "systems": {"a": "b"}, "reference": None}
        ),
        _extras,
    ),
    _run(
        "mlflow.json",
        IDS,
        damaged_json(
            {
                **{"parent": "0" * 32, "children": {"med2e3-s0": "1" * 32}, "uri": None},
                **{"sent": {"0" * 32: {"table.csv": "2" * 64}}, "pending": True},
            }
        ),
        Kept.read,
    ),
    _run(
        "left_out.tsv", RUN / LEFT_OUT, damaged_csv(LEFT, "\t"), lambda f: count_left_out(f / RUN)
    ),
    _run(
        "kept attention",
        RUN / "attention" / f"hidden-input-{DIGEST}.jsonl",
        damaged_lines(KEPT),
        _kept,
        str(RUN),
    ),
]
