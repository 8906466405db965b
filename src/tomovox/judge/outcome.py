"""What do all rows of a comparison come to? Table, verdicts and visual reliance, made once.

In a notebook: `outcome_of(["runs/quickstart"]).frame` is the compared long table as a DataFrame.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tomovox.files import write_atomically
from tomovox.judge.cells import Run, run_order
from tomovox.judge.clean import clean_against_official, clean_scores, clean_sheets, write_clean
from tomovox.judge.clean_split import CleanSplit, read_clean
from tomovox.judge.clinical import one_labelling, read_labelled
from tomovox.judge.compare import Comparison, compared
from tomovox.judge.compute import compute_of, compute_sheet, write_compute
from tomovox.judge.facts import facts_of
from tomovox.judge.findings import findings_of, findings_sheets, write_findings
from tomovox.judge.kept_scores import read_scores
from tomovox.judge.published import read_published
from tomovox.judge.reliance import reliance, reliance_sheets, write_reliance
from tomovox.judge.reported import reported_notes, with_reported
from tomovox.judge.runs import answers_of, find_runs, run_names
from tomovox.judge.score import Scores, check_one_data_set, score_run
from tomovox.judge.tables import build_table, model_and_seed, write_tables
from tomovox.judge.verdicts import Asked, verdict_sheets
from tomovox.parsed import read_object
from tomovox.schema import NONE, TomovoxError
from tomovox.sheets import Sheet, print_sheets

if TYPE_CHECKING:
    import pandas
    from rich.console import Console


EXTRAS, CLEAN = "extras.json", "clean"
"""What an experiment's tables show beside scores, and the folder of its clean tables."""

TABLES = tuple(f"table.{form}" for form in ("csv", "md", "tex", "html"))
BESIDE = (
    *("reliance.csv", "compute.csv", "findings.csv", "clean.csv", f"{CLEAN}/reliance.csv"),
    *(f"{CLEAN}/{name}" for name in TABLES),
)
"""What may stand beside the tables of a folder, and is old where a call does not write it."""


@dataclass(frozen=True)
class Extras:
    """What tables show beside the scores of their rows.

    `clean_split` is a file of `tomovox data audit`, "" for none. `reported` adds the figures that
    papers report of the rows' systems; `systems` names the system of rows called otherwise.
    `reference` is the row that the others are compared with, and `correction` (holm, bh) that of
    p, where no comparison says another.
    """

    clean_split: str = ""
    reported: bool = False
    systems: Mapping[str, str] = field(default_factory=dict)
    reference: str | None = None
    correction: str = "holm"

    def split(self) -> CleanSplit | None:
        """Return the clean split, None without one; TomovoxError when it cannot be read."""
        return read_clean(Path(self.clean_split)) if self.clean_split else None

    def keep(self, folder: Path) -> None:
        """Keep this beside an experiment's tables, so that scoring again shows the same."""
        found = asdict(self)
        if self.clean_split:
            found["clean_split"] = os.path.relpath(self.clean_split, folder)
        write_atomically(folder / EXTRAS, json.dumps(found, indent=1) + "\n")

    @classmethod
    def kept(cls, folder: Path) -> Extras:
        """Return what an experiment's folder keeps; nothing beside where it keeps nothing."""
        path = folder / EXTRAS
        if not path.is_file():
            return cls()
        again = "score with the options you want again"
        found = read_object(path, again)
        wanted = {"clean_split": str, "reported": bool, "systems": dict, "correction": str}
        known = wanted | {"reference": str | None}
        strange = [k for k, value in found.items() if not isinstance(value, known.get(k, ()))]
        if not strange:
            names = found.get("systems", {})
            strange = [system for system, name in names.items() if not isinstance(name, str)]
        if strange:
            raise TomovoxError(f"{path}: {strange[0]!r} is not what a table keeps; {again}")
        if found.get("clean_split"):
            found["clean_split"] = os.path.normpath(folder / found["clean_split"])
        return cls(**found)


@dataclass
class Outcome:
    """What some runs come to, against one reference.

    `frame` is the compared long table (columns of tables.COLUMNS, compare.COMPARED and TESTED),
    `relied` the visual reliance (reliance.COLUMNS), `compute` what the rows cost (compute.COLUMNS),
    `findings` how each finding of labelled reports is named (findings.COLUMNS),
    `clean` the official values beside the clean ones (clean.COLUMNS) and `cleaned` the outcome of
    the clean records alone; None where they were not asked for. `asked` shapes the verdicts;
    `sheets` are further ones that stand after verdicts and reliance, `notes` what they need said.
    `split` says which records `clean` leaves out; an outcome of clean records alone has its `title`
    as `only_clean`.
    """

    frame: pandas.DataFrame
    relied: pandas.DataFrame
    comparison: Comparison
    reference: str
    asked: Asked = field(default_factory=Asked)
    sheets: list[Sheet] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    compute: pandas.DataFrame | None = None
    findings: pandas.DataFrame | None = None
    clean: pandas.DataFrame | None = None
    cleaned: Outcome | None = None
    split: CleanSplit | None = None
    only_clean: str = ""

    @classmethod
    def of_folders(
        cls,
        folders: Mapping[Run, Path],
        comparison: Comparison | None = None,
        extras: Extras | None = None,
        again: bool = False,
    ) -> Outcome:
        """Score every run whose kept scores are not those of its predictions, or all `again`.

        Returns what they come to. Writes scores.jsonl and results.json of what it scores. Raises
        TomovoxError for predictions that cannot be scored, a reference that has no row, runs whose
        references have two labellings, and a file of `extras` that cannot be read.
        """
        extras = extras or Extras()
        comparison = comparison or Comparison(extras.reference, extras.correction)
        split = extras.split()
        scores = {
            run: (None if again else read_scores(folder)) or score_run(folder)
            for run, folder in folders.items()
        }
        pairs = ((_name(run), read_labelled(folder)) for run, folder in folders.items())
        labels = one_labelling({name: mine for name, mine in pairs if mine is not None})
        found = cls.of(scores, comparison)
        if split is not None:
            found._show_clean(scores, split)
        if extras.reported:
            found.frame = with_reported(found.frame, read_published(), extras.systems)
            found.notes += reported_notes(found.frame)
        found._show_findings(scores, labels)
        found.compute = compute_of(folders)
        if (cost := compute_sheet(found.compute)).rows:
            found.sheets.append(cost)
        return found

    @classmethod
    def of(cls, scores: Mapping[Run, Scores], comparison: Comparison | None = None) -> Outcome:
        """Return what the scores come to.

        Raises TomovoxError for a reference that has no row, and for runs of two data sets.
        """
        comparison = comparison or Comparison()
        check_one_data_set(
            {_name(run): scores[run].records for run in sorted(scores, key=run_order)}
        )
        frame = build_table({run: found.rows for run, found in scores.items()})
        samples = {run: found.samples for run, found in scores.items()}
        reference = comparison.reference_of(frame["model"])
        return cls(compared(frame, samples, comparison), reliance(samples), comparison, reference)

    def _show_findings(self, scores: Mapping[Run, Scores], labels: Sequence[str]) -> None:
        if labels:
            self.findings = findings_of({r: mine.samples for r, mine in scores.items()}, labels)
            self.sheets += findings_sheets(self.findings)

    def _show_clean(self, scores: Mapping[Run, Scores], split: CleanSplit) -> None:
        samples = {run: found.samples for run, found in scores.items()}
        self.clean, self.split = clean_against_official(samples, split.leaked), split
        left = clean_scores(scores, split.leaked)
        if any(model == self.reference for model, _, _ in left):
            same = replace(self.comparison, reference=self.reference)
            self.cleaned = Outcome.of(left, same)
            self.cleaned.only_clean = split.title
        else:
            self.notes.append(
                f"no tables of the clean records: {split.file} leaves none of {self.reference}"
            )

    def only(self, asked: Asked) -> Outcome:
        """Return the outcome with the rows that are asked for, and verdicts of these.

        Sheets of the whole comparison stay. Raises TomovoxError for what no row has.
        """
        asked.check(self.frame)
        cleaned = self.cleaned and replace(
            self.cleaned,
            frame=asked.rows_of(self.cleaned.frame),
            relied=asked.rows_of(self.cleaned.relied),
            asked=asked,
        )
        return replace(
            self,
            frame=asked.rows_of(self.frame),
            relied=asked.rows_of(self.relied),
            asked=asked,
            cleaned=cleaned,
            clean=None if self.clean is None else asked.rows_of(self.clean),
            sheets=[s for s in self.sheets if asked.task in (None, s.section) or not s.section],
        )

    def every_sheet(self) -> list[Sheet]:
        """Return verdicts, visual reliance, official beside clean and the further sheets."""
        correction = self.comparison.correction
        sheets = verdict_sheets(self.frame, self.reference, self.asked, correction)
        sheets += reliance_sheets(self.relied)
        if self.clean is not None and self.split is not None:
            sheets += clean_sheets(self.clean, self.split, self.asked)
        return [*sheets, *self.sheets]

    def write(self, folder: Path, notes: Sequence[str], data: Collection[str]) -> list[Path]:
        """Write every form of the table and what stands beside it; return the paths.

        `data` are digests of the data. Time and memory are in compute.csv, and in the tables for
        reading: table.csv is the same in every run. Where an earlier call left files that this one
        does not write, they are removed.
        """
        stale = [folder / name for name in BESIDE] if (folder / TABLES[0]).is_file() else []
        facts, told = facts_of(self.reference, self.comparison, data), [*notes, *self.notes]
        if self.only_clean:
            facts["records"] = f"clean ones alone, without those leaked by {self.only_clean}"
            told.append(f"records: {facts['records']}")
        paths = write_tables(self.frame, folder, told, facts, self.every_sheet())
        paths += write_reliance(self.relied, folder)
        if self.compute is not None:
            paths += write_compute(self.compute, folder)
        if self.findings is not None:
            paths += write_findings(self.findings, folder)
        if self.clean is not None:
            paths += write_clean(self.clean, folder)
        if self.cleaned is not None:
            paths += self.cleaned.write(folder / CLEAN, notes, data)
        for path in set(stale) - set(paths):
            path.unlink(missing_ok=True)
        return paths

    def print_verdicts(self, console: Console) -> None:
        """Print verdicts, reliance and the further sheets."""
        print_sheets(self.every_sheet(), console)


def _name(run: Run) -> str:
    model, seed, control = run
    name = model if seed is None else f"{model}-s{seed}"
    return name if control == NONE else f"{name}, {control}"


def outcome_of(
    places: Iterable[str | Path],
    comparison: Comparison | None = None,
    extras: Extras | None = None,
    again: bool = False,
) -> Outcome:
    """Score runs and their controls, without any model, and return what they come to.

    A place is an experiment's YAML, its folder or one RUN folder. Raises TomovoxError for a place
    without predictions, and as `Outcome.of_folders` and `Outcome.of`.
    """
    runs = find_runs(map(Path, places))
    folders = {
        (*model_and_seed(name), control): folder
        for name, run in zip(run_names(runs), runs, strict=True)
        for control, folder in answers_of(run).items()
    }
    return Outcome.of_folders(folders, comparison, extras, again)
