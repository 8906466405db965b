"""What do all rows of a comparison come to? Table, verdicts and visual reliance, made once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tomovox.judge.cells import Run
from tomovox.judge.compare import Comparison, compared
from tomovox.judge.facts import facts_of
from tomovox.judge.reliance import print_reliance, reliance, write_reliance
from tomovox.judge.score import Scores
from tomovox.judge.tables import build_table, write_tables
from tomovox.judge.verdicts import print_verdicts

if TYPE_CHECKING:
    import pandas
    from rich.console import Console


@dataclass
class Outcome:
    """The compared long table and the visual reliance of some runs, against one reference."""

    frame: pandas.DataFrame
    relied: pandas.DataFrame
    comparison: Comparison
    reference: str

    @classmethod
    def of(cls, scores: Mapping[Run, Scores], comparison: Comparison | None = None) -> Outcome:
        """Return what the scores come to; TomovoxError for a reference that has no row."""
        comparison = comparison or Comparison()
        frame = build_table({run: found.rows for run, found in scores.items()})
        samples = {run: found.samples for run, found in scores.items()}
        reference = comparison.reference_of(frame["model"])
        return cls(compared(frame, samples, comparison), reliance(samples), comparison, reference)

    def write(self, folder: Path, notes: Sequence[str], data: Iterable[str]) -> list[Path]:
        """Write every form of the table and the reliance; `data` are digests of the data."""
        facts = facts_of(self.reference, self.comparison, data)
        return write_tables(self.frame, folder, notes, facts) + write_reliance(self.relied, folder)

    def print_verdicts(self, console: Console) -> None:
        """Print verdicts and reliance."""
        print_verdicts(self.frame, self.reference, console)
        print_reliance(self.relied, console)
