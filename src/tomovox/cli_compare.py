"""How do runs become tables again, without any model? The verbs score, compare and ledger."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from tomovox.cli_terminal import Verbs

COMPARE_EXAMPLES = """examples:
  tomovox compare runs/published --reported --clean audit/clean_split.json
  tomovox compare runs/quickstart                            all rows against blind
  tomovox compare runs/a/med2e3-s0 runs/b/med2e3-s0 --reference a/med2e3
  tomovox compare runs/quickstart --task vqa_closed --by question_type --output tables
  tomovox compare runs/quickstart --metrics bleu4,rougeL     two metrics of every task that has them
  tomovox compare runs/quickstart --metrics accuracy --protocol m3d
"""


SCORE_EXAMPLES = """examples:
  tomovox score runs/ct_rate
  tomovox score runs/ct_rate --labels valid_predicted_labels.csv
  tomovox score runs/mine --labels references --labeller mypackage.labels.MyLabeller
  tomovox score runs/ct_rate --scorer radgraph_f1 --scorer green

A table of labels has a column id (of the record) or VolumeName (as in CT-RATE), then a column with
0 or 1 per finding. Labels are kept in RUN/clinical.json: the next call needs no option. `rule` are
written rules for the 18 findings of CT-RATE; its figures do not compare with RadBERT's.
"""


def add_score(verbs: Verbs) -> None:
    """Add the verb score."""
    parser = verbs.add_parser(
        "score",
        help="score predictions again, without any model",
        description="Score RUN folders, an experiment's folder or its YAML, and print the table.",
        epilog=SCORE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("places", type=Path, nargs="+", metavar="PLACE")
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="compare the findings of reports: a table with those of the references, or the word "
        "references, which the labeller then reads too",
    )
    parser.add_argument(
        "--labeller",
        metavar="NAME",
        help="who reads the answers: rule (default), radbert, or the path of a class",
    )
    parser.add_argument(
        "--scorer",
        action="append",
        default=[],
        metavar="NAME",
        help="a metric of another package, may be given several times: radgraph_f1, ratescore, "
        "green; what it lacks to run is said in its place",
    )
    parser.set_defaults(handler=_score)


def add_compare(verbs: Verbs) -> None:
    """Add the verb compare."""
    parser = verbs.add_parser(
        "compare",
        help="say which rows differ, by paired statistics over cases",
        description="Score the rows of experiments or RUN folders, compare each with a reference\n"
        "and each control with its model, and print a verdict per task: paired differences with\n"
        "95% intervals, bootstrap over cases, p from swaps by case, corrected over all rows and\n"
        "question types of a metric, controls apart. What the file of a single experiment says of\n"
        "reference, correction, clean_split and reported holds where no option says another.",
        epilog=COMPARE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("places", type=Path, nargs="+", metavar="PLACE")
    parser.add_argument(
        "--reference",
        metavar="MODEL",
        help="default: that of the experiment, else blind, else the first",
    )
    parser.add_argument(
        "--correction", choices=("holm", "bh"), help="default: that of the experiment, else holm"
    )
    parser.add_argument("--task", help="only this task")
    parser.add_argument(
        "--metrics",
        type=_names,
        default=(),
        metavar="A,B",
        help="only these metrics, each with verdicts, in place of the primary metric of each task",
    )
    parser.add_argument(
        "--protocol",
        help="only this protocol; default of a verdict: that of the task's primary metric where "
        "the metric has it, else its first",
    )
    parser.add_argument(
        "--by", choices=("question_type",), help="a verdict for each question type of a task"
    )
    parser.add_argument(
        "--clean",
        type=Path,
        metavar="FILE",
        help="clean_split.json of tomovox data audit: official values beside those without the "
        "records that leaked; also DIR/clean.csv and the clean tables in DIR/clean",
    )
    parser.add_argument(
        "--reported", action="store_true", help="add what papers report of the rows' systems"
    )
    parser.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="ROW=SYSTEM",
        help="with --reported: whose figures a row is, where it is not called as its system",
    )
    said = "default: compare/ in the experiment's folder, of several in this one"
    parser.add_argument("--output", type=Path, metavar="DIR", help=said)
    parser.set_defaults(handler=_compare)


def _names(text: str) -> tuple[str, ...]:
    """Return the names of a comma list; ArgumentTypeError for a list without any."""
    names = tuple(name for part in text.split(",") if (name := part.strip()))
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names no metric; write A,B")
    return names


LEDGER_EXAMPLES = """examples:
  tomovox ledger runs/published                     rows named as their system, such as m3d_lamed
  tomovox ledger runs/mine --system phi3=m3d_lamed --output ledger
"""


def add_ledger(verbs: Verbs) -> None:
    """Add the verb ledger."""
    parser = verbs.add_parser(
        "ledger",
        help="put reported figures of papers beside ours",
        description="Score the rows of experiments or RUN folders and print every figure that a\n"
        "paper reports for their system in the same metric and protocol: reported, ours,\n"
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


def _score(options: argparse.Namespace) -> int:
    from tomovox.experiment import table_console
    from tomovox.judge.labelling import Labelling, label_runs
    from tomovox.judge.outcome import outcome_of
    from tomovox.judge.runs import answers_of, experiment_names, find_runs, unanswered
    from tomovox.judge.tables import print_table
    from tomovox.lock import only_process_in_all
    from tomovox.run_folders import data_keys, extras_of, notes_of
    from tomovox.schema import TomovoxError

    runs = find_runs(options.places)
    folders, notes, console = experiment_names(runs), notes_of(runs), table_console()
    how = Labelling(options.labels, options.labeller or "rule", options.scorer)
    if options.labeller and options.labels is None:
        raise TomovoxError("--labeller reads reports to compare their findings: add --labels")
    with only_process_in_all(runs):
        places = [place for run in runs for place in answers_of(run).values()]
        if not label_runs(places, how) and (how.labels is not None or how.scorers):
            raise TomovoxError(
                f"{runs[0]}: no run here answers reports, so that there are no findings to "
                f"compare: leave --labels and --scorer out"
            )
        outcome = outcome_of(runs, extras=extras_of(runs), again=True)
        for folder in folders:
            missing = unanswered(folder, runs)
            if missing:
                sys.stderr.write(
                    f"tomovox: {folder}: no predictions of {', '.join(missing)}; table.csv and "
                    f"table.md stay as they were\n"
                )
            elif missing is not None and len(folders) == 1:  # a table of all rows, never of some
                outcome.write(folder, notes, data_keys(runs))
    print_table(outcome.frame, console, notes + outcome.notes)
    outcome.print_verdicts(console)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from tomovox.experiment import table_console
    from tomovox.judge.outcome import outcome_of
    from tomovox.judge.runs import experiment_names, find_runs
    from tomovox.judge.tables import print_table
    from tomovox.judge.verdicts import Asked
    from tomovox.run_folders import data_keys, extras_of, notes_of
    from tomovox.schema import TomovoxError

    runs, console = find_runs(options.places), table_console()
    kept = extras_of(runs)
    extras = replace(
        kept,
        clean_split=kept.clean_split if options.clean is None else str(options.clean),
        reported=options.reported or kept.reported,
        systems={**kept.systems, **_systems(options.system)},
        reference=options.reference or kept.reference,
        correction=options.correction or kept.correction,
    )
    if options.system and not extras.reported:
        raise TomovoxError("--system says whose reported figures a row has: add --reported")
    asked = Asked(options.task, options.metrics, options.protocol, options.by is not None)
    outcome = outcome_of(runs, extras=extras).only(asked)
    experiments = list(experiment_names(runs))
    beside = experiments[0] if len(experiments) == 1 else Path()
    folder = options.output or beside / "compare"
    outcome.write(folder, notes_of(runs), data_keys(runs))
    if extras.reported:  # most papers have no figure of a primary metric: verdicts show few
        print_table(outcome.frame, console, outcome.notes)
    outcome.print_verdicts(console)
    if all(not any(asked.pairs_of(mine, task)) for task, mine in outcome.frame.groupby("task")):
        sys.stderr.write(
            "tomovox: no primary metric is among these rows, so there is no verdict; name some "
            "with --metrics\n"
        )
    sys.stdout.write(f"tables: {os.path.relpath(folder / 'table.csv')}, .md, .tex and .html\n")
    return 0


def _ledger(options: argparse.Namespace) -> int:
    from tomovox.files import write_atomically
    from tomovox.judge.compare import with_intervals
    from tomovox.judge.facts import provenance_of
    from tomovox.judge.ledger import ledger, ledger_markdown, ledger_tsv
    from tomovox.judge.published import read_published
    from tomovox.judge.runs import find_runs, run_names
    from tomovox.judge.score import score_run
    from tomovox.judge.tables import build_table, model_and_seed
    from tomovox.run_folders import data_keys
    from tomovox.schema import NONE

    systems, figures = _systems(options.system), read_published(options.published)
    runs = find_runs(options.places)
    named = [(*model_and_seed(name), NONE) for name in run_names(runs)]
    scores = {name: score_run(run) for name, run in zip(named, runs, strict=True)}
    frame = build_table({name: mine.rows for name, mine in scores.items()})
    frame = with_intervals(frame, {name: mine.samples for name, mine in scores.items()})
    found = ledger(frame, figures, systems=systems)
    page = ledger_markdown(found, provenance_of(data_keys(runs)))
    if options.output is not None:
        write_atomically(options.output / "ledger.tsv", ledger_tsv(found))
        write_atomically(options.output / "ledger.md", page)
    sys.stdout.write(page)
    return 0


def _systems(pairs: list[str]) -> dict[str, str]:
    """Return the system of each row that pairs ROW=SYSTEM name."""
    from tomovox.schema import TomovoxError

    systems: dict[str, str] = {}
    for pair in pairs:
        row, equals, system = pair.partition("=")
        if not (row and equals and system):
            raise TomovoxError(f"--system {pair}: write ROW=SYSTEM, such as phi3=m3d_lamed")
        systems[row] = system
    return systems
