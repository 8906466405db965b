"""What is a reader under test, and how is one damaged file after another handed to it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guarded import Worst, outcome
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True)
class Target:
    """A reader, and the valid files that it reads.

    `make` writes them below a folder, `file` is the one that is damaged there and `contents` draws
    what it then holds. `read` reads the folder. A refusal names the file, or one of `names`: parts
    of the folder that the reader was given instead.
    """

    name: str
    file: str
    make: Callable[[Path], None]
    contents: Callable[[bytes], SearchStrategy[bytes]]
    read: Callable[[Path], object]
    names: tuple[str, ...] = ()


def fuzz(
    target: Target,
    folder: Path,
    cases: int,
    faults: list[str] | None = None,
    worst: Worst | None = None,
) -> Counter[str]:
    """Hand so many damaged files to a reader; return how many it read and how many it refused.

    The cases are the same at every call. A Fault is raised with the smallest file that shows it, or
    where `faults` collects, noted there. `worst` is told what each case took.
    """
    counts: Counter[str] = Counter()
    target.make(folder)
    place = folder / target.file
    names = (place.name, *target.names)
    assert outcome(lambda: target.read(folder), names) == "result", "the valid file is not read"

    def hand(content: bytes) -> None:
        place.write_bytes(content)
        try:
            with worst.measured() if worst else nullcontext():
                found = outcome(lambda: target.read(folder), names)
            counts[found] += 1
        except AssertionError as fault:
            if faults is None:
                raise
            counts["fault"] += 1
            faults.append(f"{target.name}: {fault}")

    property_of(hand, target.contents(place.read_bytes()), cases)()
    return counts


def property_of(
    check: Callable[[bytes], None], drawn: SearchStrategy[Any], cases: int
) -> Callable[[], None]:
    """Return the property that `check` holds of so many drawn values."""
    chosen = settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    return chosen(given(drawn)(lambda content: check(content)))
