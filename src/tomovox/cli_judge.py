"""The verb `tomovox judge`: how good are the answers of runs to a language model?

The handler imports late, so that --help is quick.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tomovox.cli_terminal import Verbs, count, progress

if TYPE_CHECKING:
    from tomovox.judge.llm import Judged

SHOWN = 20
"""How many records without a score are printed for each run; its file has all."""

EXAMPLES = """\
examples:
  tomovox judge runs/quickstart --endpoint http://localhost:8000/v1 --model Qwen/Qwen3-32B
  tomovox judge runs/quickstart/med2e3-s0 --endpoint https://api.openai.com --model NAME --limit 100
  tomovox judge runs/quickstart --task report --task vqa_open --endpoint URL --model NAME

The model grades how much of the reference an answer states correctly, 0 to 100, at temperature 0.
Name a pinned version: what a name such as "latest" means changes, and scores with it.
Question, reference and answer are sent to the endpoint: think of what they tell of patients.
Verdicts are added to RUN/judge-<model>.jsonl; the same command continues and asks nothing twice.
A reply without a score is counted and listed, never a 0. `tomovox score` then shows llm_judge and
llm_judge_parsed, the share of replies with a score; it reads the file and asks nothing.
"""


def add_judge_verb(verbs: Verbs) -> None:
    """Add `judge` to the command."""
    parser = verbs.add_parser(
        "judge",
        help="let a language model grade reports and open answers, through an endpoint",
        description="Ask an OpenAI-compatible endpoint to grade the answers of RUN folders.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "places", type=Path, nargs="+", metavar="RUN", help="or an experiment's folder or YAML"
    )
    parser.add_argument("--endpoint", required=True, metavar="URL", help="its address up to /v1")
    parser.add_argument("--model", required=True, metavar="NAME", help="as the endpoint knows it")
    parser.add_argument(
        "--task",
        action="append",
        choices=("report", "case_report", "vqa_open"),
        help="may be given several times; default: report",
    )
    parser.add_argument(
        "--api-key-env",
        default="OPENAI_API_KEY",
        metavar="VARIABLE",
        help="environment variable with the key, none sent if unset; default: OPENAI_API_KEY",
    )
    parser.add_argument(
        "--limit", type=count, metavar="N", help="the first N records by id of each task"
    )
    parser.add_argument(
        "--workers", type=count, default=4, metavar="N", help="requests at a time; default: 4"
    )
    parser.set_defaults(handler=_judge)


def _judge(options: argparse.Namespace) -> int:
    from tomovox.judge.llm import Endpoint, judge_run
    from tomovox.judge.runs import find_runs, run_names
    from tomovox.schema import Task, TomovoxError

    key = os.environ.get(options.api_key_env, "").strip()
    endpoint = Endpoint(options.endpoint, options.model, key)
    tasks = [Task(name) for name in options.task or ["report"]]
    runs = find_runs(options.places)
    records = 0
    for name, run in zip(run_names(runs), runs, strict=True):
        with progress(name) as tell:
            judged = judge_run(run, endpoint, tasks, options.limit, options.workers, tell)
        _print_judged(name, judged)
        records += judged.records
    if not records:
        raise TomovoxError(f"no answers to {' or '.join(tasks)} in these runs; see --task")
    return 0


def _print_judged(name: str, judged: "Judged") -> None:
    """Print how many verdicts a run has and which records lack a score."""
    from tomovox.progress import say

    if not judged.records:
        say(f"{name} judge: no answers to judge")
        return
    say(
        f"{name} judge: {judged.records} records, {judged.asked} requests, "
        f"{len(judged.unparsed)} without a score; {judged.file.name}"
    )
    for record in judged.unparsed[:SHOWN]:
        sys.stdout.write(f"  no score: {record}\n")
    if len(judged.unparsed) > SHOWN:
        more = len(judged.unparsed) - SHOWN
        sys.stdout.write(f"  ... {more} more: lines with a score of null in {judged.file}\n")
