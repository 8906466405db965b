"""The verb `tomovox sanity`: which text metrics can be trusted, and how far are the models?

The handler imports late, so that --help is quick.
"""

import argparse
from pathlib import Path

from tomovox.cli_terminal import Verbs

FLOORS = ("majority", "nearest_report")
"""Floors that answer reports: a RUN is shown beside those of its experiment."""

EXAMPLES = """\
examples:
  tomovox sanity runs/quickstart
  tomovox sanity runs/quickstart/med2e3-s0 --output sanity

Rows of known worth stand beside those of the runs, in reports and open questions:
  (reference)     the reference itself: the ceiling
  (another case)  the reference of another case, said without looking: the floor
  (negated)       the reference with every sentence denied; a metric that puts it near the ceiling
                  counts words, not what they say
A percentage is how much of the way from floor to ceiling a row has gone. The floors majority and
nearest_report of an experiment are rows where they were run.
"""


def add_sanity(verbs: Verbs) -> None:
    """Add the verb sanity."""
    parser = verbs.add_parser(
        "sanity",
        help="say which text metrics reward what is wrong, and where models stand in them",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("places", type=Path, nargs="+", metavar="PLACE")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write sanity.csv there")
    parser.set_defaults(handler=_sanity)


def _sanity(options: argparse.Namespace) -> int:
    from tomovox.experiment import table_console
    from tomovox.files import write_atomically
    from tomovox.judge.labelling import labelled_alike
    from tomovox.judge.runs import find_runs, run_names
    from tomovox.judge.sanity import sanity_board, sanity_sheets
    from tomovox.schema import PREDICTIONS, read_predictions
    from tomovox.sheets import print_sheets

    runs = find_runs(options.places)
    folders = dict.fromkeys(run.parent for run in runs)
    floors = [f for folder in folders for name in FLOORS for f in sorted(folder.glob(f"{name}-s*"))]
    runs = list(dict.fromkeys([*runs, *(f for f in floors if (f / PREDICTIONS).is_file())]))
    named = zip(run_names(runs), runs, strict=True)
    answers = {name: read_predictions(run / PREDICTIONS) for name, run in named}
    board = sanity_board(answers, more=labelled_alike(runs))
    if options.output is not None:
        table = board.to_csv(index=False, float_format="%.6f", lineterminator="\n")
        write_atomically(options.output / "sanity.csv", table)
    print_sheets(sanity_sheets(board), table_console())
    return 0
