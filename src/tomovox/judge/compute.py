"""What did each row cost? Size, compute, training samples, time and memory, from its RUN folder.

Nothing here enters a score or the table of scores: time and memory differ from machine to machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomovox.files import write_csv
from tomovox.judge.cells import Run, run_order, runs_of
from tomovox.parsed import is_count, is_number, json_of, read_object
from tomovox.schema import NONE, TomovoxError
from tomovox.sheets import Sheet

if TYPE_CHECKING:
    import pandas

SIZE, TRAINING, TIMING = "size.json", "training.jsonl", "timing.jsonl"
"""Files of a RUN folder: what its model is, what its training took, what its answers took."""

COUNTS = ("parameters", "trainable", "visual_tokens", "samples", "peak_mib")
COSTS = ("gflops_volume", "gflops_question", "gflops_token")
SECONDS = ("train_seconds", "shared_seconds", "predict_seconds")
SIZES = (*COUNTS[:3], "perceive", "attend", "prefill", "token", "note")
LINES = ("samples", "seconds", "peak_mib")
"""What is read of size.json, and of a line of training.jsonl or timing.jsonl."""

AGAIN = "remove it and run the experiment again"
COLUMNS = (
    *("model", "seed", "control", "parameters", "trainable", "visual_tokens"),
    *(*COSTS, "samples", *SECONDS, "peak_mib", "note"),
)
"""Columns of compute.csv; a figure that is not known is empty, never 0.

`trainable` is of the last stage that trained. `gflops_volume` is spent once per volume however many
questions follow; `gflops_question` makes the visual tokens and reads the prompt, `gflops_token`
each further token of the answer. `samples` are the training questions of all stages, of a dual
encoder pairs, each time one was seen. `train_seconds` are of the row's own stages, `shared_seconds`
of the shared stages that it builds on, which other rows may count too. `predict_seconds` go without
the reading of volumes. `peak_mib` is main memory in prediction. A control has these two alone.
`note` says why figures of the model are missing.
"""

TOLD = (
    "Trainable: what the last stage of training moves. A mask head counts in parameters only.",
    "GFLOPs: 1 multiply-add = 2 FLOPs, on shapes alone. Per volume: once for all questions of a "
    "study, with all series that it shows. "
    "Per question: making the visual tokens, and reading them with a prompt of nominal length. Per "
    "token: each answer token but the first.",
    "Samples: training questions of all stages of the row, of a dual encoder pairs, each time one "
    "was seen.",
    "Shared stages are made once, and stand whole in every row that builds on them; their samples "
    "are not counted.",
    "Time and memory differ from machine to machine, and with what else ran there. Prediction goes "
    "without the reading of volumes; memory is main memory in prediction, never a GPU's.",
)
"""What a reader of the sheet must know."""


def compute_of(runs: Mapping[Run, Path]) -> pandas.DataFrame:
    """Return what every run cost, controls below their model, with the columns COLUMNS.

    A run is named by its folder; that of a control is the control's own.
    """
    import pandas

    rows = [
        {**dict(zip(COLUMNS, run, strict=False)), **_figures(runs[run])}
        for run in sorted(runs, key=run_order)
    ]
    frame = pandas.DataFrame(rows, columns=list(COLUMNS))
    for column in ("seed", *COUNTS):
        frame[column] = frame[column].astype("Int64")
    for column in (*COSTS, *SECONDS):
        frame[column] = frame[column].astype("Float64")
    return frame


def _figures(run: Path) -> dict[str, Any]:
    """Return the figures of one RUN folder, without those that are not known."""
    size = read_object(run / SIZE, AGAIN) if (run / SIZE).is_file() else {}
    trained = _last_lines(run / TRAINING, "stage")
    timed = _last_lines(run / TIMING, "study")
    peaks = [line.get("peak_mib") for line in timed]
    shared = size.get("shared")
    _check(run / SIZE, size, SIZES)
    if not (shared is None or (isinstance(shared, list) and all(map(_is_inside, shared)))):
        raise TomovoxError(f"{run / SIZE}: shared names no stages below the experiment; {AGAIN}")
    return {
        "parameters": size.get("parameters"),
        "trainable": size.get("trainable"),
        "visual_tokens": size.get("visual_tokens"),
        "gflops_volume": size.get("perceive"),
        "gflops_question": _sum(size.get(key) for key in ("attend", "prefill")),
        "gflops_token": size.get("token"),
        "samples": _sum(line.get("samples") for line in trained),
        "train_seconds": _sum(line.get("seconds") for line in trained),
        "shared_seconds": _shared_seconds(run.parent, shared),
        "predict_seconds": _sum(line.get("seconds") for line in timed),
        "peak_mib": max((peak for peak in peaks if peak is not None), default=None),
        "note": size.get("note", ""),
    }


def _shared_seconds(experiment: Path, stages: Sequence[str] | None) -> float | None:
    """Return the seconds of the named stages; None when they, or one's time, are not known."""
    if stages is None:
        return None
    files = [experiment / stage / "stage.json" for stage in stages]
    if not all(file.is_file() for file in files):
        return None
    told = [read_object(file, AGAIN) for file in files]
    for file, stage in zip(files, told, strict=True):
        _check(file, stage, ("seconds",))
    return _sum([0.0, *(stage.get("seconds") for stage in told)])


def _sum(parts: Iterable[float | None]) -> float | None:
    """Return the sum; None when a part is not known or there are none."""
    given = list(parts)
    known = [part for part in given if part is not None]
    return sum(known) if known and len(known) == len(given) else None


def _last_lines(path: Path, key: str) -> list[dict[str, Any]]:
    """Return the last line of each value of `key`; what was done again after a cut counts once.

    A line without `key` stands for itself. One that a cut left unfinished is passed over.
    """
    if not path.is_file():
        return []
    found: dict[Any, dict[str, Any]] = {}
    for number, text in enumerate(path.read_bytes().splitlines()):
        try:
            line = json_of(text)
        except ValueError:
            continue
        if not isinstance(line, dict):
            raise TomovoxError(f"{path}:{number + 1}: no object of figures; remove the line")
        _check(path, line, LINES, number + 1)
        found[str(line.get(key, number))] = line
    return list(found.values())


def _check(path: Path, figures: dict[str, Any], names: Iterable[str], line: int = 0) -> None:
    """Raise TomovoxError for a figure that is no number from 0, or a note that is no text."""
    for name in names:
        value = figures.get(name)
        known = {**dict.fromkeys(COUNTS, is_count), "note": _is_text}.get(name, _is_amount)
        if value is not None and not known(value):
            place = f"{path}:{line}" if line else path
            raise TomovoxError(f"{place}: {name} is {value!r:.60}, not what it counts; {AGAIN}")


def _is_amount(value: object) -> bool:
    return is_number(value) and value >= 0


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_inside(stage: object) -> bool:
    return (
        isinstance(stage, str) and ".." not in Path(stage).parts and not Path(stage).is_absolute()
    )


def write_compute(frame: pandas.DataFrame, folder: Path) -> list[Path]:
    """Write folder/compute.csv, six digits."""
    path = folder / "compute.csv"
    write_csv(frame, path)
    return [path]


# ---- as it is read -----------------------------------------------------------------------------


def count_text(count: float) -> str:
    """Return a number of parameters as it is read: 6.98 B, 3.24 M, 74.1 k or 512."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{three_digits(count / size)} {unit}"
    return f"{count:.0f}"


def whole_text(count: float) -> str:
    """Return a count as it is read: 11,520."""
    return f"{count:,.0f}"


def three_digits(value: float) -> str:
    """Return a value to three digits, whole from 100 on: 5,154, 41.9 or 0.0142."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def time_text(seconds: float) -> str:
    """Return a time as it is read: 3 h 5 min, 12 min 3 s or 0.4 s."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole} s" if whole >= 10 or not seconds else f"{seconds:.1f} s"


def memory_text(mib: float) -> str:
    """Return an amount of memory as it is read: 1.1 GiB or 812 MiB."""
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.0f} MiB"


SHOWN: dict[str, tuple[str, Callable[[float], str]]] = {
    "parameters": ("parameters", count_text),
    "trainable": ("trainable", count_text),
    "visual_tokens": ("visual tokens", whole_text),
    "gflops_volume": ("GFLOPs per volume", three_digits),
    "gflops_question": ("GFLOPs per question", three_digits),
    "gflops_token": ("GFLOPs per token", three_digits),
    "samples": ("samples", whole_text),
    "train_seconds": ("training", time_text),
    "shared_seconds": ("shared stages", time_text),
    "predict_seconds": ("prediction", time_text),
    "peak_mib": ("memory", memory_text),
}
"""Column -> its head in the sheet, and how its figures are read."""


def compute_sheet(frame: pandas.DataFrame) -> Sheet:
    """Return what each row cost, without controls and rows of which nothing is known."""
    import pandas

    models = frame[frame["control"] == NONE]
    rows, notes = [], []
    for label, figures in zip(runs_of(models).values(), models.to_dict("records"), strict=True):
        cells = [
            "n/a" if pandas.isna(figures[column]) else show(figures[column])
            for column, (_, show) in SHOWN.items()
        ]
        if set(cells) != {"n/a"}:
            rows.append((label, *cells))
        if figures["note"]:
            notes.append(f"{label}: {figures['note']}")
    heads = ("model", *(head for head, _ in SHOWN.values()))
    return Sheet("Compute of each model", heads, tuple(rows), told=(*TOLD, *notes))
