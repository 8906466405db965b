"""The verbs `tomovox data prepare ...`: how do scans as they are become what is read?

Handlers import late, so that --help is quick.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tomovox.cli_ct_rate import CT_RATE_EXAMPLES, prepare_downloaded
from tomovox.cli_terminal import Verbs, count, print_problems, progress, three_sizes
from tomovox.schema import TomovoxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tomovox.data.faults import DataFault

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


def add_prepare_verbs(kinds: Verbs) -> None:
    """Add `prepare` and its likes to the verbs of `tomovox data`."""
    _add_prepare(kinds)
    _add_raw(kinds, "prepare-seg", "turn M3D-Seg as distributed into what training reads")
    _add_raw(kinds, "prepare-refseg", "the same for M3D-RefSeg")


def _add_prepare(kinds: Verbs) -> None:
    parser = kinds.add_parser(
        "prepare",
        help="turn NIfTI, DICOM, NRRD or slices into published volumes",
        description="Prepare an image, a folder or a tree of images for training and questions.",
        epilog=PREPARE_EXAMPLES + CT_RATE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, metavar="SRC")
    parser.add_argument("target", type=Path, metavar="DST")
    parser.add_argument("--window", metavar="NAME|C,W", help="default: each volume's own range")
    parser.add_argument(
        "--shape", type=three_sizes, metavar="D,H,W", help="default 32,256,256; CT-RATE 240,480,480"
    )
    parser.add_argument(
        "--spacing", type=_spacing, metavar="D,H,W", help="mm of a voxel of CT-RATE; 0: as scanned"
    )
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
    parser.add_argument("--shape", type=three_sizes, default=(32, 256, 256), metavar="D,H,W")
    parser.add_argument("--workers", type=count, default=min(4, os.cpu_count() or 1))
    parser.set_defaults(handler=_prepare_raw, verb=verb)


# ---- handlers --------------------------------------------------------------------------------


def _prepare(options: argparse.Namespace) -> int:
    from tomovox.data.images import SHAPE, parse_window
    from tomovox.data.prepare import TABLE, Settings, prepare
    from tomovox.data.root_layout import CT_RATE, layout_of

    window = parse_window(options.window) if options.window is not None else None
    if layout_of(options.source) == CT_RATE:
        return _print_refused(options.target, prepare_downloaded(options, window))
    if options.spacing:
        raise TomovoxError("--spacing: only the spacing of CT-RATE is known; leave it out")
    settings = Settings(
        options.shape or SHAPE, window, options.plane, options.format, options.depth
    )
    with progress("prepare") as tell:
        outcome = prepare(
            options.source, options.target, settings, options.workers, options.on_error, tell
        )
    sys.stdout.write(
        f"{options.target}: {outcome.prepared} prepared, {outcome.skipped} already there, "
        f"intensities {'by window ' if window else 'from each volume by '}"
        f"{settings.window_text()}; see {TABLE}\n"
    )
    return _print_refused(options.target, outcome.refused)


def _prepare_raw(options: argparse.Namespace) -> int:
    from tomovox.data.prepare_refseg import prepare_refseg
    from tomovox.data.prepare_seg import prepare_seg

    prepare = prepare_seg if options.verb == "prepare-seg" else prepare_refseg
    with progress("prepare") as tell:
        outcome = prepare(options.source, options.target, options.shape, options.workers, tell)
    counts = f"{outcome.prepared} cases prepared, {outcome.skipped} already there"
    sys.stdout.write(f"{options.target}: {counts}, {len(outcome.refused)} faults\n")
    return _print_refused(options.target, outcome.refused)


def _print_refused(target: Path, refused: "Sequence[DataFault]") -> int:
    """Print what could not be prepared; return the exit code."""
    from tomovox.data.prepare import REFUSED

    print_problems([str(fault) for fault in refused], f"{target / REFUSED}")
    return 1 if refused else 0


def _spacing(text: str) -> tuple[float, float, float]:
    try:
        depth, height, width = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not D,H,W, such as 1.5,0.75,0.75") from None
    return depth, height, width
