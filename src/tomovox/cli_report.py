"""The verb `tomovox report`: how does a whole comparison reach someone who has only a browser?

The handler imports late, so that --help is quick.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from tomovox.cli_terminal import Verbs

VOLUMES = 50
"""Volumes whose slices a page has unless more, or less, are asked for."""

EXAMPLES = """\
examples:
  tomovox report runs/quickstart                      runs/quickstart/report.html
  tomovox report runs/quickstart --volumes 0          no slice of any volume
  tomovox report runs/a/med2e3-s0 runs/b/med2e3-s0 --output both.html

The page is one file that opens anywhere and asks for nothing: tables, verdicts, every question with
all answers and scores, slices with the weights and the evidence on them, what tomovox attention
found, and what it was made from. It holds the texts and slices of its data: whoever gets the page
gets those.
"""


def add_report(verbs: Verbs) -> None:
    """Add the verb report."""
    parser = verbs.add_parser(
        "report",
        help="write a comparison as one HTML page: scores, samples, slices, attention",
        description="Score experiments or RUN folders again and write one page of all there is.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("places", type=Path, nargs="+", metavar="PLACE")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="default: report.html in the experiment's folder",
    )
    parser.add_argument(
        "--volumes",
        type=_count,
        default=VOLUMES,
        metavar="N",
        help=f"volumes whose slices are in the page, spread over all, as far as a page of "
        f"25 MB has room; default: {VOLUMES}",
    )
    parser.add_argument(
        "--attention",
        type=Path,
        metavar="DIR",
        help="what tomovox attention wrote; default: attention in the folder of one experiment",
    )
    parser.set_defaults(handler=_report)


def _count(text: str) -> int:
    """Return a whole number from 0; ArgumentTypeError for anything else."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return int(text)


def _report(options: argparse.Namespace) -> int:
    from tomovox.judge.runs import find_runs
    from tomovox.report.page import write_report
    from tomovox.report_content import content_of
    from tomovox.schema import TomovoxError

    runs = find_runs(options.places)
    folder, *others = dict.fromkeys(run.parent for run in runs)
    if others and options.output is None:
        raise TomovoxError("runs of several experiments: say with --output FILE where to write")
    output = options.output or folder / "report.html"
    if output.is_dir():
        raise TomovoxError(f"{output}: is a folder; give --output the name of a file")
    looked = options.attention
    if looked is not None and not looked.is_dir():
        raise TomovoxError(f"{looked}: no such folder; make it with tomovox attention")
    if looked is None and not others:
        looked = folder / "attention"
    content, missing = content_of(runs, options.volumes, _command(options), looked)
    write_report(output, content)
    if missing:
        sys.stderr.write(f"tomovox: {missing}; the page has no slices\n")
    megabytes = output.stat().st_size / 1e6
    sys.stdout.write(f"{os.path.relpath(output)}: {megabytes:.1f} MB\n")
    return 0


def _command(options: argparse.Namespace) -> str:
    """Return the command without where it writes: a page is the same wherever it lies."""
    words = ["tomovox", "report", *map(str, options.places)]
    if options.volumes != VOLUMES:
        words += ["--volumes", str(options.volumes)]
    if options.attention is not None:
        words += ["--attention", str(options.attention)]
    return shlex.join(words)
