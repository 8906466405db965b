"""How well does the rule labeller read reports of which it is known which findings they name?

usage: python benchmarks/labeller.py [--patients 400] [--reports TEXTS.csv LABELS.csv]...

Reads the reports of a synthetic tree in the layout of CT-RATE, which name and deny findings that
are known; and of every pair of tables that is given: texts in columns report_text, Findings_EN or
Impressions_EN, labels 0 or 1 in columns named as the findings, in the same order of rows (one file
may be both). Writes results/labeller.json: precision, recall and F1 of each finding, their means,
CRG, and the commit; of given tables no text is kept.
"""

import argparse
import csv
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from measured import commit

from tomovox.data.ct_rate import LABELS, REPORTS, tree_of
from tomovox.data.phantom_ct_rate import write_ct_rate_phantom
from tomovox.metrics.labels import (
    by_label,
    crg,
    f1_macro,
    f1_micro,
    label_counts,
    precision_macro,
    recall_macro,
    summed,
)
from tomovox.metrics.rule_labeller import RuleLabeller

RESULT = Path(__file__).with_name("results") / "labeller.json"
TEXTS = ("report_text", "Findings_EN", "Impressions_EN")
EMPTY = "Not given."
SHAPE = (8, 16, 16)
"""Of volumes that nobody reads here."""


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def measured(texts: Path, labels: Path) -> dict[str, object]:
    """Return what the labeller finds in the reports of one table, against the labels of another."""
    told, truth = rows_of(texts), rows_of(labels)
    reports = [" ".join(row[c] for c in TEXTS if row.get(c) and row[c] != EMPTY) for row in told]
    names = RuleLabeller.labels
    began = time.process_time()
    said = RuleLabeller()(reports)
    seconds = time.process_time() - began
    wanted = [{n for n in names if float(row[n]) == 1} for row in truth]
    counts = [label_counts(*pair, names) for pair in zip(said, wanted, strict=True)]
    total, sums = np.sum(counts, axis=0), np.sum([summed(each) for each in counts], axis=0)
    agreed = by_label(total)
    return {
        "reports": len(reports),
        "f1_macro": _round(f1_macro(total)),
        "precision_macro": _round(precision_macro(total)),
        "recall_macro": _round(recall_macro(total)),
        "f1_micro": _round(f1_micro(sums)),
        "crg": _round(crg(sums)),
        "milliseconds_per_report": round(1000 * seconds / len(reports), 2),
        "findings": {
            name: {
                "reports": int(total[place] + total[place + 2 * len(names)]),
                **{kind: _round(getattr(agreed, kind)[place]) for kind in agreed._fields},
            }
            for place, name in enumerate(names)
        },
    }


def _round(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def main() -> None:
    """Measure, print the means and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--reports", type=Path, nargs=2, action="append", default=[])
    options = parser.parse_args()
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "ct_rate"
        write_ct_rate_phantom(root, options.patients + 2, seed=0, shape=SHAPE, test_cases=1)
        tree = tree_of(root)
        tables = (tree.table(REPORTS, "train"), tree.table(LABELS, "train"))
        pairs = [tables, *options.reports]
        names = ["phantom", *(texts.name for texts, _ in options.reports)]
        for name, pair in zip(names, pairs, strict=True):
            found[name] = measured(*pair)
    result = {"labeller": RuleLabeller.name, "commit": commit(), "measured": found}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, numbers in found.items():
        print(name, {k: v for k, v in numbers.items() if k != "findings"})


if __name__ == "__main__":
    main()
