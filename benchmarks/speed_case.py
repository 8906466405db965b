"""How much faster is one way of doing the same work? A case, and how it is measured.

Both ways are first called once, and what they return is compared: a ratio of unequal outputs is
none. That call also tells the peak memory; then A and B alternate, so that a machine which slows
down slows both.

Peak memory is what the kernel counted as resident at the worst moment of one call, above what was
resident before it: garbage is collected and the allocator's free pages are given back first. It
holds every allocator (Python's, torch's, that of numpy) and the pages of mapped files that were
touched, and for child processes the largest of those that ended. Linux alone; nan elsewhere. Where
a case compares memory, each way is called so often again and its least peak counts: what a call
needs; what libraries and the allocator keep from earlier calls comes on top of it by chance.
"""

import ctypes
import gc
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

MIB = 1 << 20


@dataclass
class Case:
    """One thing that can be done in two ways.

    Attributes:
        suite: what it belongs to.
        name: as targets.csv has it.
        unit: of the speeds, such as "questions/s"; of what `compares` says otherwise.
        work: units of work in one call.
        ours, reference: the two ways; called many times, they do the same each time. Without a
            reference ours is measured alone.
        equal: whether what they return is the same answer.
        limit: returns the speed that the machine cannot pass, in the same unit.
        compares: what the ratio is of. "speed": seconds of a call. "memory": peak extra memory.
            "size": what `size` returns of each output, such as bytes on disk; less is better.
        size: the size of an output, for "size".
    """

    suite: str
    name: str
    unit: str
    work: float
    ours: Callable[[], Any]
    reference: Callable[[], Any] | None
    equal: Callable[[Any, Any], bool]
    limit: Callable[[], float] | None = None
    compares: Literal["speed", "memory", "size"] = "speed"
    size: Callable[[Any], float] | None = None


class Record(NamedTuple):
    """What was measured of a case: how many times better ours is, and both figures in the unit.

    Without a reference its figures and the ratio are nan, and `equal` is None.
    """

    suite: str
    case: str
    ratio: float
    ours: float
    reference: float
    unit: str
    equal: bool | None
    peak_mib_ours: float
    peak_mib_reference: float
    limit: float | None


class Call(NamedTuple):
    """One call: what it returned, its seconds and its peak extra memory in MiB."""

    returned: Any
    seconds: float
    peak_mib: float


def measure(case: Case, repeats: int = 5) -> Record:
    """Return what a case measures: medians of `repeats` alternating calls after the first."""
    if case.reference is None:
        return measured_alone(case, repeats)
    first, other = watched_call(case.ours), watched_call(case.reference)
    equal = bool(case.equal(first.returned, other.returned))
    if case.compares == "size":
        if case.size is None:
            raise ValueError(f"{case.suite}/{case.name} compares sizes and has no size")
        ours, reference = case.size(first.returned), case.size(other.returned)
    peaks = first.peak_mib, other.peak_mib
    del first, other
    if case.compares == "memory":
        mib = [(peak_mib(case.ours), peak_mib(case.reference)) for _ in range(repeats)]
        ours, reference = peaks = min(a for a, _ in mib), min(b for _, b in mib)
    if case.compares == "speed":
        seconds = [(timed(case.ours), timed(case.reference)) for _ in range(repeats)]
        ours, reference = (case.work / median(side) for side in zip(*seconds, strict=True))
        ratio = ours / reference
    else:
        ratio = reference / ours if ours else float("inf")
    limit = None if case.limit is None else case.limit()
    return Record(
        *(case.suite, case.name, ratio, ours, reference, case.unit, equal, *peaks, limit),
    )


def measured_alone(case: Case, repeats: int) -> Record:
    """Return the median speed and the peak memory of ours, where there is no reference."""
    peak = watched_call(case.ours).peak_mib
    ours = case.work / median(timed(case.ours) for _ in range(repeats))
    limit = None if case.limit is None else case.limit()
    none = float("nan")
    return Record(
        *(case.suite, case.name, none, ours, none, case.unit, None, peak, none, limit),
    )


def timed(call: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    gc.collect()
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def peak_mib(call: Callable[[], Any]) -> float:
    """Return the peak extra memory of one call, whose result is dropped."""
    return watched_call(call).peak_mib


def watched_call(call: Callable[[], Any]) -> Call:
    """Call once and watch the memory of this process, and of children that end meanwhile."""
    before = start_peak()
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    begun = time.perf_counter()
    returned = call()
    seconds = time.perf_counter() - begun
    peak = status("VmHWM") - before
    grown = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if grown > children:  # kilobytes; a child begins with the pages of its parent
        peak += max(0.0, grown * 1024 / MIB - before)
    return Call(returned, seconds, max(0.0, peak))


def start_peak() -> float:
    """Give free pages back, begin a new peak, and return the resident MiB; nan without /proc."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return float("nan")
    return status("VmRSS")


def status(name: str) -> float:
    """Return a size of /proc/self/status in MiB; nan where there is none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("nan")
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(found[0]) * 1024 / MIB if found else float("nan")
