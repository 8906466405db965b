"""What do the folders of runs tell of their rows, and of the data that these were asked about?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tomovox.cell import ABOVE
from tomovox.configuration import names_data_class, read_yaml
from tomovox.experiment import NOTES
from tomovox.judge.outcome import Extras
from tomovox.judge.runs import CONFIG, experiment_names
from tomovox.judge.tables import model_and_seed
from tomovox.schema import TomovoxError


def notes_of(runs: Sequence[Path]) -> list[str]:
    """Return what the experiments of the runs said of their rows."""
    notes: list[str] = []
    folders = experiment_names(runs)
    for folder, name in folders.items():
        kept = folder / NOTES
        lines = (
            kept.read_text(encoding="utf-8", errors="replace").splitlines()
            if kept.is_file()
            else []
        )
        notes += [f"{name}: {line}" for line in lines] if len(folders) > 1 else lines
    return notes


def extras_of(runs: Sequence[Path]) -> Extras:
    """Return what the tables of the runs' experiment show; nothing beside where there are several.

    Its reference is left out where no run of it is among these.
    """
    folders = list(experiment_names(runs))
    extras = Extras.kept(folders[0]) if len(folders) == 1 else Extras()
    there = {model_and_seed(run.name)[0] for run in runs}
    return extras if extras.reference in there else replace(extras, reference=None)


def data_keys(runs: Sequence[Path]) -> list[str]:
    """Return the digests of the data that the runs name in config.yaml."""
    configs = [read_yaml(run / CONFIG) for run in runs if (run / CONFIG).is_file()]
    return [str(config["data_key"]) for config in configs if config.get("data_key")]


def data_root(run: Path) -> Path | None:
    """Return the data root that a run names in config.yaml, there or not; None without one."""
    config = read_yaml(run / CONFIG) if (run / CONFIG).is_file() else {}
    data = config.get("data") or {}
    inside = data.get("init_args") or {} if names_data_class(config) else data
    root = inside.get("root") if isinstance(inside, dict) else ""
    if root is None:
        return None
    if not isinstance(root, str) or not root or not root.isprintable():
        raise TomovoxError(f"{run / CONFIG}: its data name no root; run the experiment again")
    return Path(root.replace(ABOVE, f"{run.absolute().parent}/"))
