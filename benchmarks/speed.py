"""How much faster is Tomovox than the published way of working, with the same answers?

usage: python benchmarks/speed.py [--suite data|perceive|tgis|decode|score|train|all] [--growth]
                                  [--case NAME] [--repeats 5] [--json FILE] [--check]

Each suite is a module speed_SUITE.py whose cases have a stand-in for the released way, written by
us after its description: same weights, same inputs, and outputs that are compared. `--growth` makes
the tables of cost against size instead. `--check` exits with 1 where a case of targets.csv is
missing, below its target, or its answers are not equal; so it does for any case that is not equal.
"""

import argparse
import csv
import json
import math
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from measured import commit
from speed_case import Case, Record, measure

HERE = Path(__file__).resolve().parent
SUITES = ("data", "perceive", "tgis", "decode", "score", "train")
LIBRARIES = (
    *("tomovox", "torch", "numpy", "transformers", "peft", "monai"),
    *("nltk", "sacrebleu", "evaluate", "rouge-score"),
)
HEADS = (
    *("suite", "case", "ratio", "at least", "ours", "reference", "unit", "equal"),
    *("MiB ours", "MiB reference", "limit"),
)


def read_targets(path: Path = HERE / "targets.csv") -> dict[tuple[str, str], float]:
    """Return the least ratio of each (suite, case)."""
    with path.open(encoding="utf-8", newline="") as stream:
        return {
            (row["suite"], row["case"]): float(row["at_least"]) for row in csv.DictReader(stream)
        }


def cases_of(suite: str, growth: bool = False) -> Iterator[Case]:
    """Yield the cases of a suite, each made when it is asked for; none where there is no module."""
    name = f"speed_{suite}"
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return
    yield from module.growth() if growth else module.cases()


def faults(
    records: Iterable[Record], targets: Mapping[tuple[str, str], float], suites: Sequence[str]
) -> list[str]:
    """Return a line for each case of these suites that is missing, too slow or not equal."""
    found = {(record.suite, record.case): record for record in records}
    wrong = [
        f"{suite}/{case}: not measured, wanted at least {least:g}x"
        for (suite, case), least in targets.items()
        if suite in suites and (suite, case) not in found
    ]
    for place, record in found.items():
        name = "/".join(place)
        least = targets.get(place)
        if record.equal is False:
            wrong.append(f"{name}: the answers differ")
        # Written so that a ratio that is no number is a fault too.
        if least is not None and not record.ratio >= least:
            wrong.append(f"{name}: {record.ratio:.3g}x, wanted at least {least:g}x")
    return wrong


def row_of(record: Record, targets: Mapping[tuple[str, str], float]) -> list[str]:
    """Return the cells of a record as they are read."""
    least = targets.get((record.suite, record.case))
    figures = (record.ours, record.reference)
    peaks = (record.peak_mib_ours, record.peak_mib_reference)
    return [
        *(record.suite, record.case, _shown(record.ratio, ".2f", "x")),
        "" if least is None else f"{least:g}x",
        *(_shown(figure, ",.4g") for figure in figures),
        *(record.unit, {True: "yes", False: "NO", None: ""}[record.equal]),
        *(_shown(peak, ",.1f") for peak in peaks),
        "" if record.limit is None else f"{record.limit:,.4g}",
    ]


def _shown(figure: float, form: str, unit: str = "") -> str:
    return "" if math.isnan(figure) else f"{figure:{form}}{unit}"


def print_row(cells: Sequence[str], widths: Sequence[int] = (8, 26, 9, 8, 10, 10, 12, 5, 9, 13, 9)):
    """Print a line of the table at once: a case may take minutes."""
    print(" ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    sys.stdout.flush()


def circumstances() -> dict[str, Any]:
    """Return the machine, the versions and the commit that a measurement belongs to."""
    return {
        "machine": machine(),
        "python": platform.python_version(),
        "versions": {name: found for name in LIBRARIES if (found := _version(name))},
        "commit": commit(),
    }


def machine() -> dict[str, Any]:
    """Return processor, usable cores, threads of OpenMP, and memory in GiB."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "memory_gib": round(memory / (1 << 30), 1),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def as_json(records: Iterable[Record], growth: bool) -> str:
    """Return the measurement as JSON, a record to a line; what is no number is null."""
    lines = []
    for record in records:
        plain = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in record._asdict().items()
        }
        lines.append(json.dumps(plain))
    head = json.dumps(circumstances() | {"growth": growth})
    return f'{head[:-1]}, "records": [\n' + ",\n".join(lines) + "\n]}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", choices=(*SUITES, "all"), default="all")
    parser.add_argument("--case", help="this case alone")
    parser.add_argument("--growth", action="store_true", help="cost against size")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the records to this file")
    parser.add_argument("--check", action="store_true", help="exit with 1 below a target")
    given = parser.parse_args(arguments)
    suites = SUITES if given.suite == "all" else (given.suite,)
    targets = {
        place: least for place, least in read_targets().items() if given.case in (None, place[1])
    }
    records = []
    print_row(HEADS)
    for suite in suites:
        for case in cases_of(suite, given.growth):
            if given.case in (None, case.name):
                records.append(measure(case, given.repeats))
                print_row(row_of(records[-1], targets))
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(as_json(records, given.growth), encoding="utf-8")
    wrong = [] if given.growth else faults(records, targets, suites)
    if given.check:
        print("\n".join(wrong) or "every case reaches its target with equal answers")
    return int(bool(wrong) and given.check)


if __name__ == "__main__":
    sys.exit(main())
