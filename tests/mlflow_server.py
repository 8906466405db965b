"""A real MLflow server on a free port that a test can kill, start again and hold."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from mlflow import MlflowClient

from tomovox.tracking.server import server_command

START_SECONDS = 120


class Server:
    """`tomovox ui` over a database in `folder`; artifacts go through it."""

    def __init__(self, folder: Path):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder, self.uri = folder, f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                server_command(self.folder, self.port), cwd=self.folder, env=settings,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < deadline, "no server"
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def signal(self, number: int) -> None:
        """Send a signal to the server and the worker that it started."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Give a server that answers; it is killed at the end."""
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def logged(uri: str, experiment: str) -> dict[str, dict[str, object]]:
    """Return all that MLflow has of each run of an experiment; two of one name are a fault.

    Artifacts with their sizes, every point of every metric; the parent is called "parent".
    """
    client, found = MlflowClient(tracking_uri=uri), {}
    place = client.get_experiment_by_name(experiment)
    for run in client.search_runs([place.experiment_id]):
        of = run.info.run_id
        name = run.info.run_name if "mlflow.parentRunId" in run.data.tags else "parent"
        assert name not in found, f"{experiment} has {name} twice"
        found[name] = {
            "metrics": {
                key: [point.value for point in client.get_metric_history(of, key)]
                for key in run.data.metrics
            },
            "parameters": run.data.params,
            "tags": {k: v for k, v in run.data.tags.items() if k.startswith("unavailable.")},
            "files": _files(client, of, None),
            "status": run.info.status,
        }
    return found


def _files(client: MlflowClient, run: str, folder: str | None) -> dict[str, int]:
    found = {}
    for info in client.list_artifacts(run, folder):
        found |= _files(client, run, info.path) if info.is_dir else {info.path: info.file_size}
    return found
