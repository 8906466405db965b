"""Does a reader return or refuse in one line, within memory and time? Anything else is a Fault."""

from __future__ import annotations

import faulthandler
import logging
import re
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from unittest.mock import patch

from huggingface_hub import constants

from tomovox.schema import TomovoxError

MOST_BYTES = 2**29
"""Memory that reading one small file may take beyond what the process has already."""

MOST_SECONDS = 30.0
"""Seconds of computing, not of waiting, after which a reader hangs: no clock decides."""

LAST_RESORT = 900.0
"""Seconds after which a reader that waits for something is ended with its traceback."""

RESULT, REFUSAL = "result", "refusal"


@dataclass
class Worst:
    """The most that one file took: seconds of computing, and memory beyond what there was."""

    seconds: float = 0.0
    mib: float = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure the block; Linux forgets the highest memory so far when it is told to."""
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before, start = _kib("VmRSS"), time.process_time()
        try:
            yield
        finally:
            self.seconds = max(self.seconds, time.process_time() - start)
            self.mib = max(self.mib, (_kib("VmHWM") - before) / 1024)


class Fault(AssertionError):
    """What no reader may do: another exception, a message of several lines, too much memory."""


class Hang(BaseException):
    """Raised inside of a reader that computes for too long; no reader catches it."""


def outcome(read: Callable[[], object], names: tuple[str, ...]) -> str:
    """Return RESULT or REFUSAL; Fault unless `read` does either, and names one of `names`."""
    try:
        with _bounded():
            read()
    except TomovoxError as error:
        message = str(error)
        if not message.isprintable():
            raise Fault(f"a refusal is not one printable line: {message[:500]!r}") from error
        if not any(name in message for name in names):
            raise Fault(f"a refusal names none of {names}: {message[:500]!r}") from error
        return REFUSAL
    except (Exception, Hang) as error:
        raise Fault(f"{type(error).__name__}: {str(error)[:500]!r}") from error
    return RESULT


@contextmanager
def _bounded() -> Iterator[None]:
    """Bound memory and time of the block, and keep the warnings of libraries to itself."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang(f"computed for more than {MOST_SECONDS} s")

    limits = resource.getrlimit(resource.RLIMIT_DATA)
    before = signal.signal(signal.SIGPROF, stop)
    faulthandler.dump_traceback_later(LAST_RESORT, exit=True, file=sys.__stderr__)
    try:
        # A text that names no folder may be a name on the hub, which is not asked.
        with warnings.catch_warnings(), patch.object(constants, "HF_HUB_OFFLINE", True):
            warnings.simplefilter("ignore")
            logging.disable()
            resource.setrlimit(
                resource.RLIMIT_DATA, (_kib("VmData") * 1024 + MOST_BYTES, limits[1])
            )
            signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        logging.disable(logging.NOTSET)
        resource.setrlimit(resource.RLIMIT_DATA, limits)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGPROF, before)


def _kib(name: str) -> int:
    """Return a memory of this process as Linux counts it: VmRSS is there, VmHWM its highest."""
    found = re.search(rf"{name}:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1])
