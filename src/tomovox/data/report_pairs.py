"""Which volume and which report make a pair, and which pairs a batch, for M3D-CLIP?

Letters: u pairs, t text tokens, D H W depth, height and width of a volume in voxels.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tomovox.data.asked import check_least, check_root
from tomovox.data.controls import OTHER_PATIENT, other_patients, tampered
from tomovox.data.records import read_records
from tomovox.data.sampling import StudySampler
from tomovox.data.short_reports import shortened
from tomovox.data.tokenizer import EOS, PLACEHOLDER, build_word_tokenizer, load_tokenizer
from tomovox.data.training_loader import TrainingLoader
from tomovox.data.volumes import augment, read_volume
from tomovox.schema import NONE, Record, Studies, Task, TomovoxError, Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast


@dataclass(slots=True)
class Pair:
    """A volume and the ids of its report."""

    voxels: Float[Tensor, "1 D H W"]
    ids: list[int]
    record: Record


@dataclass(slots=True)
class PairBatch:
    """u volumes with their reports: row i of `ids` and `mask` belongs to study i."""

    studies: Studies
    ids: Int[Tensor, "u t"]
    mask: Bool[Tensor, "u t"]
    records: list[Record]


class ReportPairs(LightningDataModule):
    """The volumes of M3D-Cap, each with the report of its case, to train and validate M3D-CLIP.

    The series of a case share one report. Two of them in one batch hold the same text twice, and
    each is a wrong answer to the other, as in the release.

    Args:
        root: data root, the folder that holds M3D_Cap_npy.
        tokenizer: folder, hub or `package:` name of the tokenizer of a BERT. None builds a word
            tokenizer from all training reports (whatever `limit` is), whose <eos> opens every text
            and is its [CLS]. The text encoder needs a row for each of its words.
        train_split: split to train on.
        val_split: split of the validation loss.
        test_split: split whose volumes and reports are embedded for retrieval.
        batch_size: pairs of a batch, on each rank.
        max_length: most tokens of a report, [CLS] and [SEP] included; see
            `short_reports.shortened`.
        seed: of order, shortened reports and augmentation.
        augment: turn, flip and rescale training volumes as published. Off, because turns and flips
            falsify the left and right that reports name.
        num_workers: processes that read volumes.
        limit: use only the first pairs of each split.
    """

    def __init__(
        self,
        root: str,
        tokenizer: str | None = None,
        train_split: str = "train",
        val_split: str = "val",
        test_split: str = "test",
        batch_size: int = 32,
        max_length: int = 512,
        seed: int = 0,
        augment: bool = False,
        num_workers: int = 0,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        check_least(
            batch_size=(batch_size, 2),  # one pair has nothing to be told from
            max_length=(max_length, 3),
            limit=(limit, 1),
            num_workers=(num_workers, 0),
            seed=(seed, 0),
        )
        self.root = Path(root)
        self.tokenizer = tokenizer
        self.splits = {"train": train_split, "val": val_split, "test": test_split}
        self.batch_size, self.max_length = batch_size, max_length
        self.seed, self.augment = seed, augment
        self.num_workers, self.limit = num_workers, limit
        self.control = NONE
        self._datasets: dict[str, PairDataset] = {}

    @cached_property
    def text_tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of reports; TomovoxError when a named one is not that of a BERT."""
        if self.tokenizer is None:
            return report_tokenizer([record.reference for record in self._train_records])
        tokenizer = load_tokenizer(self.tokenizer)
        opens = tokenizer("a").input_ids[:1] == [tokenizer.cls_token_id]
        if not opens or tokenizer.pad_token_id is None:
            raise TomovoxError(
                f"data.tokenizer {self.tokenizer}: opens no text with [CLS], or has no padding; "
                f"name the tokenizer of a BERT"
            )
        if self.max_length > tokenizer.model_max_length:
            raise TomovoxError(
                f"data.max_length is {self.max_length}, and {self.tokenizer} reads at most "
                f"{tokenizer.model_max_length} tokens; lower it"
            )
        return tokenizer

    def vocabulary(self) -> Vocabulary:
        """Return how many rows the text encoder needs, and the special ids."""
        tokenizer = self.text_tokenizer
        ids = tokenizer.get_vocab()
        size, pad = 1 + max(ids.values()), int(tokenizer.pad_token_id)
        ends = (tokenizer.sep_token_id, tokenizer.eos_token_id, pad)
        end = next(number for number in ends if number is not None)
        return Vocabulary(size=size, placeholder=ids.get(PLACEHOLDER, size), pad=pad, eos=int(end))

    def tamper(self, control: str) -> None:
        """Predict with the volumes that a control shows (see `controls`), after the next setup.

        Every volume of the test pairs is tampered with; the reports stay.
        """
        self.control = control
        self._datasets.pop("test", None)

    def setup(self, stage: str | None = None) -> None:
        """Read the records that a stage needs; TomovoxError when any is missing or malformed."""
        wanted = {"validate": ("val",), "predict": ("test",)}.get(str(stage), ("train", "val"))
        for name in wanted:
            if name not in self._datasets:
                self._datasets[name] = self._dataset(name)

    def train_dataloader(self) -> DataLoader[PairBatch]:
        """Return shuffled batches, in another order every epoch; the last short one is dropped.

        So all ranks hold equally many rows. Raises TomovoxError when the pairs do not fill one
        batch of every rank.
        """
        dataset = self._ready("train")
        ranks = self.trainer.world_size if self.trainer else 1
        if len(dataset) < ranks * self.batch_size:
            raise TomovoxError(
                f"{self.root}: {len(dataset)} pairs to train on are fewer than batch_size "
                f"{self.batch_size} times {ranks} processes; lower data.batch_size"
            )
        sampler = StudySampler(len(dataset), self.seed)
        return TrainingLoader(dataset, sampler, **self._options(), drop_last=True)

    def val_dataloader(self) -> DataLoader[PairBatch]:
        """Return the validation pairs in file order; each report is shortened the same always."""
        return self._loader(self._ready("val"))

    def predict_dataloader(self) -> DataLoader[PairBatch]:
        """Return the test pairs in file order, as retrieval records."""
        return self._loader(self._ready("test"))

    def transfer_batch_to_device(
        self, batch: PairBatch, device: torch.device, dataloader_idx: int
    ) -> PairBatch:
        """Return the batch with its tensors on `device`; records are the same objects."""
        studies = replace(
            batch.studies,
            voxels=[volume.to(device, non_blocking=True) for volume in batch.studies.voxels],
            study=batch.studies.study.to(device, non_blocking=True),
        )
        ids, mask = (x.to(device, non_blocking=True) for x in (batch.ids, batch.mask))
        return PairBatch(studies, ids, mask, batch.records)

    @cached_property
    def _train_records(self) -> list[Record]:
        return self._records("train")

    def _records(self, name: str) -> list[Record]:
        check_root(self.root)
        task = Task.RETRIEVAL if name == "test" else Task.REPORT
        return read_records(self.root, task, self.splits[name])

    def _dataset(self, name: str) -> PairDataset:
        records = self._train_records if name == "train" else self._records(name)
        return PairDataset(
            self.root,
            records[: self.limit],
            self.text_tokenizer,
            self.max_length,
            self.augment,
            self.control if name == "test" else NONE,
        )

    def _ready(self, name: str) -> PairDataset:
        if name not in self._datasets:
            raise TomovoxError(f"the {name} pairs are not set up; call setup first")
        return self._datasets[name]

    def _loader(self, dataset: Dataset[Any]) -> DataLoader[PairBatch]:
        return DataLoader(dataset, **self._options())

    def _options(self) -> dict[str, Any]:
        return {
            "batch_size": self.batch_size,
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "pin_memory": False,
            "collate_fn": partial(collate_pairs, pad=int(self.text_tokenizer.pad_token_id)),
        }


class PairDataset(Dataset[Pair]):
    """Report records as pairs. An index `row` gives a pair as validation sees it.

    An index `(row, seed)` gives it as training does: the seed shortens the report and, where
    `augmented`, turns, flips and rescales the volume (see `volumes.augment`). `control` says which
    voxels an index alone shows (see `controls`).
    """

    def __init__(
        self,
        root: Path,
        records: Sequence[Record],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        augmented: bool,
        control: str = NONE,
    ) -> None:
        self.root, self.records = root, list(records)
        self.tokenizer, self.max_length = tokenizer, max_length
        self.augmented = augmented
        self.control = control
        studies = [[record] for record in self.records]
        self.others = other_patients(studies) if control == OTHER_PATIENT else []

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.records)

    def __getitem__(self, index: int | tuple[int, int]) -> Pair:
        """Return a pair; TomovoxError when its volume cannot be read."""
        row, seed = index if isinstance(index, tuple) else (index, None)
        record = self.records[row]
        voxels = self._volume(row) if seed is not None else self._shown(row)
        random = np.random.default_rng(zlib.crc32(record.id.encode()) if seed is None else seed)
        text = shortened(record.reference, self._tokens, self.max_length, random)
        if self.augmented and seed is not None:
            generator = torch.Generator().manual_seed(int(random.integers(2**63)))
            voxels = augment(voxels, generator)
        ids = self.tokenizer(text, truncation=True, max_length=self.max_length).input_ids
        return Pair(voxels, list(ids), record)

    def _volume(self, row: int) -> Tensor:
        record = self.records[row]
        return torch.from_numpy(read_volume(self.root, record.volumes[0], record.id))

    def _shown(self, row: int) -> Tensor:
        """Return what the control shows in place of the volume of a pair."""
        if self.control == OTHER_PATIENT:
            return self._volume(self.others[row])
        return tampered(self._volume(row), self.control, self.records[row].volumes[0])

    def _tokens(self, text: str) -> int:
        return len(self.tokenizer(text, verbose=False).input_ids)


def report_tokenizer(reports: Sequence[str]) -> PreTrainedTokenizerFast:
    """Return a word tokenizer of the reports that opens every text with <eos>, its [CLS]."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = build_word_tokenizer(reports)
    tokenizer.cls_token = EOS
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{EOS} $A", special_tokens=[(EOS, tokenizer.eos_token_id)]
    )
    return tokenizer


def collate_pairs(pairs: Sequence[Pair], pad: int) -> PairBatch:
    """Return the batch of some pairs, its reports padded on the right to the longest.

    The release pads all to `max_length`; what the mask hides changes no embedding.
    """
    longest = max(len(pair.ids) for pair in pairs)
    ids = torch.full((len(pairs), longest), pad, dtype=torch.long)
    mask = torch.zeros(len(pairs), longest, dtype=torch.bool)
    for row, pair in enumerate(pairs):
        ids[row, : len(pair.ids)] = torch.tensor(pair.ids, dtype=torch.long)
        mask[row, : len(pair.ids)] = True
    studies = Studies([pair.voxels for pair in pairs], torch.arange(len(pairs)))
    return PairBatch(studies, ids, mask, [pair.record for pair in pairs])
