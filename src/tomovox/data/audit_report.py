"""What does a leakage audit say: what was found, and which records a clean table leaves out?"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import astuple, dataclass, field, fields

from tomovox.data.audit_text import NEAR_TEXT
from tomovox.data.audit_volumes import NEAR_VOLUME
from tomovox.data.faults import DataFault

VERSION = 1

CASE, QUESTION = "case", "question"
REPORT_IDENTICAL, REPORT_NEAR = "report_identical", "report_near"
VOLUME_IDENTICAL, VOLUME_NEAR = "volume_identical", "volume_near"
KINDS = (CASE, REPORT_IDENTICAL, REPORT_NEAR, VOLUME_IDENTICAL, VOLUME_NEAR, QUESTION)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What `id` of one split shares with `other_id` of another split, its closest there.

    Ids are cases for `case` and reports, volumes for volumes, records for questions. `score` is 1
    for what is the same, else the Jaccard index or the correlation; `words` is the length of the
    text of `id`, empty for cases and volumes.
    """

    kind: str
    split: str
    id: str
    other_split: str
    other_id: str
    score: float
    words: int | None = None

    def line(self) -> str:
        """Return the cells, parted by tabs, none of which holds a tab or a line break."""
        cells = ("" if cell is None else cell for cell in astuple(self))
        texts = (f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in cells)
        return "\t".join(" ".join(text.split()) for text in texts)


@dataclass
class Audit:
    """The findings of a data tree, sorted, and what they mean for the records of val and test.

    `leaked` maps the id of a record to the kinds that speak against it. `records` counts all
    records by (task, split). `cut` counts reports and volumes that were not compared in full.
    """

    data: str
    findings: list[Finding] = field(default_factory=list)
    leaked: dict[str, list[str]] = field(default_factory=dict)
    records: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[DataFault] = field(default_factory=list)
    cut: dict[str, int] = field(default_factory=dict)

    def affected(self) -> Counter[tuple[str, str]]:
        """Return how many records of each (task, split) are leaked."""
        return Counter(task_and_split(name) for name in self.leaked)

    def table(self) -> str:
        """Return findings.tsv: the findings, under a first line of names."""
        head = "\t".join(f.name for f in fields(Finding))
        return "".join(f"{line}\n" for line in (head, *(f.line() for f in self.findings)))

    def unread(self) -> str:
        """Return not_read.tsv: what was not compared because it cannot be read."""
        rows = [("place", "what", "what to do")]
        rows += [(f.place, f.what, f.remedy) for f in self.faults]
        return "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows)

    def clean_split(self) -> str:
        """Return clean_split.json: the records that a clean table leaves out, and how many."""
        affected = self.affected()
        counts: dict[str, dict[str, dict[str, int]]] = {}
        for (task, split), records in sorted(self.records.items()):
            numbers = {"records": records, "leaked": affected[task, split]}
            counts.setdefault(task, {})[split] = numbers
        content = {
            "version": VERSION,
            "data": self.data,
            "thresholds": {REPORT_NEAR: NEAR_TEXT, VOLUME_NEAR: NEAR_VOLUME},
            "leaked": dict(sorted(self.leaked.items())),
            "counts": counts,
            "not_read": len(self.faults),
            "not_compared_in_full": self.cut,
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def task_and_split(record_id: str) -> tuple[str, str]:
    """Return the first two parts of the id of a record."""
    task, split, _ = record_id.split("/", 2)
    return task, split
