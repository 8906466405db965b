"""The verbs `tomovox data ...`: how does a user make, prepare and check a data set?

Handlers import late, so that --help is quick.
"""

import argparse
import os
import sys
from pathlib import Path

from tomovox.cli_audit import add_audit_verb
from tomovox.cli_prepare import add_prepare_verbs
from tomovox.cli_terminal import Verbs, count, print_problems, progress, three_sizes

CHECK_EXAMPLES = """\
examples:
  tomovox data check M3D-Data
  tomovox data check M3D-Data --workers 8 --report problems.tsv

Every row is read and every volume and mask opened. Negatives are rows whose mask shows nothing: the
right answer says that it is not there. Exit code 0: no error (there may be warnings),
1: at least one error, 2: DIR is no data tree.
"""

SAMPLE_EXAMPLES = """\
examples:
  tomovox data sample real-sample
  tomovox data sample real-sample --shape 32,256,256      the published size
  tomovox data sample real-sample --native                every slice of every plane, for ms_vlm
  tomovox data sample real-sample --archives downloads    offline, from archives that are there

Ten CT and MR studies of nine patients in three planes, in the published layout; questions and
reports are derived from segmentation masks and say so. Enough to run real images through every
path, far too few to claim an accuracy. README.txt in DIR tells splits, windows and what is asked.

Source: the source archives of TotalSegmentator 2.18.0 (Apache-2.0, 38 MB) and pyradiomics 3.0.1
(BSD-3-Clause, 34 MB). Their SHA-256 is pinned and another file is refused. They are downloaded
once, by pip, to $TOMOVOX_CACHE or ~/.cache/tomovox. Know that pip asks a source archive for its
metadata, which RUNS THE ARCHIVE'S setup.py (nothing is installed); pip compares the hash first,
so only the known setup.py can run. To avoid it, get the two files otherwise and give --archives:
Tomovox itself only reads images, masks, label names and licences from them.
"""


def add_data_verbs(verbs: Verbs) -> None:
    """Add `data` and its verbs to the command."""
    data = verbs.add_parser("data", help="make, prepare and check data sets")
    kinds = data.add_subparsers(title="data verbs", required=True, metavar="VERB")
    _add_phantom(kinds)
    _add_sample(kinds)
    add_prepare_verbs(kinds)
    _add_check(kinds)
    add_audit_verb(kinds)


def _add_phantom(kinds: Verbs) -> None:
    phantom = kinds.add_parser(
        "phantom",
        help="write a synthetic CT-like data set in the published layout",
        epilog="example: tomovox data phantom DIR --cases 200 --shape 32,64,64 --difficulty easy",
    )
    phantom.add_argument("folder", type=Path, metavar="DIR")
    phantom.add_argument(
        "--layout",
        choices=("m3d", "ct_rate"),
        default="m3d",
        help="ct_rate: chest CT as CT-RATE is downloaded, of --cases patients; then prepare it",
    )
    phantom.add_argument("--cases", type=int, default=200)
    phantom.add_argument("--seed", type=int, default=0)
    phantom.add_argument("--shape", type=three_sizes, default=(32, 64, 64), metavar="D,H,W")
    phantom.add_argument("--difficulty", choices=("plain", "easy", "base", "hard"), default="base")
    phantom.add_argument("--test-cases", type=int, help="default: a tenth")
    phantom.add_argument("--val-cases", type=int, help="default: a tenth")
    phantom.add_argument("--series", type=int, default=2, help="series per case (default 2)")
    phantom.add_argument(
        "--organ-masks", action="store_true", help="write the masks of all organs too"
    )
    phantom.add_argument(
        "--organ-shift",
        type=float,
        default=0.0,
        metavar="S",
        help="sd of the places of organs, as a fraction of the side (default 0)",
    )
    phantom.add_argument(
        "--refseg", action="store_true", help="write M3D-RefSeg too: questions that masks answer"
    )
    phantom.add_argument(
        "--native", action="store_true", help="keep each series' own number of slices"
    )
    phantom.add_argument(
        "--visible-in",
        choices=("all", "one"),
        default="all",
        help="series of a case that show its finding (default all)",
    )
    phantom.add_argument("--workers", type=count, default=os.cpu_count() or 1)
    phantom.set_defaults(handler=_phantom)


def _add_sample(kinds: Verbs) -> None:
    parser = kinds.add_parser(
        "sample",
        help="write a small set of real CT and MR scans in the published layout",
        epilog=SAMPLE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--shape", type=three_sizes, default=(32, 64, 64), metavar="D,H,W")
    parser.add_argument(
        "--archives", type=Path, metavar="DIR", help="folder of the two archives: no download"
    )
    parser.add_argument(
        "--native", action="store_true", help="keep all slices, whatever D of --shape is"
    )
    parser.set_defaults(handler=_sample)


def _add_check(kinds: Verbs) -> None:
    parser = kinds.add_parser(
        "check",
        help="read every row and file of a data tree and list what must be mended",
        epilog=CHECK_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--report", type=Path, metavar="FILE.tsv", help="write all problems")
    parser.add_argument("--workers", type=count, default=min(4, os.cpu_count() or 1))
    parser.set_defaults(handler=_check)


# ---- handlers --------------------------------------------------------------------------------


def _phantom(options: argparse.Namespace) -> int:
    from tomovox.data.phantom import write_phantom

    if options.layout == "ct_rate":
        from tomovox.cli_ct_rate import write_downloaded

        return write_downloaded(options)
    with progress("phantom") as tell:
        write_phantom(
            options.folder,
            cases=options.cases,
            seed=options.seed,
            shape=options.shape,
            difficulty=options.difficulty,
            test_cases=options.test_cases,
            val_cases=options.val_cases,
            series=options.series,
            organ_masks=options.organ_masks,
            organ_shift=options.organ_shift,
            refseg=options.refseg,
            native=options.native,
            visible_in=options.visible_in,
            workers=options.workers,
            progress=tell,
        )
    sys.stdout.write(f"{options.folder}: {options.cases} cases, {options.series} series each\n")
    return 0


def _sample(options: argparse.Namespace) -> int:
    from tomovox.data.sample import write_sample

    with progress("sample") as tell:
        write_sample(options.folder, options.shape, options.archives, tell, options.native)
    sys.stdout.write(f"{options.folder}: real scans, texts derived from masks; see README.txt\n")
    return 0


def _check(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from tomovox.data.check import check_tree
    from tomovox.files import write_atomically

    with progress("check") as tell:
        report = check_tree(options.folder, tell, options.workers)
    table = Table("data set", "split")
    for name in ("records", "negatives", "volumes", "cases"):
        table.add_column(name, justify="right")
    for row in report.counts:
        figures = (row.records, row.negatives, row.volumes, row.cases)
        table.add_row(row.data_set, row.split, *(f"{number:,}" for number in figures))
    Console().print(table)
    if options.report:
        write_atomically(options.report, report.table())
    lines = [problem.line().replace("\t", ": ", 1) for problem in report.problems]
    where = str(options.report) if options.report else "--report FILE.tsv"
    print_problems([line.replace("\t", ": ", 1).replace("\t", "; ") for line in lines], where)
    warnings = len(report.problems) - report.errors
    sys.stdout.write(f"{options.folder}: {report.errors} errors, {warnings} warnings\n")
    return 1 if report.errors else 0
