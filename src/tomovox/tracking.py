"""How does an experiment appear in MLflow? One parent run, one child run per model and seed.

An experiment that is started again continues the same runs. Their ids are stored in mlflow.json,
which a moved folder takes along; where it is lost, the runs are found by their tags. By default
everything lies in one folder: mlflow.db, mlartifacts/ and mlflow.json.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard
from uuid import NAMESPACE_URL, uuid5

from tomovox.schema import NONE, TomovoxError, write_atomically

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

IDS = "mlflow.json"
LONGEST_PARAMETER = 250
"""Characters of a parameter that every MLflow store takes; longer values belong in the config."""

STATISTICS = ("lo", "hi", "difference", "p_adjusted")
"""Columns of a compared row that become metrics; the others stand in the table alone."""

_PARENT, _FOLDER = "mlflow.parentRunId", "tomovox.folder"
_UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""What MLflow answers to an id that it does not have, or that is none."""

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def database_uri(folder: Path) -> str:
    """Return the address of folder/mlflow.db; MLflow 3 refuses stores made of plain files."""
    return f"sqlite:///{folder.absolute() / 'mlflow.db'}"


def metric_name(row: Mapping[str, Any]) -> str:
    """Return "vqa_closed.plane.accuracy.standard" of a row, in characters that MLflow allows."""
    parts = ("task", "question_type", "metric", "protocol")
    return ".".join(_in_a_name(row[part]) for part in parts)


def folder_key(folder: Path) -> str:
    """Return what a parent run is tagged with: a UUID of the machine's name and the folder's path.

    The name, because containers that share a server also share paths.
    """
    return str(uuid5(NAMESPACE_URL, f"file://{platform.node()}{folder.resolve().as_posix()}"))


class Tracker:
    """MLflow runs of one experiment: a parent, and a child per model and seed.

    `uri` is the tracking address, None for folder/mlflow.db. `folder` is that of the experiment; it
    is made when missing. Calls may be repeated: they find the runs of the first call.
    """

    def __init__(self, uri: str | None, folder: Path, experiment: str) -> None:
        from mlflow import MlflowClient

        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.uri = uri or database_uri(folder)
        self.experiment = experiment
        _quiet()
        self._client: MlflowClient = MlflowClient(tracking_uri=self.uri)
        self.experiment_id = self._experiment_id()
        self._ids = _stored_ids(folder) | ({} if uri is None else {"uri": uri})

    @classmethod
    def of_folder(cls, folder: Path) -> Tracker | None:
        """Return the tracker of an experiment that ran in `folder`; None where none did.

        The store is its mlflow.db, else what its mlflow.json names; TomovoxError without its runs.
        """
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        ids = _stored_ids(folder)
        uri = None if (folder / "mlflow.db").is_file() else ids.get("uri", "")
        if "parent" not in ids or uri == "":
            return None
        _quiet()
        client = MlflowClient(tracking_uri=uri or database_uri(folder))
        try:
            experiment = client.get_run(ids["parent"]).info.experiment_id
            return cls(uri, folder, client.get_experiment(experiment).name)
        except MlflowException as error:
            raise TomovoxError(f"{folder / IDS}: {_first_line(error)}; run it again") from None

    def parent(self) -> str:
        """Return the id of the experiment's parent run; make or reopen the run."""
        tags = {_FOLDER: folder_key(self.folder)}
        self._ids["parent"] = self._open(self._ids.get("parent"), self.experiment, tags)
        self._write_ids()
        return str(self._ids["parent"])

    def run(self, model: str, seed: int) -> str:
        """Return the id of the child run of a model and seed; make or reopen the run."""
        name = f"{model}-s{seed}"
        tags = {_PARENT: self.parent(), "model": model, "seed": str(seed)}
        children: dict[str, str] = self._ids.setdefault("children", {})
        children[name] = self._open(children.get(name), name, tags)
        self._write_ids()
        return children[name]

    def log_parameters(self, run_id: str, parameters: Mapping[str, object]) -> None:
        """Log a few short parameters, cut to 250 characters.

        MLflow never changes a parameter: a value that differs on a later call becomes the tag
        "later.<name>".
        """
        known = self._client.get_run(run_id).data.params
        for key, value in parameters.items():
            name, text = _in_a_name(key), str(value)[:LONGEST_PARAMETER]
            if name not in known:
                self._client.log_param(run_id, name, text)
            elif known[name] != text:
                self._client.set_tag(run_id, f"later.{name}", text)

    def log_config(self, run_id: str, text: str, name: str = "config.yaml") -> None:
        """Store a configuration as the artifact `name` of a run."""
        self._client.log_text(run_id, text, name)

    def log_rows(self, run_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Log every score as task.type.metric.protocol and its n as the same name with ".n".

        A row without a value (None or NaN) is logged as the tag "unavailable.<name>", never as a
        number.
        """
        from mlflow.entities import RunTag

        metrics: dict[str, float | None] = {}
        tags = []
        for row in rows:
            name = metric_name(row)
            metrics |= {name: row["value"], f"{name}.n": row["n"]}
            if not _is_number(row["value"]):
                tags.append(RunTag(f"unavailable.{name}", str(row.get("note", ""))))
        self._log_metrics(run_id, metrics)
        for start in range(0, len(tags), 100):  # the most that one call may hold
            self._client.log_batch(run_id, tags=tags[start : start + 100])

    def log_compared(self, run_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Log what a comparison adds to some scores of a run, and the scores under controls.

        A row of the model itself gives its STATISTICS as task.type.metric.protocol.lo and so on, a
        row of a control its value as control.<control>.task.type.metric.protocol. What is NaN is
        left out. Give the rows of a task's primary metric: for every row of a table these were
        more metrics than MLflow shows well, and the table is an artifact of the parent.
        """
        metrics: dict[str, float | None] = {}
        for row in rows:
            name = metric_name(row)
            if row["control"] == NONE:
                metrics |= {f"{name}.{column}": row[column] for column in STATISTICS}
            else:
                metrics[f"control.{_in_a_name(row['control'])}.{name}"] = row["value"]
        self._log_metrics(run_id, metrics)

    def log_reliance(self, run_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Log the visual reliance of a run as reliance.<control>.task.type; NaN is left out."""
        metrics: dict[str, float | None] = {}
        for row in rows:
            parts = (_in_a_name(row[part]) for part in ("control", "task", "question_type"))
            metrics[".".join(("reliance", *parts))] = row["reliance"]
        self._log_metrics(run_id, metrics)

    def log_attention(self, run_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Log where a run looked as attention.<statistic>[.<hidden>].task.type without NaN."""
        metrics: dict[str, float | None] = {}
        for row in rows:
            parts = (row[part] for part in ("statistic", "hidden", "task", "question_type"))
            metrics[".".join(_in_a_name(p) for p in ("attention", *parts) if p)] = row["value"]
        self._log_metrics(run_id, metrics)

    def log_files(self, run_id: str, paths: Iterable[Path], into: str | None = None) -> None:
        """Store files, such as tables, as artifacts of a run, in the artifact folder `into`."""
        for path in paths:
            if not path.is_file():
                raise TomovoxError(f"{path}: no such file to log; score the run first")
            self._client.log_artifact(run_id, str(path), into)

    def finish(self, run_id: str, status: str = "FINISHED") -> None:
        """End a run; `status` is FINISHED, FAILED or KILLED."""
        self._client.set_terminated(run_id, status)

    def _experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(self.experiment)
        if found is None:
            # Without a place of its own the artifacts would land in the current folder.
            local = self.uri.startswith("sqlite:")
            place = (self.folder.absolute() / "mlartifacts").as_uri() if local else None
            try:
                return str(self._client.create_experiment(self.experiment, artifact_location=place))
            except MlflowException as error:
                # Another process may have made it between the two calls.
                found = self._client.get_experiment_by_name(self.experiment)
                if found is None:
                    raise TomovoxError(f"{self.uri}: {_first_line(error)}") from None
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _log_metrics(self, run_id: str, values: Mapping[str, float | None]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(k, float(v), now, 0) for k, v in values.items() if _is_number(v)]
        for start in range(0, len(metrics), 1000):  # the most that one call may hold
            self._client.log_batch(run_id, metrics=metrics[start : start + 1000])

    def _open(self, run_id: str | None, name: str, tags: Mapping[str, str]) -> str:
        """Reopen the run of a stored id, else the one with these tags; make it if there is none."""
        run = self._stored(run_id) or self._tagged(tags)
        if run is None:
            made = self._client.create_run(self.experiment_id, tags=dict(tags), run_name=name)
            return str(made.info.run_id)
        found = str(run.info.run_id)
        for key, value in tags.items():
            if run.data.tags.get(key) != value:  # the folder was moved, or its parent made anew
                self._client.set_tag(found, key, value)
        self._client.update_run(found, status="RUNNING")
        return found

    def _stored(self, run_id: str | None) -> Run | None:
        from mlflow.exceptions import MlflowException

        if not run_id:
            return None
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in _UNKNOWN:  # a server that is away must not double a run
                raise TomovoxError(f"{self.uri}: {_first_line(error)}") from None
            return None  # another store, or its database was removed: the id means nothing here
        active = run.info.lifecycle_stage == "active"
        return run if active and run.info.experiment_id == self.experiment_id else None

    def _tagged(self, tags: Mapping[str, str]) -> Run | None:
        # A filter cannot quote every name of a model: ask for the hexadecimal tag alone.
        key = _PARENT if _PARENT in tags else _FOLDER
        runs = self._client.search_runs([self.experiment_id], f"tags.`{key}` = '{tags[key]}'")
        return next((run for run in runs if tags.items() <= run.data.tags.items()), None)

    def _write_ids(self) -> None:
        write_atomically(self.folder / IDS, json.dumps(self._ids, indent=1, sort_keys=True) + "\n")


def _stored_ids(folder: Path) -> dict[str, Any]:
    path = folder / IDS
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise TomovoxError(f"{path}: not JSON ({error.msg}); remove the file") from None
    return stored if isinstance(stored, dict) else {}


def server_command(folder: Path, port: int) -> list[str]:
    """Return the command of the light MLflow UI over folder/mlflow.db."""
    return [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database_uri(folder),
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
    ]  # fmt: skip


def serve(folder: Path, port: int = 5000) -> int:
    """Show the runs of `folder` in MLflow's UI until it is interrupted; return its exit code.

    The runs of an experiment stand at #/experiments/<id>/runs?workflowType=machine_learning.
    Raises TomovoxError when the folder has no database.
    """
    if not (folder / "mlflow.db").is_file():
        raise TomovoxError(f"{folder}: no mlflow.db; run an experiment first (tomovox run)")
    # Job execution would start a second service that this UI has no use for.
    settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(server_command(folder, port), env=settings)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 0  # the way to end it
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _in_a_name(part: object) -> str:
    return _NOT_IN_A_NAME.sub("_", str(part))


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and not math.isnan(value)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _quiet() -> None:
    """Keep the log of database migrations out of the terminal."""
    import logging

    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
