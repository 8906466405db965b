"""Does any reader fail on a damaged file? The properties of tests/fuzz on many more cases.

usage: python benchmarks/fuzz.py [--cases 5000] [--json benchmarks/results/fuzz.json]

Every reader starts from a valid file of its kind. What is damaged: bits, cuts, types, numbers, NaN,
texts, paths that escape, doubled keys, nesting, headers that lie about sizes, packed bombs. A case
is a result, a refusal (TomovoxError: one line that names the place), or a fault: anything else,
more than 512 MiB, or 30 s of computing. The same cases at every call; exit code 1 with a fault.
In the file, `seconds` of computing and `mib` of memory are the most that one case took.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections import Counter
from datetime import date
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "fuzz"))

from fuzz_all import TARGETS  # noqa: E402
from fuzz_target import fuzz  # noqa: E402
from guarded import Worst  # noqa: E402
from measured import commit  # noqa: E402

COUNTED, WORST = ("cases", "results", "refusals", "faults"), ("seconds", "mib")
LIBRARIES = ("tomovox", "hypothesis", "numpy", "torch", "safetensors", "nibabel", "pydicom")


def tried(cases: int) -> tuple[list[dict], list[str]]:
    """Return the counts of each reader over about so many cases in all, and what was a fault."""
    rows, faults = [], []
    for target in TARGETS:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["TOMOVOX_CACHE"] = str(Path(folder) / "cache")
            worst = Worst()
            counts = fuzz(target, Path(folder), -(-cases // len(TARGETS)), faults, worst)
        row = {"reader": target.name, "cases": counts.total(), "results": counts["result"]}
        row |= {"refusals": counts["refusal"], "faults": counts["fault"]}
        rows.append(row | {"seconds": round(worst.seconds, 3), "mib": round(worst.mib)})
        print(f"{row['reader']:32}{row['cases']:6}{counts['refusal']:6} refused", flush=True)
    return rows, faults


def main() -> int:
    """Print a line for each reader; write the counts where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    rows, faults = tried(given.cases)
    total = {key: sum(row[key] for row in rows) for key in COUNTED}
    total |= {key: max(row[key] for row in rows) for key in WORST}
    print(", ".join(f"{key} {value}" for key, value in total.items()))
    for fault, times in Counter(faults).most_common(20):
        print(f"{times} x {fault}")
    if given.json:
        versions = {"python": platform.python_version()} | {n: version(n) for n in LIBRARIES}
        made = {
            "date": date.today().isoformat(),
            "command": f"benchmarks/fuzz.py --cases {given.cases}",
        }
        content = made | {"commit": commit(), "versions": versions, "total": total, "readers": rows}
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
