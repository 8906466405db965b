"""The verbs `tomovox data ...`: how does a user make, prepare and check a data set?

Handlers import late, so that --help is quick.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tomovox.cli_audit import add_audit_verb
from tomovox.cli_terminal import Verbs, count, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = 20
"""How many problems are printed; the rest is in the report file."""

CHECK_EXAMPLES = """\
examples:
  tomovox data check M3D-Data
  tomovox data check M3D-Data --workers 8 --report problems.tsv

Every row is read and every volume and mask opened. Negatives are rows whose mask shows nothing: the
right answer says that it is not there. Exit code 0: no error (there may be warnings),
1: at least one error, 2: DIR is no data tree.
"""

PREPARE_EXAMPLES = """\
examples:
  tomovox data prepare scans/ M3D-Data/mine --window abdomen          CT in NIfTI, NRRD or DICOM
  tomovox data prepare scan.nii.gz out --window 40,400 --plane coronal
  tomovox data prepare M3D_Cap/ct_case M3D-Data/M3D_Cap_npy/ct_case   folders of <int>.png, text.txt
  tomovox data prepare M3D_Cap/ct_case native/M3D_Cap_npy/ct_case --depth native   every slice kept

Axes of the output, right and left being the patient's:
  axial     D head to feet,    H front to back,  W right to left
  coronal   D front to back,   H head to feet,   W right to left
  sagittal  D right to left,   H head to feet,   W front to back
Axes are swapped and flipped, never resampled to another angle. Folders of slices and .npy say
nothing of orientation and keep their axes.
Windows (centre,width in HU): abdomen, pelvis and mediastinum 40,400; bone 400,1800; brain 40,80;
liver 60,160; lung -600,1500; spine 50,250; stroke 40,40. A centre below 0 needs an equals sign:
--window=-600,1500. Without a window each volume's own least and greatest value become 0 and 1,
as in the published data: HU are lost, so give one for CT.
DST/prepared.tsv says what became of which image. The same command continues a stopped run.
"""

RAW_EXAMPLES = """\
examples, and what SRC holds:
  tomovox data prepare-seg M3D_Seg M3D-Data/M3D_Seg_npy            <data set>/<data set>.json,
        <data set>/<case>/image.npy, mask_(C, X, Y, Z).npz; if there: dataset_info.json (else the
        listings' labels name the classes), term_dictionary.json
  tomovox data prepare-refseg M3D_RefSeg M3D-Data/M3D_RefSeg_npy   <case>/ct.nii.gz, mask.nii.gz,
        text.json; if there: M3D_RefSeg.csv, M3D_RefSeg_test.csv

A case that cannot be prepared is left out and listed in DST/not_prepared.tsv; the exit code is
then 1. The same command continues a stopped run.
"""

SAMPLE_EXAMPLES = """\
examples:
  tomovox data sample real-sample
  tomovox data sample real-sample --shape 32,256,256      the published size
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
    _add_prepare(kinds)
    _add_raw(kinds, "prepare-seg", "turn M3D-Seg as distributed into what training reads")
    _add_raw(kinds, "prepare-refseg", "the same for M3D-RefSeg")
    _add_check(kinds)
    add_audit_verb(kinds)


def _add_phantom(kinds: Verbs) -> None:
    phantom = kinds.add_parser(
        "phantom",
        help="write a synthetic CT-like data set in the published layout",
        epilog="example: tomovox data phantom DIR --cases 200 --shape 32,64,64 --difficulty easy",
    )
    phantom.add_argument("folder", type=Path, metavar="DIR")
    phantom.add_argument("--cases", type=int, default=200)
    phantom.add_argument("--seed", type=int, default=0)
    phantom.add_argument("--shape", type=_shape, default=(32, 64, 64), metavar="D,H,W")
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
    parser.add_argument("--shape", type=_shape, default=(32, 64, 64), metavar="D,H,W")
    parser.add_argument(
        "--archives", type=Path, metavar="DIR", help="folder of the two archives: no download"
    )
    parser.set_defaults(handler=_sample)


def _add_prepare(kinds: Verbs) -> None:
    parser = kinds.add_parser(
        "prepare",
        help="turn NIfTI, DICOM, NRRD or slices into published volumes",
        description="Prepare an image, a folder or a tree of images for training and questions.",
        epilog=PREPARE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, metavar="SRC")
    parser.add_argument("target", type=Path, metavar="DST")
    parser.add_argument("--window", metavar="NAME|C,W", help="default: each volume's own range")
    parser.add_argument("--shape", type=_shape, default=(32, 256, 256), metavar="D,H,W")
    parser.add_argument("--plane", choices=("axial", "coronal", "sagittal"), default="axial")
    parser.add_argument(
        "--depth",
        choices=("shape", "native"),
        default="shape",
        help="native: keep the slices as they are, for models that read any number of them",
    )
    parser.add_argument(
        "--format",
        choices=("uint8", "float16", "float32"),
        default="uint8",
        help="uint8 is off by <= 1/510, float16 by <= 1/4096",
    )
    parser.add_argument(
        "--on-error",
        choices=("raise", "list"),
        default="raise",
        help="list: leave out what cannot be prepared and list it in not_prepared.tsv",
    )
    parser.add_argument("--workers", type=count, default=min(4, os.cpu_count() or 1))
    parser.set_defaults(handler=_prepare)


def _add_raw(kinds: Verbs, verb: str, what: str) -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = kinds.add_parser(verb, help=what, epilog=RAW_EXAMPLES, formatter_class=raw)
    parser.add_argument("source", type=Path, metavar="SRC")
    parser.add_argument("target", type=Path, metavar="DST")
    parser.add_argument("--shape", type=_shape, default=(32, 256, 256), metavar="D,H,W")
    parser.add_argument("--workers", type=count, default=min(4, os.cpu_count() or 1))
    parser.set_defaults(handler=_prepare_raw, verb=verb)


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
        write_sample(options.folder, options.shape, options.archives, tell)
    sys.stdout.write(f"{options.folder}: real scans, texts derived from masks; see README.txt\n")
    return 0


def _prepare(options: argparse.Namespace) -> int:
    from tomovox.data.images import parse_window
    from tomovox.data.prepare import REFUSED, TABLE, Settings, prepare

    window = parse_window(options.window) if options.window is not None else None
    settings = Settings(options.shape, window, options.plane, options.format, options.depth)
    with progress("prepare") as tell:
        outcome = prepare(
            options.source, options.target, settings, options.workers, options.on_error, tell
        )
    sys.stdout.write(
        f"{options.target}: {outcome.prepared} prepared, {outcome.skipped} already there, "
        f"intensities {'by window ' if window else 'from each volume by '}"
        f"{settings.window_text()}; see {TABLE}\n"
    )
    _print_problems([str(fault) for fault in outcome.refused], f"{options.target / REFUSED}")
    return 1 if outcome.refused else 0


def _prepare_raw(options: argparse.Namespace) -> int:
    from tomovox.data.prepare import REFUSED
    from tomovox.data.prepare_refseg import prepare_refseg
    from tomovox.data.prepare_seg import prepare_seg

    prepare = prepare_seg if options.verb == "prepare-seg" else prepare_refseg
    with progress("prepare") as tell:
        outcome = prepare(options.source, options.target, options.shape, options.workers, tell)
    counts = f"{outcome.prepared} cases prepared, {outcome.skipped} already there"
    sys.stdout.write(f"{options.target}: {counts}, {len(outcome.refused)} faults\n")
    _print_problems([str(fault) for fault in outcome.refused], f"{options.target / REFUSED}")
    return 1 if outcome.refused else 0


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
    _print_problems([line.replace("\t", ": ", 1).replace("\t", "; ") for line in lines], where)
    warnings = len(report.problems) - report.errors
    sys.stdout.write(f"{options.folder}: {report.errors} errors, {warnings} warnings\n")
    return 1 if report.errors else 0


def _print_problems(lines: "Sequence[str]", where: str) -> None:
    """Print the first problems, and where all of them stand."""
    for line in lines[:SHOWN]:
        sys.stdout.write(f"{line}\n")
    if len(lines) > SHOWN:
        sys.stdout.write(f"... {len(lines) - SHOWN} more: {where}\n")


def _shape(text: str) -> tuple[int, int, int]:
    try:
        depth, height, width = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not D,H,W, such as 32,64,64") from None
    return depth, height, width
