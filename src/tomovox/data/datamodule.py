"""Which studies train, validate and test a model of M3D-Data, and in which batches?

The same module serves every model of a comparison. Letters: u studies of a batch, b questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Subset

from tomovox.data.asked import ASKED_BY_DEFAULT, FROM_MASKS, check_root, check_settings
from tomovox.data.dataset import (
    OnBadVolume,
    StudyDataset,
    StudyItem,
    collate_studies,
    move_batch,
)
from tomovox.data.permuted import in_every_order
from tomovox.data.prompts import Template
from tomovox.data.question_templates import read_templates
from tomovox.data.records import read_records
from tomovox.data.root_layout import has_split
from tomovox.data.sampling import StudySampler
from tomovox.data.series import SeriesFacts, series_facts, with_case_series, with_own_series
from tomovox.data.tokenizer import build_word_tokenizer
from tomovox.data.training_loader import TrainingLoader
from tomovox.schema import NONE, Batch, Record, Task, TomovoxError, Vocabulary


class M3DDataModule(LightningDataModule):
    """M3D-Data as studies with their questions, and the masks that some of these ask for.

    Args:
        root: data root, the folder that holds M3D_Cap_npy, M3D-VQA, M3D_Seg_npy, M3D_RefSeg_npy.
        template: makes the prompts. Without a tokenizer it gets a word tokenizer, built from the
            texts of all training records of `tasks` (whatever `limit` is): predict with the same
            tasks, or name the saved tokenizer.
        tasks: what is asked: vqa_closed, vqa_open, report, case_report, rec, reg, seg_semantic,
            seg_referring.
        mix: weight of each task in training, 1 where absent: how many of the questions drawn from
            a study are of it, and how often studies that have it are visited.
        train_split: split to train on.
        val_split: split of the validation loss.
        test_split: split to predict.
        splits: split to predict of single tasks, where it is not `test_split`.
        batch_size: studies of a training or validation batch.
        questions_per_study: most questions drawn per study and training step.
        shuffle_choices: permute the choices of closed questions in training.
        limit: use only what is asked about the first series of each split.
        num_workers: processes that read volumes.
        seed: of order, draws, shuffled choices and augmentation.
        prompts: JSON file of question and answer templates in place of ours; see
            `question_templates.read_templates`.
        augment: turn, flip and rescale training volumes as published. Off, because turns and flips
            falsify the plane, and left and right, that questions and reports name.
        on_bad_volume: 'raise' on an unreadable volume, or 'list': check all volumes in setup and
            leave out the questions of the bad ones; nothing is put in their place (`left_out`).
        permutations: how often a closed question is predicted again with its choices moved: 3 times
            is every cyclic order, which consistency is measured over, 0 never.
        choice_likelihood: predict, beside what is said, the log-likelihood of each choice.
        series: 'own' shows the one series that a row of the data names, as published, 'case' all
            series that the split has of its case, that one first. `case_report` has all by itself.
        tell_series: tell the model plane, phase and kernel of each series where the data say them.
            Questions (VQA) are never told: they ask for plane and phase.
    """

    def __init__(
        self,
        root: str,
        template: Template,
        tasks: Sequence[str] = ASKED_BY_DEFAULT,
        mix: dict[str, float] | None = None,
        train_split: str = "train",
        val_split: str = "val",
        test_split: str = "test",
        splits: dict[str, str] | None = None,
        batch_size: int = 8,
        questions_per_study: int = 6,
        shuffle_choices: bool = False,
        limit: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
        prompts: str | None = None,
        augment: bool = False,
        on_bad_volume: OnBadVolume = "raise",
        permutations: int = 0,
        choice_likelihood: bool = False,
        series: Literal["own", "case"] = "own",
        tell_series: bool = False,
    ) -> None:
        super().__init__()
        self.root = Path(root)
        self.template = template
        self.tasks = tuple(tasks)
        self.mix = dict(mix or {})
        self.train_split, self.val_split, self.test_split = train_split, val_split, test_split
        self.splits = dict(splits or {})
        self.batch_size = batch_size
        self.questions_per_study = questions_per_study
        self.shuffle_choices = shuffle_choices
        self.limit = limit
        self.num_workers = num_workers
        self.seed = seed
        self.prompts = None if prompts is None else Path(prompts)
        self.augment = augment
        self.on_bad_volume: OnBadVolume = on_bad_volume
        self.permutations = permutations
        self.choice_likelihood = choice_likelihood
        self.series, self.tell_series = series, tell_series
        self.control = NONE
        self._datasets: dict[str, StudyDataset] = {}
        self._skipped: frozenset[str] = frozenset()
        self._training: list[Record] | None = None
        check_settings(vars(self))

    def setup(self, stage: str | None = None) -> None:
        """Read the records that a stage needs and give the template its tokenizer.

        Raises TomovoxError when the root is missing or any record is malformed.
        """
        check_root(self.root)
        self.vocabulary()
        needed = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}
        needed["predict"] = needed["test"]
        for name in needed[stage] if stage else ("train", "val", "test"):
            if name not in self._datasets and (name != "val" or self._validates):
                self._datasets[name] = self._dataset(name)

    @property
    def left_out(self) -> list[tuple[str, str, str]]:
        """(Split, record id, reason) of every question that 'list' dropped from what is set up.

        The split is the use: train, val or test, whatever the settings name its records.
        """
        return [
            (name, record, reason)
            for name, dataset in self._datasets.items()
            for record, reason in dataset.left_out
        ]

    @property
    def checked_splits(self) -> tuple[str, ...]:
        """The splits of train, val and test that are set up."""
        return tuple(self._datasets)

    def vocabulary(self) -> Vocabulary:
        """Return the vocabulary of the template, whose tokenizer is built first if it has none."""
        if not self.template.has_tokenizer:
            self.template.use_tokenizer(build_word_tokenizer(self.train_texts()))
        return self.template.vocabulary()

    def skip(self, ids: Iterable[str]) -> None:
        """Leave out of prediction the studies whose questions are all among `ids`: answered."""
        self._skipped = frozenset(ids)

    def tamper(self, control: str) -> None:
        """Predict with the volumes that a control shows (see `controls`), after the next setup.

        Every closed question is then asked in its own order only, and no choice is scored.
        """
        self.control, self.permutations, self.choice_likelihood = control, 0, False
        self._datasets.pop("test", None)

    def predict_studies(self) -> Sequence[list[Record]]:
        """Return the questions of every study to predict, skipped or not, a list per study."""
        return self._ready("test").studies

    def predict_item(self, place: int) -> StudyItem:
        """Return one of `predict_studies`, its series read, by its place."""
        return self._ready("test")[place]

    def train_texts(self) -> Iterator[str]:
        """Yield context, question and reference of every training record, limit or not."""
        for record in self.train_records():
            yield from (record.context, record.question, record.reference)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return shuffled batches with drawn questions and labels; the last short one is dropped.

        Raises TomovoxError when there are fewer studies than one batch needs.
        """
        dataset = self._ready("train")
        if len(dataset) < self.batch_size:
            raise TomovoxError(
                f"{self.root}: {len(dataset)} studies to train on are fewer than batch_size "
                f"{self.batch_size}; lower batch_size"
            )
        sampler = StudySampler(len(dataset), self.seed, weights=dataset.weights)
        options = self._options(train=True) | {"drop_last": True}
        return TrainingLoader(dataset, sampler, **options)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Return batches with labels: every question of every validation study, in file order.

        No loader when no task has a validation split: M3D-Seg, M3D-RefSeg and CT-RATE have none.
        """
        return self._loader(self._ready("val"), train=True) if self._validates else []

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return one study a batch with all its questions, left-padded to generate from."""
        dataset = self._ready("test")
        pending = [
            row
            for row, study in enumerate(dataset.studies)
            if any(record.id not in self._skipped for record in study)
        ]
        return self._loader(Subset(dataset, pending), train=False, batch_size=1)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Return the batch on `device`; Lightning's own way refuses frozen records."""
        return move_batch(batch, device)

    @property
    def _validates(self) -> bool:
        asked = not set(self.tasks) <= set(FROM_MASKS)
        return asked and has_split(self.root, self.val_split)

    def _dataset(self, name: str) -> StudyDataset:
        if name == "train":
            records, self._training = self.train_records(), None  # the data set holds them packed
            return StudyDataset(
                self.root,
                records,
                questions_per_study=self.questions_per_study,
                mix=self.mix,
                shuffle_choices=self.shuffle_choices,
                augmented=self.augment,
                limit=self.limit,
                on_bad_volume=self.on_bad_volume,
                facts=self._facts(records),
            )
        if name == "val":
            records = self._records({t: self.val_split for t in self.tasks if t not in FROM_MASKS})
        else:
            records = self._records({t: self.splits.get(t, self.test_split) for t in self.tasks})
            records = in_every_order(records) if self.permutations else records
        return StudyDataset(
            self.root,
            records,
            limit=self.limit,
            on_bad_volume=self.on_bad_volume,
            control=self.control if name == "test" else NONE,
            facts=self._facts(records),
        )

    def _facts(self, records: Sequence[Record]) -> dict[str, SeriesFacts] | None:
        if not self.tell_series:
            return None
        return series_facts(self.root, {volume for r in records for volume in r.volumes})

    def train_records(self) -> list[Record]:
        """Return the records of the training split, limit or not."""
        if self._training is None:
            self._training = self._records({task: self.train_split for task in self.tasks})
        return self._training

    def _records(self, splits: dict[str, str]) -> list[Record]:
        templates = None if self.prompts is None else read_templates(self.prompts)
        return [
            self.template.adapt(record)
            for task, split in splits.items()
            for record in self._of_series(
                read_records(self.root, Task(task), split, templates=templates), split
            )
        ]

    def _of_series(self, records: list[Record], split: str) -> list[Record]:
        if self.series == "case":
            return with_case_series(self.root, records, split)
        return with_own_series(records)

    def _ready(self, name: str) -> StudyDataset:
        if name not in self._datasets:
            raise TomovoxError(f"the {name} data is not set up; call setup first")
        return self._datasets[name]

    def _loader(
        self, dataset: Dataset[Any], train: bool, batch_size: int | None = None
    ) -> DataLoader[Batch]:
        return DataLoader(dataset, **self._options(train, batch_size))

    def _options(self, train: bool, batch_size: int | None = None) -> dict[str, Any]:
        return {
            "batch_size": batch_size or self.batch_size,
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "pin_memory": False,
            "collate_fn": partial(collate_studies, template=self.template, train=train),
        }
