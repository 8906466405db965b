"""Where may a run be killed without harm? At every write: tests kill it at each of them.

With TOMOVOX_KILL_AT=FILE a process ends itself, as SIGKILL would, at the first write point that
FILE does not list, after it has added its name there: a command that is called again until it
ends well has then died once at every point, and FILE names them all. Without it nothing happens.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

KILL_AT = "TOMOVOX_KILL_AT"


def reached(what: str, path: Path, last_words: Callable[[], object] | None = None) -> None:
    """Pass the write point `what` of a file; where a test asks for it, end this process here.

    `last_words` is done just before: the half of a write that is torn.
    """
    if told := os.environ.get(KILL_AT):
        _end_once(f"{what} {path.name}", Path(told), last_words)


def _end_once(point: str, told: Path, last_words: Callable[[], object] | None) -> None:
    if told.is_file() and point in told.read_text(encoding="utf-8").splitlines():
        return
    sys.stderr.write(f"{KILL_AT}: ends at {point}\n")
    with told.open("a", encoding="utf-8") as stream:
        stream.write(f"{point}\n")
    if last_words:
        last_words()
    os.kill(os.getpid(), signal.SIGKILL)
