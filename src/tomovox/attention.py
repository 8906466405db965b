"""Where do the models of an experiment look, and does it matter? All that `tomovox attention` does.

Every row whose predictions carry slice scores takes part; what is found lies in one folder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from tomovox.analysis.agreement import agreement_rows
from tomovox.analysis.attended import Attended
from tomovox.analysis.capture import Capture, told_of, write_captures
from tomovox.analysis.distribution import distribution_rows
from tomovox.analysis.elsewhere import scrambled_rows, word_rows
from tomovox.analysis.faithfulness import faithfulness_rows
from tomovox.analysis.figures import attention_figures, write_figures
from tomovox.analysis.hiding import Trial
from tomovox.analysis.localisation import localisation_rows
from tomovox.analysis.rows import Row
from tomovox.analysis.summary import attention_sheets, summary_markdown
from tomovox.analysis.table import Run, attention_table, write_attention
from tomovox.analysis.type_shift import type_rows
from tomovox.analysis.volume_shift import shift_rows
from tomovox.attention_capture import capture_of
from tomovox.attention_cases import case_sheets
from tomovox.attention_cell import FOLDER, Looking, hide_slices, read_looking
from tomovox.attention_elsewhere import look_elsewhere
from tomovox.files import write_atomically
from tomovox.judge.runs import experiment_of, find_runs, folder_of, run_names
from tomovox.judge.tables import model_and_seed
from tomovox.models.probing import Where
from tomovox.schema import TomovoxError
from tomovox.sheets import Sheet

if TYPE_CHECKING:
    import pandas

SUMMARY = "summary.md"


@dataclass
class Found:
    """The statistics of every row, and what they were made of."""

    frame: pandas.DataFrame
    looking: dict[Run, Looking]
    trials: dict[Run, dict[Where, list[Trial]]]
    captures: list[Capture]

    def sheets(self) -> list[Sheet]:
        """Return what the statistics come to, and what was scored."""
        return attention_sheets(self.frame, told_of(self.captures))


def find_looking(places: Iterable[Path], models: Collection[str] = ()) -> dict[Run, Looking]:
    """Return the rows of experiments or RUN folders whose models score slices.

    Of `models` only, where some are named. Raises TomovoxError when there is none, or when a name
    has no row.
    """
    runs = find_runs(places)
    named = {model_and_seed(name): run for name, run in zip(run_names(runs), runs, strict=True)}
    there = dict.fromkeys(model for model, _ in named)
    for model in models:
        if model not in there:
            raise TomovoxError(f"--model {model}: no row has it; there are {', '.join(there)}")
    found: dict[Run, Looking] = {}
    for run, folder in named.items():
        if not models or run[0] in models:
            looking = read_looking(folder)
            if looking is not None:
                found[run] = looking
    if not found:
        raise TomovoxError(
            f"{runs[0].parent}: no row has slice scores of single series; only models that score "
            f"slices, such as med2e3 and ms_vlm, can be asked where they looked: predict with one"
        )
    return found


def analyse(
    looking: dict[Run, Looking], cases: int, hide: Sequence[Where], console: Console
) -> Found:
    """Return all statistics; slices are hidden in `hide` ways for up to so many cases a row.

    Raises TomovoxError, before any slice is hidden, when seeds of a model answered other records.
    """
    shared = _rows_of_seeds(looking)
    captures = [capture_of(run, mine) for run, mine in looking.items()]
    rows: dict[Run, list[Row]] = {}
    trials: dict[Run, dict[Where, list[Trial]]] = {}
    with Progress(console=console, disable=not console.is_terminal) as progress:
        for run, mine in looking.items():
            rows[run] = _rows_without_model(mine.attended)
            if hide:
                trials[run] = hide_slices(mine, cases, hide, progress)
                elsewhere = look_elsewhere(mine, cases, progress)
                rows[run] += scrambled_rows(mine.attended, elsewhere.scrambled)
                rows[run] += word_rows(mine.attended, elsewhere.swapped, elsewhere.shuffled)
                for where, found in trials[run].items():
                    rows[run] += faithfulness_rows(found, where)
    for model, found_of_seeds in shared.items():
        # A row may have no seed itself.
        rows[model, None] = rows.get((model, None), []) + found_of_seeds
    return Found(attention_table(rows), looking, trials, captures)


def _rows_of_seeds(looking: dict[Run, Looking]) -> dict[str, list[Row]]:
    """Return what the seeds of each model have in common, where there are several."""
    seeds: dict[str, dict[int, list[Attended]]] = {}
    for (model, seed), mine in looking.items():
        if seed is not None:
            seeds.setdefault(model, {})[seed] = mine.attended
    return {model: agreement_rows(mine) for model, mine in seeds.items() if len(mine) > 1}


def _rows_without_model(attended: Sequence[Attended]) -> list[Row]:
    """Return the statistics of predictions alone."""
    parts = (distribution_rows, localisation_rows, type_rows, shift_rows)
    return [row for rows_of in parts for row in rows_of(attended)]


def experiment_among(places: Sequence[Path]) -> Path | None:
    """Return the folder of the one experiment that places name; None of RUNs or several."""
    folder = folder_of(places[0])
    return folder if len(places) == 1 and experiment_of(places[0]) == folder else None


def output_of(places: Sequence[Path]) -> Path:
    """Return where results lie by default: below the one experiment or RUN folder.

    Raises TomovoxError for several places, whose results have no folder of their own.
    """
    if len(places) > 1:
        raise TomovoxError("several places have no folder of their own; add --output DIR")
    return folder_of(places[0]) / FOLDER


def write(found: Found, folder: Path) -> list[Path]:
    """Write attention.csv, capture.json, summary.md and the figures; return all their paths."""
    # The numbers first: what took hours does not depend on a drawing.
    first = [write_attention(found.frame, folder), write_captures(found.captures, folder)]
    summary = folder / SUMMARY
    write_atomically(summary, summary_markdown(found.sheets()))
    records: dict[str, list[Attended]] = {}
    trials: dict[str, dict[str, list[Trial]]] = {}
    for run, looking in found.looking.items():
        records.setdefault(run[0], []).extend(looking.attended)
        for where, made in found.trials.get(run, {}).items():
            trials.setdefault(run[0], {}).setdefault(where, []).extend(made)
    figures = attention_figures(found.frame, records, trials) | case_sheets(found.looking)
    return [*first, summary, *write_figures(folder, figures)]
