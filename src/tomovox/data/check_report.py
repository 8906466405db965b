"""What does a check of a data tree say: how much is there, and what is wrong with it?"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of the report; severity is `error` (it cannot be used) or `warning`."""

    severity: str
    place: str
    what: str
    remedy: str

    def line(self) -> str:
        """Return the four parts, each without tabs or line breaks, parted by tabs."""
        parts = (self.severity, self.place, self.what, self.remedy)
        return "\t".join(" ".join(part.split()) for part in parts)


@dataclass(frozen=True, slots=True)
class SplitCount:
    """What a split of a data set holds: readable rows, distinct volumes and distinct cases.

    `negatives` are the rows whose mask shows nothing: what is asked for is not there.
    """

    data_set: str
    split: str
    records: int
    volumes: int
    cases: int
    negatives: int = 0


@dataclass
class Report:
    """The splits of a tree and its problems, errors first."""

    counts: list[SplitCount] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """Number of problems that are errors."""
        return sum(problem.severity == "error" for problem in self.problems)

    def table(self) -> str:
        """Return all problems as tab-separated text with a first line of names."""
        head = "severity\tplace\twhat\twhat to do\n"
        return head + "".join(f"{problem.line()}\n" for problem in self.problems)
