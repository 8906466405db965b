"""Do the cases under some folders pass? Every kind of case and how it is run, and the table."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tomovox.parity.cases import Case
from tomovox.parity.comparison import KeysDiffer, Outcome, Pair, Verdict, compare
from tomovox.parity.m3d import clip_pairs, projector_pairs, vit_pairs
from tomovox.parity.m3d_dataset import dataset_pairs
from tomovox.parity.m3d_lamed import lamed_pairs
from tomovox.parity.med2e3 import med2e3_pairs
from tomovox.parity.text import text_pairs
from tomovox.schema import TomovoxError

KINDS: dict[str, tuple[float, Callable[[Case], Iterator[Pair]]]] = {
    "m3d_vit": (1e-4, vit_pairs),
    "m3d_projector": (1e-5, projector_pairs),
    "m3d_clip": (1e-5, clip_pairs),
    "m3d_dataset": (1e-9, dataset_pairs),
    "m3d_lamed": (1e-4, lamed_pairs),
    "med2e3": (1e-4, med2e3_pairs),
    "text_metrics": (1e-9, text_pairs),
}
"""Kind of a case -> the largest absolute error that passes, and what runs it."""


def judge(case: Case) -> Verdict:
    """Return how the outputs of one case compare; TomovoxError when the case is broken."""
    kind = case.fact(str, "kind")
    if kind not in KINDS:
        return Verdict(case, kind)
    tolerance, run = KINDS[kind]
    try:
        with torch.inference_mode():
            outcomes = [compare(pair, tolerance) for pair in run(case)]
    except KeysDiffer as difference:
        outcomes = [Outcome("state_dict", math.inf, tolerance, str(difference))]
    except TomovoxError as error:  # of a model's own config, which knows no file
        told = str(error)
        raise (error if str(case.file.parent) in told else case.fault(told)) from None
    return Verdict(case, kind, outcomes)


def print_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """Print a row per output, then what failed or is not supported, and the counts of cases."""
    table = Table("case", "output")
    for column in ("largest error", "tolerance"):
        table.add_column(column, justify="right")
    table.add_column("")
    for verdict in verdicts:
        place = escape(verdict.case.place)
        if not verdict.outcomes:
            table.add_row(place, escape(f"not supported yet: {verdict.kind}"))
        for outcome in verdict.outcomes:
            table.add_row(
                place, outcome.output, f"{outcome.error:.2e}", f"{outcome.tolerance:.0e}",
                "passed" if outcome.passed else "FAILED",
            )  # fmt: skip
    console.print(table)
    for line in closing_lines(verdicts):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def closing_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Return a line per output that failed and per kind not supported yet; the counts close."""
    lines = [
        f"failed: {verdict.case.place}: {outcome.output}: "
        + (outcome.note or f"error {outcome.error:.2e}, tolerance {outcome.tolerance:.0e}")
        for verdict in verdicts
        for outcome in verdict.outcomes
        if not outcome.passed
    ]
    waiting: dict[str, list[str]] = {}
    for verdict in verdicts:
        if not verdict.outcomes:
            waiting.setdefault(verdict.kind, []).append(verdict.case.place)
    lines += [f"not supported yet: {kind} ({', '.join(at)})" for kind, at in waiting.items()]
    passed, failed = (sum(getattr(v, key) for v in verdicts) for key in ("passed", "failed"))
    return [*lines, f"{passed} passed, {failed} failed"]
