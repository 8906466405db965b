"""What do the training questions and masks say about a volume? The labels of encoder pretraining.

Letters: a answer heads. A head is a group of answers that compete as choices of one question type.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from torch.utils.data import Dataset

from tomovox.data.check_seg import INFO, SEG, seg_codes, seg_entries
from tomovox.data.dataset import OnBadVolume, group_by_study, without_unreadable
from tomovox.data.faults import DataFault, Faults
from tomovox.data.volumes import read_mask, read_volume, resolve_inside
from tomovox.schema import IGNORE, LETTERS, Record, TomovoxError


@dataclass
class AnswerHeads:
    """Answers that compete: `classes[i]` are the (question type, answer) pairs of head i."""

    classes: list[list[tuple[str, str]]]

    @property
    def sizes(self) -> list[int]:
        """Number of classes of each head."""
        return [len(c) for c in self.classes]

    def targets(self, records: Sequence[Record]) -> np.ndarray:
        """Return (a) int64: each head's class for one volume's closed questions.

        A head that none of them asks about is IGNORE.
        """
        row = np.full(len(self.classes), IGNORE, dtype=np.int64)
        for key in map(right_answer, records):
            for i, classes in enumerate(self.classes):
                if key in classes:
                    row[i] = classes.index(key)
        return row


@runtime_checkable
class Heads(Protocol):
    """What an encoder is asked of a volume, one head each."""

    @property
    def sizes(self) -> list[int]:
        """Number of classes of each head."""

    def targets(self, records: Sequence[Record]) -> np.ndarray:
        """Return (a) int64: each head's class for one volume, or IGNORE."""


@dataclass
class LabelHeads:
    """Abnormalities, each a head of absent and present; `labels` tells them by record id."""

    labels: Mapping[str, Sequence[bool]]

    @property
    def sizes(self) -> list[int]:
        """Number of classes of each head."""
        return [2] * len(next(iter(self.labels.values()), ()))

    def targets(self, records: Sequence[Record]) -> np.ndarray:
        """Return (a) int64: which abnormalities one volume shows."""
        return np.array(self.labels[records[0].id], np.int64)


def right_answer(record: Record) -> tuple[str, str]:
    """Return (question type, text of the right choice, lower case) of a closed question."""
    letter = LETTERS.index(record.reference[0])
    return record.question_type, record.choices[letter].lower()


def answer_heads(records: Sequence[Record], most: int = 64) -> AnswerHeads:
    """Group the answers of closed questions: those ever offered side by side share a head.

    A head keeps its `most` most frequent right answers; a head of fewer than two is left out.
    """
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(key: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    counts: Counter[tuple[str, str]] = Counter()
    for record in records:
        keys = [(record.question_type, choice.lower()) for choice in record.choices]
        for key in keys:
            parent[root(key)] = root(keys[0])
        counts[right_answer(record)] += 1
    groups: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for key, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        groups[root(key)].append(key)
    return AnswerHeads(sorted(sorted(g[:most]) for g in groups.values() if len(g) > 1))


@dataclass
class FindingMasks:
    """Finding masks by the image they lie on: digest of its file -> (class from 1, mask path)."""

    classes: list[str]
    masks: dict[str, list[tuple[int, str]]]

    def labels(self, root: Path, relative: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return (D H W) uint8: 0 none, else the class of the finding.

        None when no mask of this image is known. Raises TomovoxError for a mask that cannot be read
        or does not fit the image.
        """
        found = self.masks.get(digest(resolve_inside(root, relative, relative)))
        if found is None:
            return None
        labels = np.zeros(shape, np.uint8)
        for number, path in found:
            mask = read_mask(root, path, (1, *shape), f"of image {relative}")
            labels[mask[0]] = number
        return labels


def digest(path: Path) -> str:
    """Return the hash of a file's bytes: two copies of one image are one image."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def finding_masks(root: Path, classes: Sequence[str] | None = None) -> FindingMasks:
    """Index the masks of the training cases of M3D-Seg under `root` by their image.

    `classes` names the finding classes to keep (None: all). The index is empty without M3D-Seg.
    """
    seg = root / SEG
    info = seg / INFO
    if not info.is_file():
        return FindingMasks([], {})
    faults = Faults()
    names = seg_codes(root, faults)
    kept = [n for code in sorted(names) for n in names[code] if classes is None or n in classes]
    numbers = {name: i for i, name in enumerate(dict.fromkeys(kept), 1)}
    if len(numbers) > 254:
        raise TomovoxError(
            f"{info}: {len(numbers)} classes; encoder pretraining takes at most 254, name some"
        )
    masks: dict[str, list[tuple[int, str]]] = defaultdict(list)
    images: dict[str, str] = {}
    for code in sorted(names):
        for entry in seg_entries(root, code, names[code], faults, ("train",)):
            if entry.image not in images:
                images[entry.image] = _digest_of(seg / entry.image, entry.place)
            found = masks[images[entry.image]]
            if entry.structure in numbers:
                found.append((numbers[entry.structure], f"{SEG}/{entry.label}"))
    return FindingMasks(list(numbers), dict(masks))


def _digest_of(image: Path, place: str) -> str:
    try:
        return digest(image)
    except OSError as error:
        raise DataFault(
            place, f"its image cannot be read ({error.strerror})", "mend the entry"
        ) from None


VisionItem = tuple[np.ndarray, np.ndarray, np.ndarray | None, str]
"""Voxels (1 D H W), answers (a), finding labels (D H W) or None, and a record's id."""


class VisionDataset(Dataset[VisionItem]):
    """Volumes of the training questions, each once, with answers and finding labels.

    `left_out` lists (record id, reason) of the questions about volumes that cannot be read.
    """

    def __init__(
        self,
        root: Path,
        records: Sequence[Record],
        heads: Heads,
        masks: FindingMasks,
        on_bad_volume: OnBadVolume = "raise",
    ):
        """Take the closed questions of the training split and what supervises them.

        `on_bad_volume`: 'raise' when an unreadable volume is asked for; 'list' reads every volume
        now and leaves out the unreadable ones.
        """
        self.root, self.heads, self.masks = root, heads, masks
        self.studies = group_by_study(records)
        self.left_out: list[tuple[str, str]] = []
        if on_bad_volume == "list":
            self.studies, self.left_out = without_unreadable(root, self.studies)

    def __len__(self) -> int:
        return len(self.studies)

    def __getitem__(self, index: int) -> VisionItem:
        """Return a volume's item; its id is that of the first question about the volume."""
        records = self.studies[index]
        relative = records[0].volumes[0]
        voxels = read_volume(self.root, relative, records[0].id)
        labels = self.masks.labels(self.root, relative, voxels.shape[1:])
        return voxels, self.heads.targets(records), labels, records[0].id
