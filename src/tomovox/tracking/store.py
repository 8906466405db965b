"""How is an experiment logged to MLflow? One parent run, one child run per model and seed.

Everything may be logged again: the runs are found, and only what is new or changed is sent. By
default all of it lies in the experiment's folder: mlflow.db, mlartifacts/ and mlflow.json.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tomovox.files import whole_file
from tomovox.schema import TomovoxError
from tomovox.tracking.away import StoreAway, settings
from tomovox.tracking.kept import Kept
from tomovox.tracking.masking import address
from tomovox.tracking.names import in_a_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

DATABASE = "mlflow.db"
LONGEST_PARAMETER = 250
"""Characters of a parameter that every MLflow store takes; longer values belong in the config."""

_PARENT, _FOLDER = "mlflow.parentRunId", "tomovox.folder"
_UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""What MLflow answers to an id that it does not have, or that is none."""

_MOST_METRICS, _MOST_TAGS = 1000, 100
"""What one call may hold."""


def database_uri(folder: Path) -> str:
    """Return the address of folder/mlflow.db; MLflow 3 refuses stores made of plain files."""
    return f"sqlite:///{folder.absolute() / DATABASE}"


def _artifacts(folder: Path) -> str:
    return (folder.absolute() / "mlartifacts").as_uri()


def make_database(folder: Path) -> None:
    """Make folder/mlflow.db where there is none, whole or not at all.

    MLflow makes its tables in some forty steps. One killed between them leaves a database that
    neither MLflow nor a later run can open.
    """
    path = folder / DATABASE
    if path.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with whole_file(path) as temporary:
        store = SqlAlchemyStore(f"sqlite:///{temporary.absolute()}", _artifacts(folder))
        store.engine.dispose()


class Tracker:
    """MLflow runs of one experiment: a parent, and a child per model and seed.

    `uri` is the tracking address, None for folder/mlflow.db. `folder` is that of the experiment; it
    is made when missing, and its mlflow.json says from now on that something is pending, until
    `complete`. Every method talks to the store, for `seconds` in all, and may raise whatever
    `away.store_errors` names; StoreAway when the time is over.
    """

    def __init__(
        self, uri: str | None, folder: Path, experiment: str, seconds: float = math.inf
    ) -> None:
        from mlflow import MlflowClient

        self.folder, self.experiment = folder, experiment
        self.uri = uri or database_uri(folder)
        self.kept = Kept.read(folder)
        self.kept.uri = None if uri is None else address(uri)
        self.kept.experiment, self.kept.pending = experiment, True
        self.kept.write(folder)  # the key of the parent, before there is a parent
        self._seconds, self._until = seconds, time.monotonic() + seconds
        if uri is None:
            make_database(folder)
        self._store: MlflowClient = MlflowClient(tracking_uri=self.uri)
        self.experiment_id = self._experiment_id()

    @property
    def _client(self) -> MlflowClient:
        if time.monotonic() > self._until:
            raise StoreAway(self.uri, f"it took more than {self._seconds:g} seconds")
        return self._store

    def parent(self) -> str:
        """Return the id of the experiment's parent run; find it or make it."""
        kept = self.kept
        kept.parent = self._open(kept.parent, self.experiment, {_FOLDER: kept.key})
        kept.write(self.folder)
        return kept.parent

    def run(self, model: str, seed: int) -> str:
        """Return the id of the child run of a model and seed; find it or make it.

        Its parent must have been opened.
        """
        name = f"{model}-s{seed}"
        tags = {_PARENT: self.kept.parent, "model": model, "seed": str(seed)}
        children = self.kept.children
        children[name] = self._open(children.get(name, ""), name, tags)
        self.kept.write(self.folder)
        return children[name]

    def log(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        parameters: Mapping[str, object],
    ) -> None:
        """Log what the run does not have yet, and what has another value there.

        A metric keeps its last value, so that logging again adds no history. MLflow never changes a
        parameter, which is cut to 250 characters: one that differs becomes the tag "later.<name>".
        """
        from mlflow.entities import Metric, Param, RunTag

        there, now = self._client.get_run(run_id).data, int(time.time() * 1000)
        changed = {k: v for k, v in metrics.items() if there.metrics.get(k) != v}
        names = list(changed)
        for start in range(0, len(names), _MOST_METRICS):
            part = names[start : start + _MOST_METRICS]
            self._client.log_batch(run_id, [Metric(name, changed[name], now, 0) for name in part])
        texts = {in_a_name(k): str(v)[:LONGEST_PARAMETER] for k, v in parameters.items()}
        given = [Param(name, text) for name, text in texts.items() if name not in there.params]
        later = {f"later.{k}": v for k, v in texts.items() if there.params.get(k, v) != v}
        told = {**tags, **later}.items()
        new = [RunTag(name, text) for name, text in told if there.tags.get(name) != text]
        for start in range(0, max(len(new), len(given)), _MOST_TAGS):
            end = start + _MOST_TAGS
            self._client.log_batch(run_id, params=given[start:end], tags=new[start:end])

    def log_files(self, run_id: str, files: Mapping[str, Path]) -> None:
        """Store files as artifacts of a run, under the given paths, which keep the files' names.

        One that the store has with the same bytes is not sent again. Raises TomovoxError for a file
        that is not there.
        """
        sent = self.kept.sent.setdefault(run_id, {})
        sizes = self._artifact_sizes(run_id, {str(PurePosixPath(p).parent) for p in sent})
        try:
            for name, path in files.items():
                if not path.is_file():
                    raise TomovoxError(f"{path}: no such file to log; score the run first")
                with path.open("rb") as stream:
                    digest = file_digest(stream, "sha256").hexdigest()
                if sent.get(name) == digest and sizes.get(name) == path.stat().st_size:
                    continue
                within = str(PurePosixPath(name).parent)
                self._client.log_artifact(run_id, str(path), None if within == "." else within)
                sent[name] = digest
        finally:
            self.kept.write(self.folder)

    def finish(self, run_id: str) -> None:
        """End a run that has not ended."""
        if self._client.get_run(run_id).info.status != "FINISHED":
            self._client.set_terminated(run_id, "FINISHED")

    def complete(self) -> None:
        """Note in mlflow.json that everything is logged."""
        self.kept.pending = False
        self.kept.write(self.folder)

    def _artifact_sizes(self, run_id: str, folders: set[str]) -> dict[str, int | None]:
        found: dict[str, int | None] = {}
        for folder in folders:
            there = self._client.list_artifacts(run_id, None if folder == "." else folder)
            found |= {info.path: info.file_size for info in there}
        return found

    def _experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(self.experiment)
        if found is None:
            # Without a place of its own the artifacts would land in the current folder.
            local = self.uri.startswith("sqlite:")
            place = _artifacts(self.folder) if local else None
            try:
                return str(self._client.create_experiment(self.experiment, artifact_location=place))
            except MlflowException:
                # Another process may have made it between the two calls.
                found = self._client.get_experiment_by_name(self.experiment)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _open(self, run_id: str, name: str, tags: Mapping[str, str]) -> str:
        """Return the run of a stored id, else the one with these tags; make it if there is none."""
        run = self._stored(run_id) or self._tagged(tags)
        if run is None:
            # A server that made the run may be too slow to say so: asked again, it makes another.
            # Not asked again, the run is found by its tags the next time.
            with settings({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}):
                made = self._client.create_run(self.experiment_id, tags=dict(tags), run_name=name)
            return str(made.info.run_id)
        found = str(run.info.run_id)
        for key, value in tags.items():
            if run.data.tags.get(key) != value:  # its parent was made anew
                self._client.set_tag(found, key, value)
        return found

    def _stored(self, run_id: str) -> Run | None:
        from mlflow.exceptions import MlflowException

        if not run_id:
            return None
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in _UNKNOWN:  # a server that is away must not double a run
                raise
            return None  # another store, or its database was removed: the id means nothing here
        active = run.info.lifecycle_stage == "active"
        return run if active and run.info.experiment_id == self.experiment_id else None

    def _tagged(self, tags: Mapping[str, str]) -> Run | None:
        # A filter cannot quote every name of a model: ask for the hexadecimal tag alone.
        key = _PARENT if _PARENT in tags else _FOLDER
        wanted, first = f"tags.`{key}` = '{tags[key]}'", ["attributes.start_time ASC"]
        runs: Any = self._client.search_runs([self.experiment_id], wanted, order_by=first)
        return next((run for run in runs if tags.items() <= run.data.tags.items()), None)
