"""How far above a floor is each row of an experiment? Paired differences with bootstrap intervals.

usage: python benchmarks/above_floor.py RUN [--floor blind] [--task vqa_closed] [--metric accuracy]
                                        [--types all,plane,phase,...]

From the scores.jsonl of each row, protocol standard; a record that one of the two did not score is
left out. The bootstrap draws cases, so that all questions of a patient move together: 4000 draws,
seed 0, 95 % percentiles.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

TYPES = "all,plane,phase,organ,abnormality,location"
Answers = dict[str, tuple[str, str, float]]


def answers(row: Path, task: str, metric: str) -> Answers:
    """Return id -> (case, question type, value) of a row's records."""
    wanted = {"task": task, "metric": metric, "protocol": "standard"}
    lines = (row / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    samples = [s for s in map(json.loads, lines) if wanted.items() <= s.items()]
    scored = [s for s in samples if s.get("value") is not None]
    return {s["id"]: (s["case"], s["question_type"], s["value"]) for s in scored}


def difference(first: Answers, second: Answers, kind: str) -> tuple[float, float, float]:
    """Return the mean difference of the questions of one type, and its interval."""
    by_case: dict[str, list[float]] = defaultdict(list)
    for key, (case, question_type, value) in first.items():
        if kind in ("all", question_type) and key in second:
            by_case[case].append(value - second[key][2])
    total = np.array([sum(values) for values in by_case.values()])
    count = np.array([len(values) for values in by_case.values()])
    draws = np.random.default_rng(0).integers(len(total), size=(4000, len(total)))
    means = total[draws].sum(1) / count[draws].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(total.sum() / count.sum()), float(low), float(high)


def main() -> None:
    """Print a Markdown table of points above the floor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--floor", default="blind")
    parser.add_argument("--task", default="vqa_closed")
    parser.add_argument("--metric", default="accuracy")
    parser.add_argument("--types", default=TYPES)
    given = parser.parse_args()
    types = given.types.split(",")
    floor = answers(given.run / f"{given.floor}-s0", given.task, given.metric)
    print(f"| points above {given.floor} | " + " | ".join(types) + " |")
    print("|---|" + "---:|" * len(types))
    for row in sorted(p.parent for p in given.run.glob("*-s0/scores.jsonl")):
        own = answers(row, given.task, given.metric)
        if not own or row.name in (f"{given.floor}-s0", "majority-s0"):
            continue
        cells = (difference(own, floor, kind) for kind in types)
        shown = " | ".join(f"{100 * d:+.1f} [{100 * a:+.1f}, {100 * b:+.1f}]" for d, a, b in cells)
        print(f"| {row.name.removesuffix('-s0')} | {shown} |")


if __name__ == "__main__":
    main()
