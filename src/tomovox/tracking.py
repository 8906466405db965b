"""How does an experiment appear in MLflow? One parent run, one child run per model and seed.

The ids are stored beside the database, so that an experiment that is started again continues the
same runs. By default everything lies in one folder: mlflow.db, mlartifacts/ and mlflow.json.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomovox.schema import TomovoxError, write_atomically

if TYPE_CHECKING:
    from mlflow import MlflowClient

IDS = "mlflow.json"
LONGEST_PARAMETER = 250
"""Characters of a parameter that every MLflow store takes; longer values belong in the config."""

_PARENT = "mlflow.parentRunId"
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def database_uri(folder: Path) -> str:
    """Return the address of folder/mlflow.db; MLflow 3 refuses stores made of plain files."""
    return f"sqlite:///{folder.absolute() / 'mlflow.db'}"


def metric_name(row: Mapping[str, Any]) -> str:
    """Return "vqa_closed.plane.accuracy.standard" of a row, in characters that MLflow allows."""
    parts = (row["task"], row["question_type"], row["metric"], row["protocol"])
    return ".".join(_NOT_IN_A_NAME.sub("_", str(part)) for part in parts)


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
        self._ids = self._read_ids()

    def parent(self) -> str:
        """Return the id of the experiment's parent run; make or reopen the run."""
        self._ids["parent"] = self._open(self._ids.get("parent"), self.experiment, {})
        self._write_ids()
        return str(self._ids["parent"])

    def run(self, model: str, seed: int) -> str:
        """Return the id of the child run of a model and seed; make or reopen the run."""
        name = f"{model}-s{seed}"
        parent = str(self._ids.get("parent") or self.parent())
        tags = {_PARENT: parent, "model": model, "seed": str(seed)}
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
            name, text = _NOT_IN_A_NAME.sub("_", key), str(value)[:LONGEST_PARAMETER]
            if name not in known:
                self._client.log_param(run_id, name, text)
            elif known[name] != text:
                self._client.set_tag(run_id, f"later.{name}", text)

    def log_config(self, run_id: str, text: str, name: str = "config.yaml") -> None:
        """Store a configuration as the artifact `name` of a run."""
        self._client.log_text(run_id, text, name)

    def log_rows(self, run_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Log every score as task.type.metric.protocol and its n as the same name with ".n".

        A row without a value is logged as the tag "unavailable.<name>", never as a number.
        """
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        metrics, tags = [], []
        for row in rows:
            name = metric_name(row)
            metrics.append(Metric(f"{name}.n", row["n"], now, 0))
            if row["value"] is None:
                tags.append(RunTag(f"unavailable.{name}", str(row.get("note", ""))))
            else:
                metrics.append(Metric(name, row["value"], now, 0))
        for start in range(0, len(metrics), 1000):  # the most that one call may hold
            self._client.log_batch(run_id, metrics=metrics[start : start + 1000])
        for start in range(0, len(tags), 100):
            self._client.log_batch(run_id, tags=tags[start : start + 100])

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

    def _open(self, run_id: str | None, name: str, tags: Mapping[str, str]) -> str:
        from mlflow.exceptions import MlflowException

        if run_id:
            try:
                run = self._client.get_run(run_id)
            except MlflowException:
                run = None  # the database was removed or exchanged: the stored id means nothing
            if run is not None and run.info.lifecycle_stage == "active":
                self._client.update_run(run_id, status="RUNNING")
                return run_id
        made = self._client.create_run(self.experiment_id, tags=dict(tags), run_name=name)
        return str(made.info.run_id)

    def _read_ids(self) -> dict[str, Any]:
        path = self.folder / IDS
        mine = {"uri": self.uri, "experiment_id": self.experiment_id}
        if not path.exists():
            return mine
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise TomovoxError(f"{path}: not JSON ({error.msg}); remove the file") from None
        # Ids of another store or experiment say nothing here.
        same = isinstance(stored, dict) and all(stored.get(key) == mine[key] for key in mine)
        return stored if same else mine

    def _write_ids(self) -> None:
        write_atomically(self.folder / IDS, json.dumps(self._ids, indent=1, sort_keys=True) + "\n")


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


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _quiet() -> None:
    """Keep the log of database migrations out of the terminal."""
    import logging

    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
