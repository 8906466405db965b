"""The command `tomovox`: what can a user ask for? Each verb is one function elsewhere.

Bad input ends with one line on standard error and exit code 2.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from tomovox.cli_data import Verbs, add_data_verbs
from tomovox.progress import quiet_libraries
from tomovox.schema import TomovoxError

Handler = Callable[[argparse.Namespace], int]

LIGHTNING_VERBS = ("fit", "validate")

EXAMPLES = """\
examples:
  tomovox run experiments/quickstart.yaml            the whole comparison, ends with the table
  tomovox fit --config baselines/m3d_lamed/tiny.yaml --data.root M3D-Data
  tomovox score runs/quickstart                      scores again, without any model
  tomovox data check M3D-Data                        what must be mended before training
  tomovox data prepare scans/ DIR --window lung      NIfTI, DICOM, NRRD or slices -> volumes
  tomovox data phantom DIR --cases 200 --seed 0      a synthetic data set in the published layout
  tomovox data sample DIR                            ten real CT and MR studies, same layout
  tomovox ask scan.nii.gz "Which plane is this?" --checkpoint runs/quickstart/med2e3-s0
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


class OneLineParser(argparse.ArgumentParser):
    """A parser, and parsers of verbs, whose complaint is one line like every other."""

    def error(self, message: str) -> NoReturn:
        """Raise TomovoxError instead of printing the usage and leaving."""
        raise TomovoxError(f"{message}; see {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs but those of Lightning."""
    parser: argparse.ArgumentParser = OneLineParser(
        prog="tomovox",
        description="Compare multimodal language models that read 3D medical images.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    _add_run(verbs)
    _add_score(verbs)
    add_data_verbs(verbs)
    _add_ask(verbs)
    _add_ui(verbs)
    for name in LIGHTNING_VERBS:
        verbs.add_parser(
            name, help=f"Lightning's {name} of one model: tomovox {name} --help", add_help=False
        )
    return parser


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


def _add_ask(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "ask",
        help="ask a trained model one question about one volume",
        description="Answer one question about a NIfTI, NRRD, .npy or DICOM volume. A model that "
        "scores slices shows the scores as a bar, first slice left.",
        epilog='example: tomovox ask scan.nii.gz "Which organ is abnormal?" --window abdomen '
        "--checkpoint runs/quickstart/med2e3-s0",
    )
    parser.add_argument("volume", type=Path, metavar="VOLUME", help="file, or folder of DICOM")
    parser.add_argument("question")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="RUN")
    parser.add_argument("--window", help="a name (abdomen, lung, ...) or centre,width in HU")
    parser.set_defaults(handler=_ask)


def _add_ui(verbs: Verbs) -> None:
    parser = verbs.add_parser("ui", help="open MLflow on an experiment's runs")
    parser.add_argument("place", type=Path, metavar="PLACE", help="runs/EXPERIMENT or its YAML")
    parser.add_argument("--port", type=int, default=5000)
    parser.set_defaults(handler=_ui)


# ---- handlers: import late, so that --help is quick -----------------------------------------


def _run(options: argparse.Namespace) -> int:
    from tomovox.experiment import ExperimentRun

    ExperimentRun(options.experiment, options.output).run()
    return 0


def _score(options: argparse.Namespace) -> int:
    from tomovox.experiment import NOTES, table_console
    from tomovox.judge.score import score_run
    from tomovox.judge.tables import build_table, print_table, write_tables

    runs = [run for place in options.places for run in find_runs(place)]
    frame = build_table({run.name: score_run(run).rows for run in runs})
    folder = runs[0].parent
    kept = folder / NOTES
    notes = kept.read_text(encoding="utf-8").splitlines() if kept.is_file() else []
    if runs == find_runs(folder):  # a table of some rows never replaces that of all
        write_tables(frame, folder, notes)
    print_table(frame, table_console(), notes)
    return 0


def find_runs(place: Path) -> list[Path]:
    """Return the RUN folders that a YAML file, an experiment's folder or a RUN names.

    Raises TomovoxError when there is none.
    """
    folder = folder_of(place)
    if (folder / "predictions.jsonl").is_file():
        return [folder]
    found = sorted(p.parent for p in folder.glob("*/predictions.jsonl"))
    if not found:
        raise TomovoxError(
            f"{place}: no predictions.jsonl in {folder} or below; run the experiment"
        )
    return found


def folder_of(place: Path) -> Path:
    """Return the output folder of an experiment's YAML file; any other place is a folder."""
    return Path("runs") / place.stem if place.suffix in (".yaml", ".yml") else place


def _ask(options: argparse.Namespace) -> int:
    from tomovox.ask import ask, print_answer
    from tomovox.data.images import parse_window

    window = parse_window(options.window) if options.window else None
    print_answer(ask(options.volume, options.question, options.checkpoint, window))
    return 0


def _ui(options: argparse.Namespace) -> int:
    from tomovox.tracking import serve

    return serve(folder_of(options.place), options.port)


def _lightning(arguments: list[str]) -> int:
    from jsonargparse import ArgumentError
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.cli import SaveConfigCallback

    from tomovox.configuration import TomovoxCLI, cli_arguments, one_line

    quiet_libraries()  # again: importing Lightning set its own levels
    quiet = {"exit_on_error": False}
    try:
        TomovoxCLI(
            **(cli_arguments() | {"save_config_callback": SaveConfigCallback}),
            save_config_kwargs={"overwrite": True},
            args=arguments,
            parser_kwargs=quiet | dict.fromkeys(LIGHTNING_VERBS, quiet),
        )
    except (ArgumentError, MisconfigurationException) as error:
        raise TomovoxError(f"{arguments[0]}: {one_line(str(error))}") from None
    return 0


def _last_line(message: str) -> str:
    """Return the message; of one that a data worker wrapped in a traceback, its last line."""
    raised = re.compile(r"^[\w.]*(?:TomovoxError|DataFault): (.*)")
    lines = message.strip().splitlines()
    telling = [found[1] for line in lines if (found := raised.match(line))]
    return telling[-1] if telling else " ".join(lines)


if __name__ == "__main__":
    sys.exit(main())
