"""The verb `tomovox attention`: where do models look when they answer, and does it matter?

The handler imports late, so that --help is quick.
"""

import argparse
import sys
from pathlib import Path

from tomovox.cli_terminal import Verbs, count

WAYS = ("percept", "input")

EXAMPLES = """\
examples:
  tomovox attention runs/quickstart                      every model that scores slices
  tomovox attention runs/quickstart --hide none          from predictions and data, no model
  tomovox attention runs/quickstart --cases 200 --hide input --model med2e3
  tomovox attention runs/quickstart/med2e3-s0            one RUN folder: RUN/attention
  tomovox attention runs/a runs/b --output attention     the rows of two experiments

Every row needs the data root that it was predicted from: the data say where answers lie.
Writes attention.csv (every statistic, question type, plane and phase, with intervals, against
baselines), capture.json (what was scored, and of which predictions), summary.md and figures (SVG
and PDF). Hiding slices is the long part: a cut call continues.
"""


def add_attention(verbs: Verbs) -> None:
    """Add the verb attention."""
    parser = verbs.add_parser(
        "attention",
        help="say where models look when they answer, and whether it matters for the answer",
        description="Compare the slice scores of predictions with the slices that hold the "
        "answer, hide\nslices in the order of the scores, and say whether scores move with the "
        "question, outlive\nscrambled weights, and agree between seeds.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("places", type=Path, nargs="+", metavar="PLACE")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="default: attention/ in the folder of the experiment or RUN",
    )
    parser.add_argument(
        "--cases",
        type=count,
        default=50,
        metavar="N",
        help="cases to hide slices of, to ask other words and to scramble weights for; default: 50",
    )
    parser.add_argument(
        "--hide",
        type=_ways,
        default=WAYS,
        metavar="WHERE",
        help="percept, input, both (percept,input, the default) or none",
    )
    parser.add_argument("--model", nargs="+", default=(), metavar="NAME", help="only these models")
    parser.set_defaults(handler=_attention)


def _ways(text: str) -> tuple[str, ...]:
    """Return the ways of hiding that a comma list names; none of them for "none"."""
    named = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if named == ("none",):
        return ()
    if strange := [way for way in named if way not in WAYS]:
        raise argparse.ArgumentTypeError(
            f"{strange[0]!r} is no way to hide slices: write percept, input, percept,input or none"
        )
    return named


def _attention(options: argparse.Namespace) -> int:
    from rich.console import Console

    from tomovox.attention import analyse, experiment_among, find_looking, output_of, write
    from tomovox.experiment import table_console
    from tomovox.lock import only_process_in_all
    from tomovox.sheets import print_sheets
    from tomovox.tracked import is_tracked, track

    folder = options.output or output_of(options.places)
    looking = find_looking(options.places, options.model)
    writes_there = options.hide or options.output is None
    runs = [one.run for one in looking.values()] if writes_there else []
    with only_process_in_all(runs):
        found = analyse(looking, options.cases, options.hide, Console(stderr=True))
        paths = write(found, folder)
        print_sheets(found.sheets(), table_console())
        experiment = None if options.output else experiment_among(options.places)
        logged = experiment is not None and is_tracked(experiment) and track(experiment)
    said = f"; tomovox ui {experiment} shows them in MLflow" if logged else ""
    figures = sum(path.suffix == ".svg" for path in paths)
    wrote = f"attention.csv, capture.json, summary.md and {figures} figures"
    sys.stdout.write(f"{folder}: {wrote}{said}\n")
    return 0
