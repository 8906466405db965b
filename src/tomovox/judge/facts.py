"""What must a footnote say so that somebody else can make the table again?"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from tomovox.judge.compare import CORRECTION_NAMES, DRAWS, SEED, SWAPS, Comparison


def facts_of(reference: str, comparison: Comparison, data: Iterable[str]) -> dict[str, str]:
    """Return reference, correction, draws, program and data of a compared table.

    `data` are the digests of the data that the rows were made with.
    """
    return {
        "reference": reference,
        "correction": CORRECTION_NAMES[comparison.correction],
        "drawn": f"{DRAWS:,} draws of cases for intervals, {SWAPS:,} swaps for p, seed {SEED}",
        **provenance_of(data),
    }


def provenance_of(data: Iterable[str]) -> dict[str, str]:
    """Return the program that prints, which need not be the one that trained, and the data."""
    facts = {"printed by": " ".join(filter(None, ("tomovox", version("tomovox"), commit())))}
    if revisions := sorted(set(data)):
        facts["data"] = ", ".join(revisions)
    return facts


def commit() -> str:
    """Return the commit of the checkout that this program runs from; "" outside of one."""
    root = Path(__file__).resolve().parents[3]
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return ""
    command = [git, "-C", str(root), "describe", "--always", "--dirty"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return said.stdout.strip()
