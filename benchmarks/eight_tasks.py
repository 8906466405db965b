"""Do boxes, masks and retrieval beat what needs no image? Paired differences, organs and findings.

usage: python benchmarks/eight_tasks.py RUN

RUN is the output folder of experiments/eight_tasks.yaml. Boxes and masks are compared with the
mean training box and mask of their class (row mean_place), retrieval with the chance of each
query. From the scores.jsonl of each row, protocol standard; intervals as in above_floor.py.
"""

import argparse
from pathlib import Path

from above_floor import Answers, answers, difference

FINDINGS = ("cyst", "mass", "calcification", "stone", "effusion")
QUESTIONS = (
    ("box IoU", "rec", "iou"),
    ("Dice, by name", "seg_semantic", "dice"),
    ("Dice, by description", "seg_referring", "dice"),
)


def structures(row: Path) -> dict[str, str]:
    """Return "<data set>/<row of its list>" -> "organs" or "findings", from the masks' names."""
    named = answers(row, "seg_semantic", "dice")
    return {
        key.split("/", 2)[2]: "findings" if name in FINDINGS else "organs"
        for key, (_, name, _) in named.items()
    }


def grouped(found: Answers, kinds: dict[str, str]) -> Answers:
    """Return the answers with "organs" or "findings" for a question type; M3D-RefSeg's last."""
    return {
        key: (case, kinds.get("/".join(key.split("/")[2:4]), "findings"), value)
        for key, (case, _, value) in found.items()
    }


def mean(found: Answers, kind: str) -> float:
    """Return the mean of one kind in percent."""
    values = [value for _, own, value in found.values() if own == kind]
    return 100 * sum(values) / len(values)


def line(name: str, model: Answers, floor: Answers, kind: str) -> str:
    """Return a row of the Markdown table."""
    shift, low, high = (100 * x for x in difference(model, floor, kind))
    count = sum(own == kind for _, own, _ in model.values())
    cells = f"{mean(model, kind):.1f} % | {mean(floor, kind):.1f} %"
    label = f"{name}, {kind}" if kind else name
    return f"| {label} (n={count}) | {cells} | {shift:+.1f} [{low:+.1f}, {high:+.1f}] |"


def main() -> None:
    """Print a Markdown table of the model, its floor and the points between them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    model, floor, clip = (run / f"{n}-s0" for n in ("m3d_lamed", "mean_place", "m3d_clip"))
    kinds = structures(model)
    print("| | model | floor | points above it [95 %] |\n|---|---:|---:|---:|")
    for name, task, metric in QUESTIONS:
        own, other = (grouped(answers(row, task, metric), kinds) for row in (model, floor))
        for kind in ("organs", "findings"):
            print(line(name, own, other, kind))
    for name, metric in (("image to text", "i2t_r5"), ("text to image", "t2i_r5")):
        own, other = (answers(clip, "retrieval", m) for m in (metric, "chance_r5"))
        print(line(f"R@5 {name}", own, other, ""))


if __name__ == "__main__":
    main()
