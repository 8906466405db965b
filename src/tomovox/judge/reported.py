"""Which figures of papers are the same number as ours, and how do they join a table?

A reported figure is a line below its model, as a control is, named `reported`, or `reported, not
verified`. It is compared with nothing: no interval, difference or p-value, and none of ours changes
beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tomovox.judge.cells import OF_PAPERS, REPORTED, UNVERIFIED, where
from tomovox.judge.published import Figure, reported_rows
from tomovox.judge.tables import COLUMNS
from tomovox.schema import NONE, Task, TomovoxError

if TYPE_CHECKING:
    import pandas

ENCODER = "encoder:roberta-large|layer:17|"
"""What M3D-Bench computes BERTScore with, as our signature names it (M3D, section on M3D-Bench)."""

SAME_DATA = "Two numbers can be compared only where both come from the data and split of the paper."
BESIDE = (
    "reported: the figure of a paper in the same protocol, in no statistics; not verified: from "
    f"memory, neither read in the paper nor confirmed by another. {SAME_DATA}"
)


def systems_of(
    frame: pandas.DataFrame, names: Collection[str], given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the system of each model of a long table that has one, by the names of the models.

    It is the one of `names` that the model is called, without the experiment that stands before it
    (a/m3d_lamed), unless `given` says another. Raises TomovoxError when `given` has a model that no
    row has, or a system that is not one of `names`.
    """
    there, given = set(where(frame, control=NONE)["model"]), given or {}
    for model, system in given.items():
        if system not in names:
            known = ", ".join(sorted(names))
            raise TomovoxError(f"row {model}: system {system!r} is not known; known: {known}")
        if model not in there:
            rows = ", ".join(sorted(there))
            raise TomovoxError(f"system {system}: no row {model!r} in this table; it has {rows}")
    called = {model: given.get(model, model.rpartition("/")[2]) for model in sorted(there)}
    return {model: system for model, system in called.items() if system in names}


def same_numbers(
    frame: pandas.DataFrame, figures: Sequence[Figure]
) -> Iterator[tuple[dict[str, Any], Figure]]:
    """Yield every row of a long table (judge.tables) with each figure that is the same number.

    Task, question type, metric and protocol are the same, of any system. A recall depends on how
    many there are to find among: it meets a figure of as many records only; and a BERTScore only
    one of its encoder, so ours must be that of ENCODER. Controls meet none.
    """
    for row in where(frame, control=NONE).to_dict("records"):
        for figure in reported_rows(Task(row["task"]), row["protocol"], figures):
            if _meet(row, figure):
                yield row, figure


def _meet(row: Mapping[str, Any], figure: Figure) -> bool:
    """Return whether a row and a figure of one task and protocol are the same number."""
    if any(row[name] != getattr(figure, name) for name in ("question_type", "metric")):
        return False
    if figure.task == Task.RETRIEVAL:
        return figure.n == row["n"]
    return figure.metric != "bertscore_f1" or ENCODER in row["signature"]


def with_reported(
    frame: pandas.DataFrame,
    figures: Sequence[Figure],
    systems: Mapping[str, str] | None = None,
) -> pandas.DataFrame:
    """Return a long table, compared or not, with the reported figures of its models as rows.

    They are those that `same_numbers` finds for the system of a row's model (see `systems_of`):
    `control` is REPORTED or UNVERIFIED, `seed` is missing, `n` too where the paper does not say it,
    and the signature tells the source. A place has one figure: of several splits that of as many
    records as ours, else that of the most. Raises TomovoxError as `systems_of` does.
    """
    import pandas

    mapped = systems_of(frame, {figure.system for figure in figures}, systems)
    found: dict[tuple[str, ...], list[tuple[bool, int, Figure]]] = {}
    for row, figure in same_numbers(frame, figures):
        if mapped.get(row["model"]) == figure.system:
            kind = (figure.task, figure.question_type, figure.metric, figure.protocol)
            place = (*kind, row["model"])
            split = (figure.n == row["n"], figure.n or 0, figure)
            found.setdefault(place, []).append(split)
    if not found:
        return frame
    chosen = [(key[-1], max(splits, key=lambda s: s[:2])[2]) for key, splits in found.items()]
    added = pandas.DataFrame([_row(*one) for one in chosen]).reindex(columns=frame.columns)
    if "best" in frame:
        added["best"] = False
    ours = frame.astype({"n": "Int64"})
    both = pandas.concat([ours, added.astype(ours.dtypes)])
    order = list(COLUMNS[: COLUMNS.index("value")])
    return both.sort_values(order, kind="stable", ignore_index=True)


def _row(model: str, figure: Figure) -> dict[str, Any]:
    """Return a figure as a row of the long table, without what a comparison adds."""
    verified = "verified" if figure.verified else "not verified"
    return {
        "task": str(figure.task),
        "question_type": figure.question_type,
        "metric": figure.metric,
        "protocol": figure.protocol,
        "model": model,
        "control": REPORTED if figure.verified else UNVERIFIED,
        "value": figure.value,
        "n": figure.n,
        "signature": f"reported: {figure.source}; {verified}; {figure.note}",
        "note": "",
    }


def reported_notes(frame: pandas.DataFrame) -> list[str]:
    """Return what a reader must know of a table with reported figures; nothing without any."""
    return [BESIDE] if frame["control"].isin(OF_PAPERS).any() else []
