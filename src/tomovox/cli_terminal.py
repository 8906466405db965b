"""What do the verbs of the command share? Their type, numbers as arguments, problems, and a bar."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

SHOWN = 20
"""How many problems are printed; the rest is in the report file."""


@contextmanager
def progress(name: str) -> Iterator[Callable[[int, int], Any]]:
    """Give a function of (done, total) that moves a bar on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(transient=True, console=console, disable=not console.is_terminal) as bar:
        job = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(job, completed=done, total=total)


def count(text: str) -> int:
    """Return a whole number from 1; ArgumentTypeError for anything else."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def three_sizes(text: str) -> tuple[int, int, int]:
    """Return three whole numbers D,H,W; ArgumentTypeError for anything else."""
    try:
        depth, height, width = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not D,H,W, such as 32,64,64") from None
    return depth, height, width


def print_problems(lines: Sequence[str], where: str) -> None:
    """Print the first problems, and where all of them stand."""
    for line in lines[:SHOWN]:
        sys.stdout.write(f"{line}\n")
    if len(lines) > SHOWN:
        sys.stdout.write(f"... {len(lines) - SHOWN} more: {where}\n")
