"""Which volume and which of its questions make one item, and how do items become a batch?

A study is read once for all its questions. Letters: u studies, s series, b questions, k drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.data import Dataset

from tomovox.data.controls import OTHER_PATIENT, other_patients, tampered
from tomovox.data.packed_studies import PackedStudies
from tomovox.data.prompts import Template
from tomovox.data.published_files import choices_text
from tomovox.data.series import SeriesFacts, is_told
from tomovox.data.volumes import augment, read_target, read_volume, read_volumes
from tomovox.schema import LETTERS, NONE, Batch, Questions, Record, Studies, Task, TomovoxError

OnBadVolume = Literal["raise", "list"]
DRAWN = frozenset({Task.SEG_SEMANTIC, Task.SEG_REFERRING})
"""The tasks whose records are answered by a mask."""


@dataclass(slots=True)
class StudyItem:
    """The series of one study and what is asked about it; targets by the place of their record.

    `told` says what a model may know of each series; where it is empty, nothing.
    """

    voxels: list[Float[Tensor, "1 _D _H _W"]]
    records: list[Record]
    masks: dict[int, Bool[Tensor, "1 _D _H _W"]] = field(default_factory=dict)
    told: tuple[SeriesFacts, ...] = ()


class StudyDataset(Dataset[StudyItem]):
    """Studies of a split, one item each.

    Records with the same `volumes` form a study; studies stand in order of first appearance,
    questions in record order. Where `facts` are told, questions that must not hear them are another
    study than those that may. An index `row` gives all questions of a study as they are; an index
    `(row, seed)` draws from them for training, the same way for the same seed.

    Args:
        root: data root.
        records: what is asked.
        questions_per_study: most questions that a draw takes; None takes all.
        mix: weight of each task, 1 where absent: in a draw, shared evenly by its questions, and in
            how often a study is visited (`weights`).
        shuffle_choices: a draw permutes the choices of closed questions.
        augmented: a draw turns, flips and rescales the volume (see `volumes.augment`).
        limit: keep what is asked about the first series only, see `about_first`.
        on_bad_volume: 'raise' when an unreadable volume is asked for; 'list' reads every volume
            now and leaves out, in `left_out`, the questions of those that cannot be read.
        control: what is shown in place of the volumes of whole studies (see `controls`); a draw
            shows the volumes themselves.
        facts: what is known of each series, told to the records that `series.is_told` allows.

    Raises TomovoxError when no study is left.
    """

    def __init__(
        self,
        root: Path | str,
        records: Sequence[Record],
        questions_per_study: int | None = None,
        mix: Mapping[str, float] | None = None,
        shuffle_choices: bool = False,
        augmented: bool = False,
        limit: int | None = None,
        on_bad_volume: OnBadVolume = "raise",
        control: str = NONE,
        facts: Mapping[str, SeriesFacts] | None = None,
    ) -> None:
        self.root = Path(root)
        self.questions_per_study = questions_per_study
        self.mix = dict(mix or {})
        self.shuffle_choices = shuffle_choices
        self.augmented = augmented
        self.facts = facts
        studies = group_by_study(about_first(records, limit), apart=facts is not None)
        self.left_out: list[tuple[str, str]] = []
        if on_bad_volume == "list":
            studies, self.left_out = without_unreadable(self.root, studies)
        if not studies:
            reason = f"; {self.left_out[0][1]}" if self.left_out else ""
            raise TomovoxError(f"{self.root}: no study with a readable volume is left{reason}")
        self.studies = PackedStudies(studies)
        self.control = control
        self.others = other_patients(studies) if control == OTHER_PATIENT else []

    def __len__(self) -> int:
        """Number of studies."""
        return len(self.studies)

    @property
    def weights(self) -> list[float]:
        """How often each study is visited, relative to the others: mean weight of its tasks.

        Studies of the same volumes, apart for what they are told, share the visits of one.
        """
        asked = [(study[0].volumes, {record.task for record in study}) for study in self.studies]
        of_volumes: dict[tuple[str, ...], set[Task]] = {}
        for volumes, tasks in asked:
            of_volumes.setdefault(volumes, set()).update(tasks)
        return [
            sum(self.mix.get(task, 1.0) for task in tasks) / len(of_volumes[volumes])
            for volumes, tasks in asked
        ]

    def __getitem__(self, index: int | tuple[int, int]) -> StudyItem:
        """Return a study with all its questions, or with those that (row, seed) draws."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int | tuple[int, int]]) -> list[StudyItem]:
        """Return the studies of a batch, whose volumes are read at once (see `read_volumes`)."""
        drawn = [index if isinstance(index, tuple) else (index, None) for index in indices]
        studies = [self.studies[row] for row, _ in drawn]
        read = self._volumes([study[0] for study in studies])
        return [
            self._item(row, seed, study, voxels)
            for (row, seed), study, voxels in zip(drawn, studies, read, strict=True)
        ]

    def _item(
        self, row: int, seed: int | None, records: list[Record], voxels: list[Tensor]
    ) -> StudyItem:
        if seed is None:
            masks = self._masks(records, voxels[0])
            paths = records[0].volumes
            if self.control == OTHER_PATIENT:
                other = self.studies[self.others[row]][0]
                paths, (shown,) = other.volumes, self._volumes([other])
            else:
                shown = [tampered(v, self.control, p) for v, p in zip(voxels, paths, strict=True)]
            return StudyItem(shown, records, masks, self._told(records[0], paths))
        random = np.random.default_rng(seed)
        drawn = self._draw(records, random)
        if self.augmented:
            generator = torch.Generator().manual_seed(int(random.integers(2**63)))
            voxels = [augment(volume, generator) for volume in voxels]
        told = self._told(records[0], records[0].volumes)
        return StudyItem(voxels, drawn, self._masks(drawn, voxels[0]), told)

    def _volumes(self, asked: Sequence[Record]) -> list[list[Tensor]]:
        """Return the series of the study of each record."""
        wanted = [(name, first.id) for first in asked for name in first.volumes]
        read = iter(read_volumes(self.root, wanted))
        return [list(itertools.islice(read, len(first.volumes))) for first in asked]

    def _told(self, record: Record, shown: Sequence[str]) -> tuple[SeriesFacts, ...]:
        """Return what the records of a study, of which this is one, may know of what is shown."""
        if self.facts is None or not is_told(record):
            return ()
        return tuple(self.facts[volume] for volume in shown)

    def _masks(self, records: Sequence[Record], volume: Tensor) -> dict[int, Tensor]:
        """Return the targets of the records that ask to draw, by their place."""
        return {
            place: torch.from_numpy(
                read_target(self.root, r.mask, r.mask_label, tuple(volume.shape), r.id)
            )
            for place, r in enumerate(records)
            if r.task in DRAWN
        }

    def _draw(self, records: Sequence[Record], random: np.random.Generator) -> list[Record]:
        """Return up to k of the records, drawn without replacement, in record order."""
        k = min(self.questions_per_study or len(records), len(records))
        tasks = [record.task for record in records]
        weights = np.array([self.mix.get(task, 1.0) / tasks.count(task) for task in tasks])
        chosen = random.choice(len(records), k, replace=False, p=weights / weights.sum())
        drawn = [records[place] for place in sorted(chosen)]
        if self.shuffle_choices:
            drawn = [
                permute_choices(r, random.permutation(len(r.choices)).tolist())
                if r.task == Task.VQA_CLOSED
                else r
                for r in drawn
            ]
        return drawn


def without_unreadable(
    root: Path, studies: Sequence[list[Record]]
) -> tuple[list[list[Record]], list[tuple[str, str]]]:
    """Read every volume; return the studies whose series can all be read, and what is left out.

    That is (record id, reason) of each question of the other studies.
    """
    kept, left_out = [], []
    for study in studies:
        try:
            for name in study[0].volumes:
                read_volume(root, name, study[0].id)
        except TomovoxError as error:
            left_out += [(record.id, str(error)) for record in study]
        else:
            kept.append(study)
    return kept, left_out


def about_first(records: Sequence[Record], limit: int | None) -> list[Record]:
    """Return the records about the first `limit` series that are asked about; None keeps all.

    They are the same whether the other series of a case are shown too, or what they are is told.
    """
    first = dict.fromkeys(record.volumes[:1] for record in records)
    kept = set(itertools.islice(first, limit))
    return [record for record in records if record.volumes[:1] in kept]


def group_by_study(records: Sequence[Record], apart: bool = False) -> list[list[Record]]:
    """Return the records of each study; studies in order of first appearance.

    With `apart` the records that may be told of the series are another study than the rest.
    """
    studies: dict[tuple[tuple[str, ...], bool], list[Record]] = {}
    for record in records:
        studies.setdefault((record.volumes, apart and is_told(record)), []).append(record)
    return list(studies.values())


def permute_choices(record: Record, order: Sequence[int]) -> Record:
    """Return a closed question whose new choice i is the old choice order[i].

    The letter of the reference follows its content, and the question lists the new choices.
    """
    choices = tuple(record.choices[old] for old in order)
    letter, answer = record.reference[0], record.reference[1:]
    stem = record.question.removesuffix(choices_text(record.choices))
    return replace(
        record,
        question=stem + choices_text(choices),
        choices=choices,
        reference=LETTERS[list(order).index(LETTERS.index(letter))] + answer,
    )


def collate_studies(items: Sequence[StudyItem], template: Template, train: bool) -> Batch:
    """Return the batch of some studies: labels and right padding to train, prompts to generate.

    Plane, phase and kernel of a series are empty strings unless its item tells them: file names of
    M3D-Cap hold plane and phase, the answers to question types 1 and 2.
    """
    studies = studies_of(items)
    rows = [row for row, item in enumerate(items) for _ in item.records]
    records = [record for item in items for record in item.records]
    questions, ids, mask, labels = template.collate(records, rows, train)
    first = [0, *itertools.accumulate(len(item.records) for item in items)]
    targets = [(first[i] + k, m) for i, item in enumerate(items) for k, m in item.masks.items()]
    masks = torch.stack([m for _, m in targets]) if targets else None
    mask_rows = torch.tensor([row for row, _ in targets]) if targets else None
    return Batch(studies, questions, ids, mask, labels, records, masks, mask_rows)


def studies_of(items: Sequence[StudyItem]) -> Studies:
    """Return the series of some studies, with what their items tell of them."""
    voxels = [volume for item in items for volume in item.voxels]
    series = [row for row, item in enumerate(items) for _ in item.voxels]
    told = [facts for item in items for facts in item.told or [SeriesFacts()] * len(item.voxels)]
    return Studies(
        voxels,
        torch.tensor(series, dtype=torch.long),
        plane=[facts.plane for facts in told],
        phase=[facts.phase for facts in told],
        kernel=[facts.kernel for facts in told],
    )


def move_batch(batch: Batch, device: torch.device) -> Batch:
    """Return the batch with its tensors on `device`; texts and records are the same objects."""

    def move(tensor: Tensor) -> Tensor:
        return tensor.to(device, non_blocking=True)

    studies = replace(
        batch.studies,
        voxels=[move(volume) for volume in batch.studies.voxels],
        study=move(batch.studies.study),
    )
    asked = batch.questions
    questions = Questions(asked.text, move(asked.ids), move(asked.mask), move(asked.study))
    return Batch(
        studies=studies,
        questions=questions,
        input_ids=move(batch.input_ids),
        attention_mask=move(batch.attention_mask),
        labels=None if batch.labels is None else move(batch.labels),
        records=batch.records,
        masks=None if batch.masks is None else move(batch.masks),
        mask_rows=None if batch.mask_rows is None else move(batch.mask_rows),
    )
