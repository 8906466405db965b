"""The command `tomovox`: what can a user ask for? Each verb is one function elsewhere.

Bad input ends with one line on standard error and exit code 2.
"""

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from tomovox.cli_attention import add_attention
from tomovox.cli_checkpoint import add_checkpoint_verbs
from tomovox.cli_compare import add_compare, add_ledger, add_score
from tomovox.cli_data import add_data_verbs
from tomovox.cli_judge import add_judge_verb
from tomovox.cli_models import add_models_verb
from tomovox.cli_report import add_report
from tomovox.cli_sanity import add_sanity
from tomovox.cli_sync import add_sync
from tomovox.cli_terminal import Verbs
from tomovox.progress import quiet_libraries
from tomovox.schema import TomovoxError

Handler = Callable[[argparse.Namespace], int]

LIGHTNING_VERBS = ("fit", "validate")

EXAMPLES = """\
examples:
  tomovox run experiments/quickstart.yaml            the whole comparison, ends with the table
  tomovox fit --config baselines/m3d_lamed/tiny.yaml --data.root M3D-Data
  tomovox predict lightning_logs/version_0           answers the test split with that model
  tomovox score runs/quickstart                      scores again, without any model
  tomovox compare runs/quickstart --reference blind  which rows differ, case by case
  tomovox sanity runs/quickstart                     which text metrics reward what is wrong
  tomovox report runs/quickstart                     one HTML page: scores, answers, slices
  tomovox attention runs/quickstart                  where models look, and whether it matters
  tomovox judge RUN --endpoint URL --model NAME      a language model grades the answers
  tomovox data check M3D-Data                        what must be mended before training
  tomovox data audit M3D-Data                        what of the test split training has met
  tomovox data prepare scans/ DIR --window lung      NIfTI, DICOM, NRRD or slices -> volumes
  tomovox data phantom DIR --cases 200 --seed 0      a synthetic data set in the published layout
  tomovox data sample DIR                            ten real CT and MR studies, same layout
  tomovox ask scan.nii.gz "Which plane is this?" --checkpoint runs/quickstart/med2e3-s0
  tomovox ui runs/quickstart                         opens MLflow
  tomovox sync runs/quickstart                       logs to MLflow what it did not take
  tomovox parity tests/parity                        our models against the published code
  tomovox models                                     size and GFLOPs of every recipe
  tomovox checkpoint inspect M3D-LaMed-Phi-3-4B      what a released checkpoint holds
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 for a check that failed, 2 for bad input."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    quiet_libraries()
    try:
        if arguments and arguments[0] in LIGHTNING_VERBS:
            from tomovox.lightning_verbs import run_lightning

            run_lightning(arguments)
            return 0
        options = build_parser().parse_args(arguments)
        handler: Handler = options.handler
        return handler(options)
    except TomovoxError as error:
        sys.stderr.write(f"tomovox: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("tomovox: stopped; the same command continues\n")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = error.filename or "the disk"
        sys.stderr.write(f"tomovox: {place}: {error.strerror}; make room, then run it again\n")
        return 2


RUN_EXAMPLES = """\
examples:
  tomovox run experiments/quickstart.yaml
  tomovox run experiments/own.yaml --output runs/second
  tomovox run experiments/own.yaml --executor slurm      its jobs as SLURM arrays (tomovox[slurm])
"""

PREDICT_EXAMPLES = """\
examples:
  tomovox predict lightning_logs/version_0               the folder that fit names at its end
  tomovox predict RUN --devices 4                        a process per device, the same answers
  tomovox predict RUN --batch 16 --precision bf16-mixed  in less memory
"""


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
    _add_predict(verbs)
    add_score(verbs)
    add_compare(verbs)
    add_ledger(verbs)
    add_sanity(verbs)
    add_attention(verbs)
    add_report(verbs)
    add_judge_verb(verbs)
    add_data_verbs(verbs)
    _add_ask(verbs)
    _add_ui(verbs)
    add_sync(verbs)
    _add_parity(verbs)
    add_checkpoint_verbs(verbs)
    add_models_verb(verbs)
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
        epilog=RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", type=Path, metavar="FILE.yaml")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: runs/<file stem>")
    parser.add_argument(
        "--executor",
        choices=("local", "slurm"),
        default="local",
        help="who does the work: processes of this machine, or a cluster (key slurm of the file)",
    )
    parser.set_defaults(handler=_run)


def _add_predict(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "predict",
        help="answer the test split with the model of a RUN folder",
        description="Write RUN/predictions.jsonl, as `tomovox score` reads it. A cut call is "
        "continued.",
        epilog=PREDICT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument(
        "--data.root", type=Path, dest="root", metavar="DIR", help="default: as in RUN/config.yaml"
    )
    parser.add_argument("--split", help="default: as in RUN/config.yaml, usually test")
    parser.add_argument(
        "--devices",
        type=int,
        default=1,
        metavar="N",
        help="processes with a device each; the answers are the same (default: 1)",
    )
    parser.add_argument(
        "--batch",
        type=lambda text: int(text) if text.isdecimal() else text,
        metavar="{auto,N}",
        help="questions of a study at a time: all, and fewer where memory is short (auto), or "
        "never more than N (default: as in RUN/config.yaml, else auto)",
    )
    parser.add_argument(
        "--precision",
        metavar="P",
        help="32-true, bf16-mixed or 16-mixed, whatever the run trained in (default: as in "
        "RUN/config.yaml, else 32-true)",
    )
    parser.set_defaults(handler=_predict)


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
    parser.add_argument("place", type=Path, metavar="PLACE", help="YAML, runs/EXPERIMENT or a RUN")
    parser.add_argument("--port", type=int, default=5000)
    parser.set_defaults(handler=_ui)


def _add_parity(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "parity",
        help="compare our models and metrics with recorded outputs of the published code",
        description="Run every case.json under the folders and print the largest error of each "
        "output. Exit code 1 when one exceeds its tolerance.",
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.set_defaults(handler=_parity)


# ---- handlers: import late, so that --help is quick -----------------------------------------


def _run(options: argparse.Namespace) -> int:
    from tomovox.experiment import ExperimentRun

    ExperimentRun(options.experiment, options.output, options.executor).run()
    return 0


def _predict(options: argparse.Namespace) -> int:
    from tomovox.lightning_verbs import predict_run

    given = {"batch": options.batch, "precision": options.precision}
    given = {key: value for key, value in given.items() if value is not None}
    predict_run(options.run, options.root, options.split, options.devices, given)
    return 0


def _ask(options: argparse.Namespace) -> int:
    from tomovox.ask import ask, print_answer
    from tomovox.data.images import parse_window

    window = parse_window(options.window) if options.window else None
    print_answer(ask(options.volume, options.question, options.checkpoint, window))
    return 0


def _ui(options: argparse.Namespace) -> int:
    from tomovox.judge.runs import experiment_of
    from tomovox.tracking.server import serve

    return serve(experiment_of(options.place), options.port)


def _parity(options: argparse.Namespace) -> int:
    from tomovox.experiment import table_console
    from tomovox.parity.cases import find_cases
    from tomovox.parity.verdicts import judge, print_verdicts

    verdicts = [judge(case) for case in find_cases(options.folders)]
    print_verdicts(verdicts, table_console())
    return 1 if any(verdict.failed for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
