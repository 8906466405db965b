"""Which metrics reward what is wrong? Made-up answers beside the rows of an experiment.

usage: python benchmarks/metric_sanity.py RUN [--seed 0]

RUN is an experiment's folder or YAML, or one RUN folder; the floor `majority`, the most frequent
training answer, is a row where the experiment has it. Beside them stand the references themselves,
those of other cases, and the references with every sentence denied (judge/sanity.py says how).
"""

import argparse
import sys
from pathlib import Path

from tomovox.judge.markdown import markdown_of
from tomovox.judge.runs import experiment_of, find_runs, run_names
from tomovox.judge.sanity import sanity_board
from tomovox.judge.tables import build_table
from tomovox.schema import PREDICTIONS, TomovoxError, read_predictions


def main() -> None:
    """Print the board as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    try:
        runs = find_runs([given.run])
        floor = experiment_of(given.run).absolute() / "majority-s0"
        if (floor / PREDICTIONS).is_file() and floor not in runs:
            runs.append(floor)
        names = run_names(runs)
        answers = {n: read_predictions(r / PREDICTIONS) for n, r in zip(names, runs, strict=True)}
        print(markdown_of(build_table(sanity_board(answers, given.seed))))
    except TomovoxError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
