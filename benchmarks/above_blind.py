"""How far above blind is each row of an experiment? Paired differences with bootstrap intervals.

usage: python benchmarks/above_blind.py runs/quickstart

Closed VQA, accuracy in protocol standard, from the scores.jsonl of each row. The bootstrap draws
cases, so that all questions of a patient move together: 4000 draws, seed 0, 95 % percentiles.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

TYPES = ("all", "plane", "phase", "organ", "abnormality", "location")


def answers(row: Path) -> dict[str, tuple[str, str, float]]:
    """Return id -> (case, question type, 1 if right) of a row's closed questions."""
    wanted = {"task": "vqa_closed", "metric": "accuracy", "protocol": "standard"}
    lines = (row / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    samples = [s for s in map(json.loads, lines) if wanted.items() <= s.items()]
    return {s["id"]: (s["case"], s["question_type"], s["value"]) for s in samples}


def difference(first: dict, second: dict, kind: str) -> tuple[float, float, float]:
    """Return the mean difference of the questions of one type, and its interval."""
    by_case: dict[str, list[float]] = defaultdict(list)
    for key, (case, question_type, value) in first.items():
        if kind in ("all", question_type):
            by_case[case].append(value - second[key][2])
    total = np.array([sum(values) for values in by_case.values()])
    count = np.array([len(values) for values in by_case.values()])
    draws = np.random.default_rng(0).integers(len(total), size=(4000, len(total)))
    means = total[draws].sum(1) / count[draws].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(total.sum() / count.sum()), float(low), float(high)


def main(folder: Path) -> None:
    """Print a Markdown table of points above blind."""
    blind = answers(folder / "blind-s0")
    print("| points above blind | " + " | ".join(TYPES) + " |\n|---|" + "---:|" * len(TYPES))
    for row in sorted(p.parent for p in folder.glob("*-s0/scores.jsonl")):
        if row.name not in ("blind-s0", "majority-s0"):
            cells = (difference(answers(row), blind, kind) for kind in TYPES)
            shown = " | ".join(
                f"{100 * d:+.1f} [{100 * a:+.1f}, {100 * b:+.1f}]" for d, a, b in cells
            )
            print(f"| {row.name.removesuffix('-s0')} | {shown} |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
