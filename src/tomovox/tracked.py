"""What of an experiment does MLflow get? What its folder holds, whenever it is asked for.

A run logs at its end, `tomovox sync` again: both read the same files, so that nothing is lost when
MLflow is away, and nothing is there twice when it is back.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rich.markup import escape

from tomovox.analysis.summary import headlines
from tomovox.configuration import read_yaml
from tomovox.files import write_atomically
from tomovox.judge.outcome import CLEAN
from tomovox.judge.protocols import is_primary
from tomovox.judge.runs import CONFIG
from tomovox.judge.score import RESULTS
from tomovox.progress import say
from tomovox.schema import NONE, PREDICTIONS, TomovoxError
from tomovox.tracking.away import StoreAway, reaching
from tomovox.tracking.kept import Kept
from tomovox.tracking.masking import HIDDEN, address, masked
from tomovox.tracking.names import (
    STATISTICS,
    attention_metrics,
    compared_metrics,
    reliance_metrics,
    score_metrics,
    unavailable_tags,
)
from tomovox.tracking.store import Tracker, database_uri

SOURCE, TABLE, RELIANCE = "experiment.yaml", "table.csv", "reliance.csv"
"""Files of an experiment's folder: the experiment file without secrets, the table, the reliance."""

ATTENTION, LOOKED = "attention", "attention/attention.csv"
"""Where `tomovox attention` writes."""

OF_PARENT = (SOURCE, "table.*", "*.csv", f"{CLEAN}/*", f"{ATTENTION}/*")
OF_CHILD = (CONFIG, PREDICTIONS, RESULTS)
"""Files that become artifacts of the parent run and of its children."""

PATIENCE_SECONDS = 300.0
"""What a run gives MLflow in all: a slow server must not hold the machine that trained."""

Row = dict[str, Any]


def keep_source(folder: Path, path: Path, uri: str | None) -> None:
    """Keep the experiment file and where its runs are tracked, without secrets; ask no store.

    Without `uri` they are tracked where they were before. Raises TomovoxError for a broken
    mlflow.json.
    """
    kept = Kept.read(folder)
    kept.experiment = path.stem
    kept.file = os.path.relpath(path.resolve(), folder.resolve())
    if uri is not None:
        kept.uri = address(uri)
    kept.write(folder)
    copy = folder / SOURCE
    if path.resolve() != copy.resolve():
        text = path.read_text(encoding="utf-8")
        write_atomically(copy, masked(text if uri is None else text.replace(uri, address(uri))))


def is_tracked(folder: Path) -> bool:
    """Return whether the experiment of a folder was logged, if only in part."""
    kept = Kept.read(folder)
    return bool(kept.parent or kept.pending)


def track(folder: Path) -> bool:
    """Log an experiment; when it cannot all be logged, say so in one line and return False."""
    try:
        log_experiment(folder, PATIENCE_SECONDS)
    except TomovoxError as error:
        place = os.path.relpath(folder)
        say(escape(f"{error}; results are on disk, tomovox sync {place} completes MLflow"))
        return False
    return True


def check_table(folder: Path) -> None:
    """Raise TomovoxError for a folder without a table: there is nothing to log."""
    if not (folder / TABLE).is_file():
        raise TomovoxError(f"{folder}: no {TABLE} to log; run the experiment, or score it")


def log_experiment(folder: Path, seconds: float = math.inf) -> str:
    """Log an experiment from its folder, for so many seconds; return the address, secrets masked.

    Raises StoreAway when MLflow cannot take it, and TomovoxError for a folder without a table:
    what was logged until then stays, and is not logged again.
    """
    check_table(folder)
    kept = Kept.read(folder)
    uri = _with_secrets(folder, kept)
    with reaching(uri or database_uri(folder)):
        tracker = Tracker(uri, folder, kept.experiment or folder.resolve().name, seconds)
        _log(tracker, folder)
        tracker.complete()
        return address(tracker.uri)


def _with_secrets(folder: Path, kept: Kept) -> str | None:
    """Return the address that a folder is tracked at; None for its own mlflow.db.

    Where none was ever named or used it is MLFLOW_TRACKING_URI. Raises StoreAway when the secrets
    of the kept address stand nowhere any more.
    """
    set_here = os.environ.get("MLFLOW_TRACKING_URI") or None
    if kept.uri is None:
        return None if kept.parent else set_here
    if HIDDEN not in kept.uri:
        return kept.uri
    source = folder / kept.file if kept.file else None
    named = read_yaml(source).get("tracking_uri") if source and source.is_file() else None
    for uri in (named, set_here):
        if uri and HIDDEN not in uri and address(uri) == kept.uri:
            return str(uri)
    raise StoreAway(kept.uri, "its password is not kept, set MLFLOW_TRACKING_URI to all of it")


def _log(tracker: Tracker, folder: Path) -> None:
    """Log numbers before files: a full disk of artifacts costs no number."""
    parent = tracker.parent()
    children = _log_numbers(tracker, folder)
    for run, place in children.items():
        tracker.log_files(run, {name: place / name for name in OF_CHILD})
        tracker.finish(run)
    found = {path for pattern in OF_PARENT for path in folder.glob(pattern) if path.is_file()}
    files = sorted(path for path in found if not path.name.startswith("."))
    tracker.log_files(parent, {path.relative_to(folder).as_posix(): path for path in files})
    tracker.finish(parent)


def _log_numbers(tracker: Tracker, folder: Path) -> dict[str, Path]:
    """Log every row of the table to its child run; return the ids and RUN folders of the children.

    A child has every score of its row, and of the primary metric of each task also statistics,
    scores under controls and visual reliance; of the others these stand in the tables alone.
    """
    table = read_rows(folder / TABLE, ("value", *STATISTICS))
    relied = read_rows(folder / RELIANCE, ("reliance",))
    looked = read_rows(folder / LOOKED, ("value",))
    children: dict[str, Path] = {}
    rows = ((row["model"], row["seed"]) for row in table if row["control"] == NONE)
    for model, seed in dict.fromkeys(row for row in rows if row[1]):
        place, mine = folder / f"{model}-s{seed}", _rows_of(table, model, seed)
        scores = _results(place)
        metrics = {
            **score_metrics(scores),
            **compared_metrics(filter(is_primary, mine)),
            **reliance_metrics(_rows_of(relied, model, seed)),
            **attention_metrics(_headlines(_rows_of(looked, model, seed))),
        }
        run = tracker.run(model, int(seed))
        tracker.log(run, metrics, unavailable_tags(scores), {"model": model, "seed": seed})
        children[run] = place
    return children


def read_rows(path: Path, numbers: Collection[str]) -> list[Row]:
    """Return the rows of a written table, `numbers` as such, NaN where empty; none without it."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        rows: list[Row] = list(csv.DictReader(stream))
    try:
        for row in rows:
            row |= {name: float(row[name] or "nan") for name in numbers}
    except (KeyError, ValueError) as error:
        raise TomovoxError(f"{path}: no table of this version ({error}); make it again") from None
    return rows


def _rows_of(rows: list[Row], model: str, seed: str) -> list[Row]:
    return [row for row in rows if row["model"] == model and row["seed"] == seed]


def _results(run: Path) -> list[Row]:
    path = run / RESULTS
    if not path.is_file():
        raise TomovoxError(f"{path}: no such file to log; score the run first")
    rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return rows


def _headlines(rows: list[Row]) -> list[Row]:
    import pandas

    return headlines(pandas.DataFrame(rows)) if rows else []
