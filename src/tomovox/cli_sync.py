"""The verb `tomovox sync`: how does MLflow get what it could not take when an experiment ran?

The handler imports late, so that --help is quick.
"""

import argparse
import sys
from pathlib import Path

from tomovox.cli_terminal import Verbs

EXAMPLES = """\
examples:
  tomovox sync runs/quickstart           after MLflow was away, or tomovox score wrote a new table
  tomovox sync runs/a runs/b
  MLFLOW_TRACKING_URI=https://me:password@mlflow.example.org tomovox sync runs/quickstart

Logs an experiment from the files of its folder. It may be repeated: no run, metric or file is there
twice. The address is the experiment file's tracking_uri, else MLFLOW_TRACKING_URI at the first
time, else mlflow.db in the folder. A password in it is kept nowhere: it is read again from the
experiment file, or from MLFLOW_TRACKING_URI.
"""


def add_sync(verbs: Verbs) -> None:
    """Add the verb sync."""
    parser = verbs.add_parser(
        "sync",
        help="log to MLflow what it did not take when an experiment ran",
        description="Log experiments to MLflow from their folders, without duplicates.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("places", type=Path, nargs="+", metavar="PLACE")
    parser.set_defaults(handler=_sync)


def _sync(options: argparse.Namespace) -> int:
    from tomovox.judge.runs import experiment_of
    from tomovox.lock import only_process
    from tomovox.tracked import check_table, log_experiment

    for folder in dict.fromkeys(experiment_of(place) for place in options.places):
        check_table(folder)
        with only_process(folder):
            uri = log_experiment(folder)
        sys.stdout.write(f"{folder}: everything is in MLflow at {uri}\n")
    return 0
