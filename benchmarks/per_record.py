"""What does one more record cost beside the GPU? Seconds of one core and bytes, by what is done.

usage: OMP_NUM_THREADS=1 python benchmarks/per_record.py [--records 1000] [--repeats 5]

Median CPU time of the repeats. Volumes of 32 x 256 x 256 are noise and lie in the page cache, so
that no disk is timed. Questions and reports are those of a phantom of tiny volumes; an answer that
is scored is the reference of another record of its task, so that every metric has work. Statistics
are those of one metric of two rows: 2,000 draws and 10,000 swaps of cases with 10 records each.
"""

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from tomovox.data.phantom import write_phantom
from tomovox.data.records import read_records
from tomovox.data.volumes import read_volume
from tomovox.judge.compare import DRAWS, SWAPS
from tomovox.judge.score import score
from tomovox.schema import Prediction, Record, Task, to_line
from tomovox.statistics.bootstrap import draws
from tomovox.statistics.clusters import mean_of
from tomovox.statistics.paired import difference, permutation_p

ASKED = (Task.VQA_CLOSED, Task.VQA_OPEN, Task.REPORT)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median CPU seconds of some calls after a first one."""
    work()
    found = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return median(found)


def volume_lines(root: Path, repeats: int) -> list[str]:
    """Return a line for each way a volume is stored."""
    voxels = np.random.default_rng(0).random((1, 32, 256, 256), dtype=np.float32)
    stored = {"float32": voxels, "uint8": np.rint(voxels * 255).astype(np.uint8)}
    lines = []
    for name, array in stored.items():
        np.save(root / f"{name}.npy", array)

        def read(name: str = name) -> object:
            return read_volume(root, f"{name}.npy", name)

        cost = 1000 * seconds(read, repeats)
        lines.append(f"read a volume, {name} | {cost:.1f} ms | {array.nbytes:,} on disk")
    return lines


def record_lines(root: Path, task: Task, records: int, repeats: int) -> list[str]:
    """Return the lines of a task: reading its records, and scoring answers to them."""

    def read() -> list[Record]:
        return read_records(root, task, "test")

    found = read()
    cost = seconds(read, repeats) / len(found)
    tracemalloc.start()
    kept = read()
    held = tracemalloc.get_traced_memory()[0] / len(kept)
    tracemalloc.stop()
    said = answers(found[:records])
    line = sum(len(to_line(p).encode()) + 1 for p in said) / len(said)
    judged = seconds(lambda: score(said), max(1, repeats // 2)) / len(said)
    return [
        f"read a record, {task} | {1000 * cost:.3f} ms | {held:,.0f} in memory",
        f"score an answer, {task} | {1000 * judged:.2f} ms | {line:,.0f} a line of predictions",
    ]


def answers(records: Sequence[Record]) -> list[Prediction]:
    """Return predictions that say the references of others."""
    turned = [*records[7:], *records[:7]]
    return [Prediction.of(r, other.reference) for r, other in zip(records, turned, strict=True)]


def statistics_line(cases: int, repeats: int) -> str:
    """Return the line of so many cases."""
    rng = np.random.default_rng(0)
    places = np.repeat(np.arange(cases), 10)
    a, b = (mean_of(rng.random(10 * cases), places, cases) for _ in range(2))
    weights = draws(cases, DRAWS, 0)
    parts = (
        seconds(lambda: draws(cases, DRAWS, 0), repeats),
        seconds(lambda: difference(a, b, weights), repeats),
        seconds(lambda: permutation_p(a, b, SWAPS, 0), repeats),
    )
    shown = ", ".join(f"{1000 * part:,.0f}" for part in parts)
    return f"draws, difference, p; {cases:,} cases | {shown} ms | {weights.nbytes:,} of draws"


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=1000, help="scored of each task")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    print("| what | CPU time | bytes |\n|---|---:|---:|")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "data"
        cases = max(1, given.records // 10)
        write_phantom(root, cases + 2, 0, (8, 16, 16), test_cases=cases, val_cases=1)
        for line in volume_lines(Path(scratch), given.repeats):
            print(f"| {line} |")
        for task in ASKED:
            for line in record_lines(root, task, given.records, given.repeats):
                print(f"| {line} |")
    for count in (500, 2_000, 8_000):
        print(f"| {statistics_line(count, max(1, given.repeats // 2))} |")


if __name__ == "__main__":
    main()
