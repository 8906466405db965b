"""How are the runs of one folder shown? MLflow's own page, served from this machine."""

import os
import subprocess
import sys
from pathlib import Path

from tomovox.schema import TomovoxError
from tomovox.tracking.kept import Kept
from tomovox.tracking.store import DATABASE, database_uri


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
    if not (folder / DATABASE).is_file():
        if uri := Kept.read(folder).uri:
            raise TomovoxError(f"{folder}: its runs are in MLflow at {uri}; open that address")
        raise TomovoxError(f"{folder}: no {DATABASE}; run an experiment first (tomovox run)")
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
