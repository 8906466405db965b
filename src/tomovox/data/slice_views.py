"""Which slices does self-distillation see, and in which batches? Views of slices, no label at all.

Letters: b slices of a batch, l small views of each, S and s sides of large and small views.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tomovox.data.asked import check_least, check_root
from tomovox.data.dataset import OnBadVolume
from tomovox.data.records import read_records
from tomovox.data.sampling import StudySampler
from tomovox.data.training_loader import TrainingLoader
from tomovox.data.views import ViewsConfig, draw_views
from tomovox.data.volumes import read_volume
from tomovox.schema import Record, Task, TomovoxError

ViewItem = list[tuple[Tensor, Tensor]]
"""Of each slice drawn from a volume, its large (2 1 S S) and its small views (l 1 s s)."""


class SliceViews(LightningDataModule):
    """Random views of slices of the training volumes, to teach a slice encoder without labels.

    Args:
        root: data root.
        views: how the views of a slice are drawn.
        train_split: split whose volumes are read.
        batch_size: volumes of a batch, on each rank.
        slices_per_volume: slices drawn from a volume each time it is visited.
        seed: of order, slices and views.
        num_workers: processes that read volumes.
        limit: use only the first volumes.
        on_bad_volume: 'raise' on an unreadable volume, or 'list': read all volumes in setup and
            leave out the bad ones; nothing is put in their place (`left_out`).
    """

    def __init__(
        self,
        root: str,
        views: ViewsConfig | None = None,
        train_split: str = "train",
        batch_size: int = 16,
        slices_per_volume: int = 4,
        seed: int = 0,
        num_workers: int = 0,
        limit: int | None = None,
        on_bad_volume: OnBadVolume = "raise",
    ) -> None:
        super().__init__()
        check_least(
            batch_size=(batch_size, 1),
            slices_per_volume=(slices_per_volume, 1),
            limit=(limit, 1),
            num_workers=(num_workers, 0),
            seed=(seed, 0),
        )
        self.root, self.views, self.train_split = Path(root), views or ViewsConfig(), train_split
        self.batch_size, self.slices_per_volume = batch_size, slices_per_volume
        self.seed, self.num_workers, self.limit = seed, num_workers, limit
        self.on_bad_volume: OnBadVolume = on_bad_volume
        self._dataset: ViewDataset | None = None

    def setup(self, stage: str | None = None) -> None:
        """Read which volumes there are; TomovoxError when they are missing or malformed."""
        check_root(self.root)
        if self._dataset is None:
            records = read_records(self.root, Task.REPORT, self.train_split)
            self._dataset = ViewDataset(
                self.root,
                records,
                self.views,
                self.slices_per_volume,
                self.limit,
                self.on_bad_volume,
            )

    @property
    def left_out(self) -> list[tuple[str, str, str]]:
        """(Split, record id, reason) of every volume that 'list' dropped."""
        return [("train", *record) for record in self._ready().left_out]

    @property
    def checked_splits(self) -> tuple[str, ...]:
        """The one split that is set up."""
        return ("train",)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return shuffled batches, another order, slices and views every epoch.

        The last short one is dropped, so all ranks hold equally many. Raises TomovoxError when the
        volumes do not fill one batch of every rank.
        """
        dataset = self._ready()
        ranks = self.trainer.world_size if self.trainer else 1
        if len(dataset) < ranks * self.batch_size:
            raise TomovoxError(
                f"{self.root}: {len(dataset)} volumes to train on are fewer than batch_size "
                f"{self.batch_size} times {ranks} processes; lower data.batch_size"
            )
        return TrainingLoader(
            dataset,
            StudySampler(len(dataset), self.seed),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            drop_last=True,
            collate_fn=collate_views,
        )

    def __len__(self) -> int:
        """Number of volumes."""
        return len(self._ready())

    def _ready(self) -> ViewDataset:
        if self._dataset is None:
            raise TomovoxError("the volumes are not set up; call setup first")
        return self._dataset


class ViewDataset(Dataset[ViewItem]):
    """Views of slices of the volumes of some records, an item per volume.

    An index (row, seed) draws slices and views, the same for the same seed. A slice of one
    intensity shows nothing and is not drawn; where others are few, some are drawn again. `left_out`
    lists (record id, reason) of volumes that cannot be read.
    """

    def __init__(
        self,
        root: Path,
        records: Sequence[Record],
        views: ViewsConfig,
        slices_per_volume: int,
        limit: int | None = None,
        on_bad_volume: OnBadVolume = "raise",
    ) -> None:
        self.root, self.views, self.slices_per_volume = root, views, slices_per_volume
        first = {name: record.id for record in reversed(records) for name in record.volumes}
        in_order = dict.fromkeys(name for record in records for name in record.volumes)
        self.volumes = [(name, first[name]) for name in in_order][:limit]
        self.left_out: list[tuple[str, str]] = []
        if on_bad_volume == "list":
            self.volumes = [volume for volume in self.volumes if self._readable(*volume)]
        if not self.volumes:
            reason = f"; {self.left_out[0][1]}" if self.left_out else ""
            raise TomovoxError(f"{root}: no readable volume is left{reason}")

    def _readable(self, name: str, record: str) -> bool:
        try:
            read_volume(self.root, name, record)
        except TomovoxError as error:
            self.left_out.append((record, str(error)))
            return False
        return True

    def __len__(self) -> int:
        """Number of volumes."""
        return len(self.volumes)

    def __getitem__(self, index: tuple[int, int]) -> ViewItem:
        """Return the views of a draw; TomovoxError when the volume cannot be read."""
        row, seed = index
        voxels = torch.from_numpy(read_volume(self.root, *self.volumes[row]))[0]
        random = np.random.default_rng(seed)
        draws = torch.Generator().manual_seed(int(random.integers(2**63)))
        flat = voxels.flatten(1)
        shown = (flat.amax(1) > flat.amin(1)).nonzero()[:, 0].numpy()
        count = self.slices_per_volume
        chosen = random.choice(shown, count, replace=count > len(shown))
        return [draw_views(voxels[place], self.views, draws) for place in chosen.tolist()]


def collate_views(
    items: Sequence[ViewItem],
) -> tuple[Float[Tensor, "2 b 1 S S"], Float[Tensor, "l b 1 s s"]]:
    """Return the large and the small views of all slices of a batch, first by view."""
    slices = [views for item in items for views in item]
    return torch.stack([large for large, _ in slices], 1), torch.stack([s for _, s in slices], 1)
