"""Which studies does a Z-former learn from before anything is asked? Their series, and no text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from tomovox.data.asked import check_least, check_root
from tomovox.data.dataset import OnBadVolume, StudyDataset, studies_of
from tomovox.data.records import read_records
from tomovox.data.sampling import StudySampler
from tomovox.data.series import series_facts, with_case_series
from tomovox.data.training_loader import TrainingLoader
from tomovox.schema import Record, Studies, Task, TomovoxError


class StudySeries(LightningDataModule):
    """The studies that reports are about, without the reports, to train on slices alone.

    Args:
        root: data root.
        train_split: split to train on.
        val_split: split of the validation loss.
        batch_size: studies of a batch, on each rank.
        series: 'own', the series of each report as published, or 'case', all of its case, the own
            one first.
        tell_series: tell the model plane, phase and kernel of each series.
        seed: of the order.
        num_workers: processes that read volumes.
        limit: use only the first studies of each split.
        on_bad_volume: as in `M3DDataModule`.
    """

    def __init__(
        self,
        root: str,
        train_split: str = "train",
        val_split: str = "val",
        batch_size: int = 8,
        series: Literal["own", "case"] = "own",
        tell_series: bool = False,
        seed: int = 0,
        num_workers: int = 0,
        limit: int | None = None,
        on_bad_volume: OnBadVolume = "raise",
    ) -> None:
        super().__init__()
        check_least(
            batch_size=(batch_size, 1),
            limit=(limit, 1),
            num_workers=(num_workers, 0),
            seed=(seed, 0),
        )
        self.root, self.splits = Path(root), {"train": train_split, "val": val_split}
        self.batch_size, self.seed, self.num_workers = batch_size, seed, num_workers
        self.series: Literal["own", "case"] = series
        self.tell_series, self.limit = tell_series, limit
        self.on_bad_volume: OnBadVolume = on_bad_volume
        self._datasets: dict[str, StudyDataset] = {}

    def setup(self, stage: str | None = None) -> None:
        """Read which studies there are; TomovoxError when any record is missing or malformed."""
        check_root(self.root)
        for name in ("val",) if stage == "validate" else ("train", "val"):
            if name not in self._datasets:
                self._datasets[name] = self._dataset(name)

    def _dataset(self, name: str) -> StudyDataset:
        records = studies_to_read(self.root, self.splits[name], self.series)
        volumes = {volume for record in records for volume in record.volumes}
        return StudyDataset(
            self.root,
            records,
            limit=self.limit,
            on_bad_volume=self.on_bad_volume,
            facts=series_facts(self.root, volumes) if self.tell_series else None,
        )

    @property
    def left_out(self) -> list[tuple[str, str, str]]:
        """(Split, record id, reason) of every study that 'list' dropped."""
        return [
            (name, record, reason)
            for name, dataset in self._datasets.items()
            for record, reason in dataset.left_out
        ]

    @property
    def checked_splits(self) -> tuple[str, ...]:
        """The splits of train and val that are set up."""
        return tuple(self._datasets)

    def train_dataloader(self) -> DataLoader[Studies]:
        """Return shuffled batches; the last short one is dropped, so all ranks hold equally many.

        Raises TomovoxError when the studies do not fill one batch of every rank.
        """
        dataset = self._ready("train")
        ranks = self.trainer.world_size if self.trainer else 1
        if len(dataset) < ranks * self.batch_size:
            raise TomovoxError(
                f"{self.root}: {len(dataset)} studies to train on are fewer than batch_size "
                f"{self.batch_size} times {ranks} processes; lower data.batch_size"
            )
        sampler = StudySampler(len(dataset), self.seed)
        return TrainingLoader(dataset, sampler, **self._options(), drop_last=True)

    def val_dataloader(self) -> DataLoader[Studies]:
        """Return the validation studies in file order."""
        dataset: Dataset[Any] = self._ready("val")
        return DataLoader(dataset, **self._options())

    def _ready(self, name: str) -> StudyDataset:
        if name not in self._datasets:
            raise TomovoxError(f"the {name} studies are not set up; call setup first")
        return self._datasets[name]

    def _options(self) -> dict[str, Any]:
        return {
            "batch_size": self.batch_size,
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "collate_fn": studies_of,
        }


def studies_to_read(root: Path, split: str, series: Literal["own", "case"]) -> Sequence[Record]:
    """Return the records of reports of a split, whose volumes are the studies to read."""
    records = read_records(root, Task.REPORT, split)
    return with_case_series(root, records, split) if series == "case" else records
