"""What stands in one cell of a readable table, and in which order do the cells come?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tomovox.judge.score import ALL, MACRO
from tomovox.metrics.catalogue import METRICS, metric_key
from tomovox.schema import NONE, QUESTION_TYPES

if TYPE_CHECKING:
    import pandas

KINDS = (ALL, MACRO, *QUESTION_TYPES.values())
"""Question types in the order of tables; those of a user's own follow by name."""

Run = tuple[str, int | None, str]
"""Model, seed and control: whose answers a row of the table counts."""

Place = tuple[Run, str, str, str]
"""A cell's run, question type, metric and protocol."""

REPORTED, UNVERIFIED = "reported", "reported, not verified"
"""In place of a control: the line is what a paper reports of the model; it has no seed.

The figures of the second were neither read in the paper nor confirmed by another.
"""

OF_PAPERS = frozenset({REPORTED, UNVERIFIED})


def shown(cell: Any, metric: str, protocol: str, short: bool = False) -> str:
    """Return a value as it is read: 53.2%, 0.123 or rank 4.5; "n/a" where a run has no cell."""
    if cell is None:
        return "n/a"
    if cell["note"]:
        return "unavail." if short else str(cell["note"])
    unit = unit_of(metric, protocol)
    if unit == "percent":
        return f"{100 * cell['value']:.1f}%"
    if unit == "rank":
        return f"{cell['value']:.1f}"
    return f"{cell['value']:.3f}"


def unit_of(metric: str, protocol: str) -> str:
    """Return how a metric is printed; empty for a metric that is not known here."""
    known = METRICS.get(metric_key(metric, protocol))
    return known.unit if known is not None else ""


def cells_of(frame: pandas.DataFrame) -> dict[Place, Any]:
    """Return the rows of a long table by their places: a table may have thousands."""
    seeds = [
        None if unknown else int(seed)
        for seed, unknown in zip(frame["seed"].fillna(0), frame["seed"].isna(), strict=True)
    ]
    columns = (frame[name] for name in ("question_type", "metric", "protocol"))
    runs = zip(frame["model"], seeds, frame["control"], strict=True)
    return dict(zip(zip(runs, *columns, strict=True), frame.to_dict("records"), strict=True))


def where(frame: pandas.DataFrame, **wanted: str) -> pandas.DataFrame:
    """Return the rows whose columns hold the wanted values."""
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


def runs_of(frame: pandas.DataFrame) -> dict[Run, str]:
    """Return the runs in order, controls below their model, and the name of each one's line.

    What a paper reports of a model stands below all of its seeds.
    """
    unknown = -1  # a seed that the name of the run does not tell
    seeds = frame["seed"].fillna(unknown).astype(int)
    runs = zip(frame["model"], seeds, frame["control"], strict=True)
    ordered = sorted({(str(m), int(s), str(c)) for m, s, c in runs}, key=run_order)
    times = Counter(model for model, _, control in ordered if control == NONE)
    named: dict[Run, str] = {}
    for model, seed, control in ordered:
        label = f"{model} (seed {seed})" if times[model] > 1 and seed != unknown else model
        if control != NONE:
            label = f"{label}, {control}"
        named[model, None if seed == unknown else seed, control] = label
    return named


def run_order(run: Run) -> tuple[str, bool, int, bool, str]:
    """Return what sorts runs: controls below their model, what papers report below all seeds."""
    model, seed, control = run
    lowest = -1 if seed is None else seed
    return model, control in OF_PAPERS, lowest, control != NONE, control


def is_below(run: Run, runs: Iterable[Run]) -> bool:
    """Return whether a run's line belongs to one of `runs` above it.

    A control's does when its model has a row of the same seed, a reported one's when the model has
    any; what is reported of a system that has no row stands for itself.
    """
    model, seed, control = run
    seeds = {s for m, s, c in runs if m == model and c == NONE}
    return control != NONE and (bool(seeds) if control in OF_PAPERS else seed in seeds)


def lines_of(
    runs: Mapping[Run, str], cells: Mapping[Place, Any], columns: Iterable[tuple[str, str, str]]
) -> dict[Run, str]:
    """Return the runs that have a line in a table of these columns, and the names of the lines.

    That is every run, but a reported one only where it has a figure.
    """
    places = list(columns)
    return {
        run: label
        for run, label in runs.items()
        if run[2] not in OF_PAPERS or any((run, *place) in cells for place in places)
    }


def metrics_in(frame: pandas.DataFrame) -> list[tuple[str, str]]:
    """Return the (metric, protocol) that a table holds, the known ones first and in their order."""
    present = {(m, p) for m, p in zip(frame["metric"], frame["protocol"], strict=True)}
    known = [(metric.name, metric.protocol) for metric in METRICS.values()]
    return [pair for pair in known if pair in present] + sorted(present - set(known))


def headlines_in(frame: pandas.DataFrame) -> list[tuple[str, str]]:
    """Return the (metric, protocol) of a table that stand in short tables, in their order.

    They are the headline metrics, and those that are not known here.
    """
    return [
        pair
        for pair in metrics_in(frame)
        if (key := metric_key(*pair)) not in METRICS or METRICS[key].headline
    ]


def trivial_of(metric: str, protocol: str) -> str:
    """Return "trivial 0.333" of a metric that answers without any content have one value in."""
    known = METRICS.get(metric_key(metric, protocol))
    return "" if known is None or known.trivial is None else f"trivial {known.trivial:.3f}"


def beside_trivial(metric: str, protocol: str) -> str:
    """Return the name of a metric with its trivial value if it has one: "crg (trivial 0.333)"."""
    trivial = trivial_of(metric, protocol)
    return f"{metric} ({trivial})" if trivial else metric


def lower_is_better(metric: str, protocol: str) -> bool:
    """Return whether a smaller value is the better one; an unknown metric is better when larger."""
    known = METRICS.get(metric_key(metric, protocol))
    return known is not None and known.lower_is_better


def span(numbers: Iterable[Any]) -> str:
    """Return "n=200", or "n=3-10" where the numbers differ, without those that are not known."""
    import pandas

    known = [int(number) for number in numbers if not pandas.isna(number)]
    low, high = min(known), max(known)
    return f"n={low}" if low == high else f"n={low}-{high}"
