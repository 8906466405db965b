"""How do runs become tables again, without any model? The verbs score, compare and ledger."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tomovox.judge.compare import Comparison
    from tomovox.judge.outcome import Outcome

Verbs = Any

COMPARE_EXAMPLES = """examples:
  tomovox compare runs/quickstart                            all rows against blind
  tomovox compare runs/a/med2e3-s0 runs/b/med2e3-s0 --reference a/med2e3
  tomovox compare runs/quickstart --task vqa_closed --protocol standard --output tables
"""


def add_score(verbs: Verbs) -> None:
    """Add the verb score."""
    parser = verbs.add_parser(
        "score",
        help="score predictions again, without any model",
        description="Score RUN folders, an experiment's folder or its YAML, and print the table.",
    )
    parser.add_argument("places", type=Path, nargs="+", metavar="PLACE")
    parser.set_defaults(handler=_score)


def add_compare(verbs: Verbs) -> None:
    """Add the verb compare."""
    parser = verbs.add_parser(
        "compare",
        help="say which rows differ, by paired statistics over cases",
        description="Score the rows of experiments or RUN folders, compare each with a reference "
        "and each control with its model, and print a verdict per task: paired differences with "
        "95%% intervals, bootstrap over cases, p from swaps by case, corrected over all rows and "
        "question types of a metric.",
        epilog=COMPARE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("places", type=Path, nargs="+", metavar="PLACE")
    parser.add_argument("--reference", metavar="MODEL", help="default: blind, else the first")
    parser.add_argument("--correction", choices=("holm", "bh"), default="holm")
    for name in ("task", "metric", "protocol"):
        parser.add_argument(f"--{name}", metavar=name.upper(), help=f"only this {name}")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write the tables there")
    parser.set_defaults(handler=_compare)


LEDGER_EXAMPLES = """examples:
  tomovox ledger runs/published                     rows named as their system, such as m3d_lamed
  tomovox ledger runs/mine --system phi3=m3d_lamed --output ledger
"""


def add_ledger(verbs: Verbs) -> None:
    """Add the verb ledger."""
    parser = verbs.add_parser(
        "ledger",
        help="put reported figures of papers beside ours",
        description="Score the rows of experiments or RUN folders and print every figure that a "
        "paper reports for their system in the same metric and protocol: reported, ours, "
        "difference, verified or not, known deviations. It cannot know which data a run read.",
        epilog=LEDGER_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("places", type=Path, nargs="+", metavar="PLACE")
    parser.add_argument(
        "--system", action="append", default=[], metavar="ROW=SYSTEM", help="whose figures a row is"
    )
    parser.add_argument("--published", type=Path, metavar="FILE", help="default: published.csv")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write ledger.tsv and .md there")
    parser.set_defaults(handler=_ledger)


def outcome_of(runs: list[Path], comparison: Comparison) -> Outcome:
    """Score runs and their controls, and return what they come to."""
    from tomovox.judge.outcome import Outcome
    from tomovox.judge.runs import controls_of, run_names
    from tomovox.judge.score import score_run
    from tomovox.judge.tables import model_and_seed

    scores = {}
    for name, run in zip(run_names(runs), runs, strict=True):
        for control, folder in controls_of(run).items():
            scores[*model_and_seed(name), control] = score_run(folder)
    return Outcome.of(scores, comparison)


def _score(options: argparse.Namespace) -> int:
    from tomovox.experiment import table_console
    from tomovox.judge.compare import Comparison
    from tomovox.judge.runs import experiment_names, find_runs, unanswered
    from tomovox.judge.tables import print_table

    runs = find_runs(options.places)
    outcome, notes, console = outcome_of(runs, Comparison()), _notes(runs), table_console()
    for folder in (folders := experiment_names(runs)):
        missing = unanswered(folder, runs)
        if missing:
            sys.stderr.write(
                f"tomovox: {folder}: no predictions of {', '.join(missing)}; table.csv and "
                f"table.md stay as they were\n"
            )
        elif missing is not None and len(folders) == 1:  # a table of all rows, never of some
            outcome.write(folder, notes, _data(runs))
    print_table(outcome.frame, console, notes)
    outcome.print_verdicts(console)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from tomovox.experiment import table_console
    from tomovox.judge.cells import where
    from tomovox.judge.compare import Comparison
    from tomovox.judge.runs import find_runs
    from tomovox.schema import TomovoxError

    runs = find_runs(options.places)
    outcome = outcome_of(runs, Comparison(options.reference, options.correction))
    wanted = {name: getattr(options, name) for name in ("task", "metric", "protocol")}
    for name, value in wanted.items():
        if value is not None and value not in set(outcome.frame[name]):
            known = ", ".join(sorted(set(outcome.frame[name])))
            raise TomovoxError(f"--{name} {value}: no row has it; there are {known}")
    chosen = {name: value for name, value in wanted.items() if value is not None}
    outcome.frame = where(outcome.frame, **chosen)
    if options.output is not None:
        outcome.write(options.output, _notes(runs), _data(runs))
    outcome.print_verdicts(table_console())
    return 0


def _ledger(options: argparse.Namespace) -> int:
    from tomovox.judge.ledger import ledger, ledger_markdown, ledger_tsv
    from tomovox.judge.published import read_published
    from tomovox.judge.runs import find_runs, run_names
    from tomovox.judge.score import score_run
    from tomovox.judge.tables import build_table
    from tomovox.schema import TomovoxError, write_atomically

    systems: dict[str, str] = {}
    for pair in options.system:
        row, equals, system = pair.partition("=")
        if not (row and equals and system):
            raise TomovoxError(f"--system {pair}: write ROW=SYSTEM, such as phi3=m3d_lamed")
        systems[row] = system
    figures = read_published(options.published)
    runs = find_runs(options.places)
    named = zip(run_names(runs), runs, strict=True)
    frame = build_table({name: score_run(run).rows for name, run in named})
    found = ledger(frame, figures, systems=systems)
    if options.output is not None:
        write_atomically(options.output / "ledger.tsv", ledger_tsv(found))
        write_atomically(options.output / "ledger.md", ledger_markdown(found))
    sys.stdout.write(ledger_markdown(found))
    return 0


def _notes(runs: list[Path]) -> list[str]:
    """Return what the experiments of the runs said of their rows."""
    from tomovox.experiment import NOTES
    from tomovox.judge.runs import experiment_names

    notes: list[str] = []
    folders = experiment_names(runs)
    for folder, name in folders.items():
        kept = folder / NOTES
        lines = kept.read_text(encoding="utf-8").splitlines() if kept.is_file() else []
        notes += [f"{name}: {line}" for line in lines] if len(folders) > 1 else lines
    return notes


def _data(runs: list[Path]) -> list[str]:
    """Return the digests of the data that the runs name in config.yaml."""
    from tomovox.configuration import read_yaml
    from tomovox.judge.runs import CONFIG

    configs = [read_yaml(run / CONFIG) for run in runs if (run / CONFIG).is_file()]
    return [str(config["data_key"]) for config in configs if config.get("data_key")]
