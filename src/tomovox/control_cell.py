"""How is the model of a row asked about volumes that were tampered with? Its weights, other voxels.

Every control has a folder below the row's, and one whose predictions exist is not made again.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tomovox.cell import Cell, load_model, load_run
from tomovox.predict import answer_all
from tomovox.retrieval_cell import embed_pairs, load_pairs
from tomovox.schema import CONTROLS_FOLDER, PREDICTIONS


def control_folder(row: Path, control: str) -> Path:
    """Return where the RUN folder `row` keeps what was said under a control."""
    return row / CONTROLS_FOLDER / control


def controls_of(cell: Cell, asked: Sequence[str]) -> tuple[str, ...]:
    """Return which of the controls that an experiment asks for a row can have: all or none."""
    return () if cell.floor or _why_none(cell) else tuple(dict.fromkeys(asked))


def missing_controls(cell: Cell) -> list[str]:
    """Return the controls of a row that are not predicted yet."""
    return [
        c for c in cell.controls if not (control_folder(cell.folder, c) / PREDICTIONS).is_file()
    ]


def make_controls(cell: Cell) -> None:
    """Answer every record under each missing control; the row's weights are read once.

    A closed question is asked in its own order of choices only, and no choice is scored. A dual
    encoder embeds its pairs.
    """
    if cell.retrieval:
        _embed_controls(cell)
        return
    model, data = load_run(cell.folder)
    arguments = {**cell.config.get("trainer", {}), "enable_progress_bar": not cell.quiet}
    for control in missing_controls(cell):
        data.tamper(control)
        folder = control_folder(cell.folder, control)
        again, name = partial(load_model, cell.folder), f"{cell.name} {control}"
        answer_all(folder, model, data, arguments, name, again, cell.answering)


def _embed_controls(cell: Cell) -> None:
    encoder, pairs = load_pairs(cell)
    for control in missing_controls(cell):
        pairs.tamper(control)
        embed_pairs(control_folder(cell.folder, control), f"{cell.name} {control}", encoder, pairs)


def control_notes(cells: Sequence[Cell], asked: Sequence[str]) -> list[str]:
    """Return what a reader must know of the controls, and which models have none and why."""
    if not asked:
        return []
    notes = [
        f"controls ({', '.join(asked)}): the row's own weights, without copies of closed questions "
        f"in other orders and without likelihoods of choices"
    ]
    if "no_image" in asked:
        notes.append("no_image is an empty volume; a model trained blind is the stricter floor")
    if any(cell.retrieval for cell in cells):
        notes.append("under a control of retrieval every volume of the gallery is tampered with")
    none = [(c.name, _why_none(c)) for c in cells if not c.floor]
    return notes + [f"{name}: no controls, {reason}" for name, reason in none if reason]


def _why_none(cell: Cell) -> str:
    """Return why a model has no controls; "" when it has them."""
    if cell.retrieval:
        return ""
    return "" if getattr(cell.model_class, "encoders", ()) else "it has no encoder of volumes"
