"""How do the reports of a run get their labels? From a table, from a labeller, and from scorers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tomovox.judge.clinical import (
    LABELS,
    Labelled,
    LabelledAnswer,
    answer_key,
    one_labelling,
    read_labelled,
    write_labelled,
)
from tomovox.metrics.clinical_columns import CLINICAL, of_labels, without
from tomovox.metrics.label_files import LabelTable, read_label_files
from tomovox.metrics.labellers import Labeller, find_labeller
from tomovox.metrics.metric import Metric
from tomovox.metrics.outside import SCORERS, outside_values
from tomovox.metrics.resources import Unavailable
from tomovox.schema import PREDICTIONS, Prediction, TomovoxError, read_predictions

REFERENCES = "references"
"""In place of a table of labels: the labeller reads the references too."""


TABLES = ("multi_abnormality_labels/*.csv", "dataset/multi_abnormality_labels/*.csv")
"""Where CT-RATE has its tables of labels, below a data root."""

Pair = tuple[frozenset[str], frozenset[str]]
"""The labels of an answer and of its reference."""


@dataclass(frozen=True)
class Labelling:
    """How the findings of reports are compared.

    `labels` is a table with those of the references, or `references`: the labeller reads these too;
    by default the tables that the data have. The `labeller`, a name or the path of a class, reads
    the answers. `scorers` are metrics of other packages (metrics.outside.SCORERS).
    """

    labels: str | None = None
    labeller: str = "rule"
    scorers: list[str] = field(default_factory=list)

    def checked(self, folder: Path) -> Labelling:
        """Return the same with a table that is named relative to a folder; raises as `check`."""
        is_table = self.labels not in (None, REFERENCES)
        found = replace(self, labels=str(folder / str(self.labels))) if is_table else self
        found.check()
        return found

    def check(self) -> None:
        """Raise TomovoxError for a labeller, scorer or table that there is not."""
        find_labeller(self.labeller)
        if unknown := [name for name in self.scorers if name not in SCORERS]:
            raise TomovoxError(f"scorer {unknown[0]!r} is not known; known: {', '.join(SCORERS)}")
        self.table(None)

    def table(self, root: Path | None) -> LabelTable | None:
        """Return the labels of the references; None where there is no table."""
        if self.labels == REFERENCES:
            return None
        paths = [Path(self.labels)] if self.labels else label_files(root) if root else []
        return read_label_files(paths) if paths else None


def label_files(root: Path) -> list[Path]:
    """Return the tables of labels that a data root holds; none for data without labels."""
    return next((found for place in TABLES if (found := sorted(root.glob(place)))), [])


def label_runs(folders: Iterable[Path], how: Labelling, root: Path | None = None) -> list[Path]:
    """Write clinical.json into every RUN folder that has reports; nothing where nothing is asked.

    Returns the folders that it wrote into. `root` is the data root of the runs. What cannot run
    here is noted in the file, and tables print why. Raises TomovoxError as `labelled` and as
    `Labelling.check`.
    """
    how.check()
    table = how.table(root)
    if table is None and how.labels is None and not how.scorers:
        return []
    written = []
    for folder in folders:
        predictions = [p for p in read_predictions(folder / PREDICTIONS) if p.task in CLINICAL]
        if predictions:
            found = labelled(predictions, how, table).after(read_labelled(folder))
            write_labelled(folder, found)
            written.append(folder)
    return written


def labelled_alike(folders: Iterable[Path]) -> Callable[[Sequence[Prediction]], list[Metric]]:
    """Return what makes the metrics of labels of other answers to the records of some runs.

    The references keep their labels, the labeller is that of the runs; no metrics without labels,
    and none with a value where the labeller cannot run here. Raises as `one_labelling`.
    """
    there = {str(folder): mine for folder in folders if (mine := read_labelled(folder))}
    one_labelling(there)
    kept = [mine for mine in there.values() if mine.labels and LABELS not in mine.unavailable]
    if not kept:
        return lambda answers: []
    first = kept[0]
    try:
        labeller = find_labeller(first.asked)()
    except Unavailable as reason:
        unmade = without(of_labels({}, first.labels, first.told), str(reason))
        return lambda answers: unmade
    wanted = {record: one.wanted for mine in kept for record, one in mine.answers.items()}

    def metrics(answers: Sequence[Prediction]) -> list[Metric]:
        mine = [answer for answer in answers if answer.id in wanted]
        said = labeller([answer.text for answer in mine])
        pairs = {one.id: (s, wanted[one.id]) for one, s in zip(mine, said, strict=True)}
        return of_labels(pairs, first.labels, first.told)

    return metrics


def labelled(
    predictions: Sequence[Prediction], how: Labelling, table: LabelTable | None = None
) -> Labelled:
    """Return the labels of reports and their references, and what scorers say of them.

    Raises TomovoxError for a record, and for a labeller, that a table which was asked for does not
    fit; of one that the data just have, the reason stands in place of values.
    """
    kind = find_labeller(how.labeller)
    unavailable: dict[str, str] = {}
    names: tuple[str, ...] = ()
    pairs: list[Pair] = [(frozenset(), frozenset())] * len(predictions)
    if table is not None or how.labels == REFERENCES:
        names = kind.labels if table is None else table.names
        try:
            wanted = None if table is None else _rows(predictions, table, kind)
            pairs = _pairs(predictions, kind(), wanted)
        except Unavailable as reason:
            unavailable[LABELS] = str(reason)
        except TomovoxError as fault:
            if how.labels is not None:
                raise
            unavailable[LABELS] = str(fault)
    values = {scorer: _values(scorer, predictions, unavailable) for scorer in how.scorers}
    answers = {}
    for place, (prediction, (said, right)) in enumerate(zip(predictions, pairs, strict=True)):
        answers[prediction.id] = LabelledAnswer(
            key=answer_key(prediction),
            said=tuple(label for label in names if label in said),
            wanted=tuple(label for label in names if label in right),
            values={scorer: found[place] for scorer, found in values.items() if found},
        )
    source = kind.name if table is None else table.source
    scorers = {scorer: SCORERS[scorer].details for scorer in how.scorers}
    return Labelled(names, kind.name, how.labeller, source, answers, scorers, unavailable)


def _pairs(
    predictions: Sequence[Prediction], labeller: Labeller, wanted: Sequence[frozenset[str]] | None
) -> list[Pair]:
    """Return the labels of each answer and of its reference, which is read too without `wanted`."""
    said = map(frozenset, labeller([p.text for p in predictions]))
    if wanted is None:
        wanted = [frozenset(found) for found in labeller([p.reference for p in predictions])]
    return list(zip(said, wanted, strict=True))


def _rows(predictions: Sequence[Prediction], table: LabelTable, kind: Any) -> list[frozenset[str]]:
    """Return the labels that a table gives each record.

    Raises TomovoxError where it gives one none, and for labels that the labeller does not know.
    """
    if unknown := sorted(set(table.names) - set(kind.labels)):
        raise TomovoxError(
            f"{table.source}: the labeller {kind.name} does not know {unknown[0]!r}; leave the "
            f"column out, or name another labeller"
        )
    found = {p.id: table.of(p.id) for p in predictions}
    if missing := [record for record, mine in found.items() if mine is None]:
        raise TomovoxError(
            f"{table.source}: no row for {missing[0]}, and for {len(missing) - 1} more of "
            f"{len(found)} records; give a table with a column id or VolumeName that names them"
        )
    return [mine for mine in found.values() if mine is not None]


def _values(
    scorer: str, predictions: Sequence[Prediction], unavailable: dict[str, str]
) -> list[float]:
    """Return the values of a scorer; none, and why in `unavailable`, where it does not run."""
    said, wanted = [p.text for p in predictions], [p.reference for p in predictions]
    try:
        return outside_values(scorer, said, wanted)
    except Unavailable as reason:
        unavailable[scorer] = str(reason)
        return []
