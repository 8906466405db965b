"""Does `tomovox ui` serve one folder, on this machine only?"""

import pytest

from tomovox.schema import TomovoxError
from tomovox.tracking import server
from tomovox.tracking.kept import Kept
from tomovox.tracking.server import serve, server_command


def test_the_ui_runs_one_worker_on_this_machine_only(tmp_path):
    command = server_command(tmp_path, 5001)
    assert command[command.index("--workers") + 1] == "1"
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_the_ui_needs_a_database(tmp_path):
    with pytest.raises(TomovoxError, match=r"no mlflow\.db"):
        serve(tmp_path)


def test_of_runs_that_are_tracked_elsewhere_the_address_is_told(tmp_path):
    Kept(uri="http://***@host:5000").write(tmp_path)
    with pytest.raises(TomovoxError, match=r"in MLflow at http://\*\*\*@host:5000"):
        serve(tmp_path)


def test_the_ui_starts_without_job_execution(tmp_path, monkeypatch):
    started = {}

    class Process:
        def __init__(self, command, env):
            started.update(command=command, env=env)

        def wait(self):
            return 0

        def poll(self):
            return 0

    (tmp_path / "mlflow.db").touch()
    monkeypatch.setattr(server.subprocess, "Popen", Process)
    assert serve(tmp_path, 5001) == 0
    assert started["env"]["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
