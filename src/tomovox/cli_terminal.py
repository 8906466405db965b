"""What do the verbs of the command share? Their type, numbers as arguments, and a bar."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


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
