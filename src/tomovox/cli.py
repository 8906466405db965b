"""The command `tomovox`: what can a user ask for? Each verb is one function elsewhere.

Bad input ends with one line on standard error and exit code 2.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from tomovox.progress import quiet_libraries
from tomovox.schema import TomovoxError

Handler = Callable[[argparse.Namespace], int]

LIGHTNING_VERBS = ("fit", "validate")

EXAMPLES = """\
examples:
  tomovox run experiments/quickstart.yaml            the whole comparison, ends with the table
  tomovox fit --config baselines/m3d_lamed/tiny.yaml --data.root M3D-Data
  tomovox score runs/quickstart                      scores again, without any model
  tomovox data phantom DIR --cases 200 --seed 0      a synthetic data set in the published layout
  tomovox ui runs/quickstart                         opens MLflow
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 for a check that failed, 2 for bad input."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    quiet_libraries()
    try:
        if arguments and arguments[0] in LIGHTNING_VERBS:
            return _lightning(arguments)
        options = build_parser().parse_args(arguments)
        handler: Handler = options.handler
        return handler(options)
    except TomovoxError as error:
        sys.stderr.write(f"tomovox: {_last_line(str(error))}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("tomovox: stopped; the same command continues\n")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs but those of Lightning."""
    parser = argparse.ArgumentParser(
        prog="tomovox",
        description="Compare multimodal language models that read 3D medical images.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    _add_run(verbs)
    _add_score(verbs)
    _add_data(verbs)
    _add_ui(verbs)
    for name in LIGHTNING_VERBS:
        verbs.add_parser(
            name, help=f"Lightning's {name} of one model: tomovox {name} --help", add_help=False
        )
    return parser


Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_run(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "run",
        help="fit, predict, score and compare all models of an experiment file",
        description="Do what is missing of an experiment, print its table. A cut run is continued.",
    )
    parser.add_argument("experiment", type=Path, metavar="FILE.yaml")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: runs/<file stem>")
    parser.set_defaults(handler=_run)


def _add_score(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "score",
        help="score predictions again, without any model",
        description="Score RUN folders, an experiment's folder or its YAML, and print the table.",
    )
    parser.add_argument("places", type=Path, nargs="+", metavar="PLACE")
    parser.set_defaults(handler=_score)


def _add_data(verbs: Verbs) -> None:
    data = verbs.add_parser("data", help="make, prepare and check data sets")
    kinds = data.add_subparsers(title="data verbs", required=True, metavar="VERB")
    phantom = kinds.add_parser(
        "phantom",
        help="write a synthetic CT-like data set in the published layout",
        epilog="example: tomovox data phantom DIR --cases 200 --shape 32,64,64 --difficulty easy",
    )
    phantom.add_argument("folder", type=Path, metavar="DIR")
    phantom.add_argument("--cases", type=int, default=200)
    phantom.add_argument("--seed", type=int, default=0)
    phantom.add_argument("--shape", type=_shape, default=(32, 64, 64), metavar="D,H,W")
    phantom.add_argument("--difficulty", choices=("easy", "base", "hard"), default="base")
    phantom.add_argument("--test-cases", type=int, help="default: a tenth")
    phantom.add_argument("--val-cases", type=int, help="default: a tenth")
    phantom.add_argument("--series", type=int, default=2, help="series per case (default 2)")
    phantom.add_argument(
        "--organ-masks", action="store_true", help="write the masks of all organs too"
    )
    phantom.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    phantom.set_defaults(handler=_phantom)


def _add_ui(verbs: Verbs) -> None:
    parser = verbs.add_parser("ui", help="open MLflow on an experiment's runs")
    parser.add_argument("folder", type=Path, metavar="runs/EXPERIMENT")
    parser.add_argument("--port", type=int, default=5000)
    parser.set_defaults(handler=_ui)


# ---- handlers: import late, so that --help is quick -----------------------------------------


def _run(options: argparse.Namespace) -> int:
    from tomovox.experiment import ExperimentRun

    ExperimentRun(options.experiment, options.output).run()
    return 0


def _score(options: argparse.Namespace) -> int:
    from rich.console import Console

    from tomovox.judge.score import score_run
    from tomovox.judge.tables import build_table, print_table, write_tables

    runs = [run for place in options.places for run in find_runs(place)]
    frame = build_table({run.name: score_run(run).rows for run in runs})
    parents = {run.parent for run in runs}
    if len(parents) == 1:
        write_tables(frame, parents.pop())
    print_table(frame, Console())
    return 0


def find_runs(place: Path) -> list[Path]:
    """Return the RUN folders that a YAML file, an experiment's folder or a RUN names.

    Raises TomovoxError when there is none.
    """
    folder = Path("runs") / place.stem if place.suffix in (".yaml", ".yml") else place
    if (folder / "predictions.jsonl").is_file():
        return [folder]
    found = sorted(p.parent for p in folder.glob("*/predictions.jsonl"))
    if not found:
        raise TomovoxError(
            f"{place}: no predictions.jsonl in {folder} or below; run the experiment"
        )
    return found


def _phantom(options: argparse.Namespace) -> int:
    from rich.progress import Progress

    from tomovox.data.phantom import write_phantom

    with Progress(transient=True) as bar:
        job = bar.add_task("phantom", total=options.cases)
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
            workers=options.workers,
            progress=lambda done, total: bar.update(job, completed=done, total=total),
        )
    sys.stdout.write(f"{options.folder}: {options.cases} cases, {options.series} series each\n")
    return 0


def _ui(options: argparse.Namespace) -> int:
    from tomovox.tracking import serve

    return serve(options.folder, options.port)


def _lightning(arguments: list[str]) -> int:
    from lightning.pytorch.cli import SaveConfigCallback

    from tomovox.configuration import TomovoxCLI, cli_arguments

    TomovoxCLI(**(cli_arguments() | {"save_config_callback": SaveConfigCallback}), args=arguments)
    return 0


def _shape(text: str) -> tuple[int, int, int]:
    try:
        depth, height, width = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not D,H,W, such as 32,64,64") from None
    return depth, height, width


def _last_line(message: str) -> str:
    """Return the message; of one that a data worker wrapped in a traceback, its last line."""
    mark = "TomovoxError: "
    lines = message.strip().splitlines()
    telling = [line.split(mark, 1)[1] for line in lines if mark in line]
    return telling[-1] if telling else " ".join(lines)


if __name__ == "__main__":
    sys.exit(main())
