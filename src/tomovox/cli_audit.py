"""The verb `tomovox data audit`: what of the test split has a model met in training?

The handler imports late, so that --help is quick.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tomovox.cli_terminal import Verbs, count, progress

if TYPE_CHECKING:
    from tomovox.data.audit_report import Audit

SHOWN = 5
"""How many of the files and rows that cannot be read are printed; not_read.tsv has all."""

EXAMPLES = """\
examples:
  tomovox data audit M3D-Data
  tomovox data audit M3D-Data --output audits/m3d --workers 8 --fail-on-leak

Compares train, val and test of M3D-Cap and, where there, M3D-VQA, M3D-Seg and M3D-RefSeg, or train
and test of a prepared CT-RATE:
  case              the same case in two splits
  report_identical  the same words in the reports of two cases
  report_near       word pairs shared by at least 0.80 of all (Jaccard): one word changed in a
                    report of 19 words or more; of a shorter one it may be missed
  volume_identical  the same voxels in two cases
  volume_near       detail of two cases correlated by at least 0.99: noise, another brightness,
                    size or file type; not a turned, mirrored or cropped copy
  question          the same question with the same answer about one volume, in two splits or twice
                    in a table
Training is kept, the other split is marked; of val and test it is test. A short report may be the
same by chance: findings.tsv says how many words it has. Series of one case are not compared.
Pools such as test1k are marked as the split they are drawn from.

Written to the output folder, DIR is only read:
  findings.tsv      for each case, volume or question the closest one of each other split
  clean_split.json  "leaked": the val and test records to leave out, with kinds; "counts" of them
  not_read.tsv      rows and volumes that cannot be read and so were not compared
Exit code 0: done, 1: done, --fail-on-leak was given and a record is marked, 2: bad input.
"""


def add_audit_verb(kinds: Verbs) -> None:
    """Add `audit` to the verbs of `tomovox data`."""
    parser = kinds.add_parser(
        "audit",
        help="list what the splits of a data tree share, and which test records to leave out",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument(
        "--output", type=Path, default=Path("audit"), metavar="DIR", help="default: ./audit"
    )
    parser.add_argument(
        "--fail-on-leak", action="store_true", help="exit code 1 when a record is marked"
    )
    parser.add_argument("--workers", type=count, default=min(4, os.cpu_count() or 1))
    parser.set_defaults(handler=_audit)


def _audit(options: argparse.Namespace) -> int:
    from tomovox.data.audit import audit
    from tomovox.data.audit_rows import read_rows

    started = time.monotonic()
    rows = read_rows(options.folder)
    _write(options.output, {})  # before the hours of reading, not after them
    with progress("audit") as tell:
        found = audit(rows, tell, options.workers)
    texts = {
        "findings.tsv": found.table(),
        "clean_split.json": found.clean_split(),
        "not_read.tsv": found.unread(),
    }
    _write(options.output, texts)
    _print(found)
    sys.stdout.write(
        f"{options.folder}: {len(found.findings)} findings, {len(found.leaked)} records marked, "
        f"{len(found.faults)} not read, {time.monotonic() - started:.0f} s; see {options.output}\n"
    )
    return 1 if options.fail_on_leak and found.leaked else 0


def _write(folder: Path, texts: dict[str, str]) -> None:
    """Write the files of the folder; TomovoxError when that cannot be done."""
    from tomovox.files import write_atomically

    for name, text in texts.items():
        write_atomically(folder / name, text, "give another --output")


def _print(found: "Audit") -> None:
    """Print the findings by kind, the records marked by task and split, and what is missing."""
    from collections import Counter

    from rich.console import Console
    from rich.table import Table

    from tomovox.data.audit_report import KINDS

    console = Console()
    kinds = Table("kind")
    kinds.add_column("findings", justify="right")
    numbers = Counter(finding.kind for finding in found.findings)
    for kind in KINDS:
        kinds.add_row(kind, f"{numbers[kind]:,}")
    console.print(kinds)
    tasks = Table("task", "split")
    for name in ("records", "marked"):
        tasks.add_column(name, justify="right")
    affected = found.affected()
    for (task, split), records in sorted(found.records.items()):
        tasks.add_row(task, split, f"{records:,}", f"{affected[task, split]:,}")
    console.print(tasks)
    for what, number in found.cut.items():
        if number:
            sys.stdout.write(f"{number} {what}s of val and test were not compared in full\n")
    for fault in found.faults[:SHOWN]:
        sys.stdout.write(f"not read: {fault}\n")
    if len(found.faults) > SHOWN:
        sys.stdout.write(f"... {len(found.faults) - SHOWN} more: not_read.tsv\n")
