"""What stops a call to MLflow, how long may it take, and what may be said of it?

A server may be down, slow or refuse, a database be locked, a disk be full. Whatever it is, it ends
in one exception with one line, without the secrets of the address.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

from urllib3.exceptions import HTTPError

from tomovox.schema import TomovoxError
from tomovox.tracking.masking import address, masked

BOUNDS: Mapping[str, str] = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
"""What bounds a call to a server, in seconds and tries; MLflow's own would wait 16 minutes."""

LONGEST_REASON = 300

_ARTIFACT_CLIENTS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("boto3.exceptions", "Boto3Error"),
    ("azure.core.exceptions", "AzureError"),
    ("google.api_core.exceptions", "GoogleAPIError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)
"""What the clients of artifact stores raise that is no error of Python's own."""

_LEVELS = {
    "alembic": logging.WARNING,
    "mlflow": logging.CRITICAL,
    "urllib3.connectionpool": logging.ERROR,
}
"""Logger -> from which level on it is heard: StoreAway tells what retries and tracebacks would."""


class StoreAway(TomovoxError):
    """MLflow cannot be reached, or did not take what it was given: one line, without secrets."""

    def __init__(self, uri: str, reason: str) -> None:
        line = next(iter(reason.strip().splitlines()), "no reason given")
        if len(line) > LONGEST_REASON:
            line = f"{line[: LONGEST_REASON - 1]}…"
        super().__init__(f"MLflow at {address(uri)} is not complete: {line}")


@contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Bound the calls to MLflow in a `with`; whatever stops one becomes StoreAway."""
    import_module("mlflow")  # which sets levels of its own
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)
    with settings({name: value for name, value in BOUNDS.items() if name not in os.environ}):
        try:
            yield
        except store_errors() as error:
            raise StoreAway(uri, masked(_reason(error), uri)) from None


def _reason(error: BaseException) -> str:
    """Return what the system or the database said first: MLflow wraps it in ever longer words."""
    inner = error.__cause__
    if inner is None and isinstance(error.__context__, OSError | HTTPError):
        inner = error.__context__
    return _reason(inner) if inner is not None else str(error) or type(error).__name__


@contextmanager
def settings(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment, which MLflow reads at every call, in a `with`."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def store_errors() -> tuple[type[Exception], ...]:
    """Return what MLflow, its databases, its server and its artifact stores raise.

    OSError is a full disk, a folder that may not be written, and all of requests; ImportError the
    missing driver of a database.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    clients = (
        getattr(sys.modules[module], name)
        for module, name in _ARTIFACT_CLIENTS
        if module in sys.modules
    )
    return (MlflowException, SQLAlchemyError, HTTPError, OSError, ImportError, *clients)
