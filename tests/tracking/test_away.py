"""Does whatever stops MLflow end in one line, in time, and without secrets?"""

import os
import socket
import sys
from types import ModuleType

import pytest
from mlflow.exceptions import MlflowException

from tomovox.schema import TomovoxError
from tomovox.tracking.away import BOUNDS, StoreAway, reaching, settings
from tomovox.tracking.store import Tracker

URI = "http://me:s3cr3tword@host:5000"


def said(error: Exception) -> str:
    """Return what is said of an error on the way to MLflow."""
    with pytest.raises(StoreAway) as caught, reaching(URI):
        raise error
    return str(caught.value)


@pytest.mark.parametrize(
    "error", [MlflowException("gone"), OSError(28, "gone"), ConnectionError("gone")]
)
def test_whatever_stops_mlflow_is_one_line_with_its_address(error):
    line = said(error)
    assert line.startswith("MLflow at http://***@host:5000 is not complete: ") and "gone" in line
    assert "\n" not in line


def test_what_users_can_mend_stays_what_it_is():
    with pytest.raises(TomovoxError, match="no file"), reaching(URI):
        raise TomovoxError("no file")


def test_the_error_of_an_artifact_client_counts_too(monkeypatch):
    class ClientError(Exception):
        pass

    module = ModuleType("botocore.exceptions")
    module.ClientError, module.BotoCoreError = ClientError, ClientError
    monkeypatch.setitem(sys.modules, "botocore.exceptions", module)
    assert "no such bucket" in said(ClientError("no such bucket"))


def test_a_secret_in_an_error_is_not_repeated():
    line = said(MlflowException(f"API request to {URI}/api/2.0/get?token=1 failed: s3cr3tword"))
    assert "s3cr3tword" not in line and "token=1" not in line and "failed" in line


def test_of_a_wrapped_error_the_first_is_told():
    error = MlflowException("(raised as a result of autoflush)\n(sqlite3.OperationalError)")
    error.__cause__ = OSError("database is locked")
    assert said(error).endswith("database is locked")


def test_a_long_reason_is_cut():
    assert len(said(MlflowException("x" * 5000))) < 400


def test_an_error_without_words_is_named():
    assert said(TimeoutError()).endswith("TimeoutError")


def test_calls_are_bounded_and_only_within(monkeypatch):
    for name in BOUNDS:
        monkeypatch.delenv(name, raising=False)
    with reaching(URI):
        assert {name: os.environ[name] for name in BOUNDS} == BOUNDS
    assert not BOUNDS.keys() & os.environ.keys()


def test_bounds_that_a_user_set_are_kept(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    with reaching(URI):
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"


def test_settings_are_taken_back(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    with settings({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}):
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "5"


def test_a_server_that_never_answers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://me:s3cr3tword@127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(StoreAway, match="timed out") as caught, reaching(uri):
            Tracker(uri, tmp_path, "slow")
    assert "s3cr3tword" not in str(caught.value)


def test_a_server_that_is_not_there_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    with pytest.raises(StoreAway, match="refused"), reaching(uri):
        Tracker(uri, tmp_path, "down")


def test_a_database_without_its_driver_is_told(tmp_path):
    uri = "postgresql+pg8000://me:s3cr3tword@127.0.0.1:1/mlflow"
    with pytest.raises(StoreAway, match="pg8000") as caught, reaching(uri):
        Tracker(uri, tmp_path, "no driver")
    assert "s3cr3tword" not in str(caught.value)
