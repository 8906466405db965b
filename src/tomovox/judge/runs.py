"""Which runs does a place name? A place is an experiment's YAML, its folder, or one RUN folder."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tomovox.schema import CONTROLS_FOLDER, NONE, PREDICTIONS, TomovoxError

CONFIG = "config.yaml"
"""The file that every RUN folder has from its first step on."""


def folder_of(place: Path) -> Path:
    """Return the output folder of an experiment's YAML file; any other place is a folder."""
    return Path("runs") / place.stem if place.suffix in (".yaml", ".yml") else place


def experiment_of(place: Path) -> Path:
    """Return the experiment's folder of a place; of a RUN it is the folder around it."""
    folder = folder_of(place)
    return folder.absolute().parent if _is_row(folder) else folder


def rows_of(experiment: Path) -> list[Path]:
    """Return all RUN folders of an experiment's folder, those without predictions too."""
    return sorted(p for p in experiment.glob("*") if _is_row(p))


def find_runs(places: Iterable[Path]) -> list[Path]:
    """Return the RUN folders with predictions that the places name, each once, as full paths.

    Raises TomovoxError when a place names none.
    """
    runs: dict[Path, None] = {}
    for place in places:
        folder = folder_of(place).absolute()
        named = [folder] if _is_row(folder) else rows_of(folder)
        found = [run for run in named if _answered(run)]
        if not found:
            raise TomovoxError(
                f"{place}: no {PREDICTIONS} in {folder_of(place)} or below; run the experiment"
            )
        runs |= dict.fromkeys(found)
    return list(runs)


def run_names(runs: Sequence[Path]) -> list[str]:
    """Return the name of each run's row: its folder, of several experiments "experiment/folder".

    Experiments whose folders have one name are told apart by the folders around them.
    """
    names = experiment_names(runs)
    return [f"{names[r.parent]}/{r.name}" if len(names) > 1 else r.name for r in runs]


def experiment_names(runs: Sequence[Path]) -> dict[Path, str]:
    """Return the name of each experiment's folder that the runs lie in."""
    folders = list(dict.fromkeys(run.parent for run in runs))
    parts = 1
    while len({folder.parts[-parts:] for folder in folders}) < len(folders):
        parts += 1
    return {folder: "/".join(folder.parts[-parts:]) for folder in folders}


def answers_of(run: Path) -> dict[str, Path]:
    """Return the folders with a run's predictions: its own under "none", then its controls'."""
    found = sorted(p for p in (run / CONTROLS_FOLDER).glob("*") if _answered(p))
    return {NONE: run} | {folder.name: folder for folder in found}


def unanswered(experiment: Path, runs: Sequence[Path]) -> list[str] | None:
    """Return the rows of an experiment that have no predictions.

    None when `runs` do not hold every row that has them: then only some rows were asked for.
    """
    rows = rows_of(experiment)
    if {row for row in rows if _answered(row)} - set(runs):
        return None
    return [row.name for row in rows if not _answered(row)]


def _is_row(folder: Path) -> bool:
    return (folder / CONFIG).is_file() or _answered(folder)


def _answered(run: Path) -> bool:
    return (run / PREDICTIONS).is_file()
