"""Which slices of a study's series are read, and what is told of each beside its pixels?

Letters: u studies, s series, l slices of a study over all its series (padded to the longest), d
width of a slice vector.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tomovox.models.kernels import sharpness
from tomovox.models.sharding import together
from tomovox.models.slices import SliceEncoder
from tomovox.schema import Percept, Studies, TomovoxError

NAMES = {
    "plane": ("axial", "coronal", "sagittal"),
    "phase": ("noncontrast", "arterial", "portal venous", "delayed"),
    "kernel": ("soft", "sharp"),
}
"""What may be told of a series -> the names that are known, in the order of their ids from 1 on."""


def ids_of(kind: str) -> int:
    """Return how many ids a kind of names has: untold (0), each known name, any other name."""
    return len(NAMES[kind]) + 2


def id_of(kind: str, name: str) -> int:
    """Return the id of a name, whatever its case; an empty name is untold.

    The name of a kernel may be that of its vendor.
    """
    known = ("", *NAMES[kind])
    name = (sharpness(name) if kind == "kernel" else name).lower()
    return known.index(name) if name in known else len(known)


def kept_slices(
    studies: Studies, most_of_study: int, most_of_series: int | None
) -> list[Int[Tensor, "_k"]]:
    """Return which slices of each series are read, evenly spread from first to last.

    A series has at most `most_of_series`; of one that gives a single slice it is the middle one.
    Where a study has more than `most_of_study`, its longest series give until it has not: the
    others are read whole. Raises TomovoxError for a study of more series than it may have slices.
    """
    owners = studies.study.tolist()
    depths = [volume.shape[1] for volume in studies.voxels]
    if most_of_series is not None:
        depths = [min(depth, most_of_series) for depth in depths]
    kept = []
    for u in range(len(studies)):
        own = [depth for depth, owner in zip(depths, owners, strict=True) if owner == u]
        kept.append(_level(own, most_of_study))
    return [
        _evenly(volume.shape[1], min(depth, kept[owner]))
        for volume, depth, owner in zip(studies.voxels, depths, owners, strict=True)
    ]


def _level(depths: Sequence[int], most: int) -> int:
    """Return the most slices of a series with which all series have no more than `most`."""
    if len(depths) > most:
        raise TomovoxError(
            f"a study has {len(depths)} series, and zformer.max_slices is {most}: raise it"
        )
    left = most
    for place, depth in enumerate(sorted(depths)):
        share = left // (len(depths) - place)
        if depth > share:
            return share
        left -= depth
    return max(depths)


def _evenly(depth: int, count: int) -> Int[Tensor, "_k"]:
    if count == 1:
        return torch.tensor([depth // 2])
    return torch.linspace(0, depth - 1, count).round().long()


def slice_vectors(
    encoder: SliceEncoder, studies: Studies, kept: Sequence[Int[Tensor, "_k"]]
) -> Percept:
    """Return the "cls" vectors (u l d) of the slices that are read, and which are "seen" (u l)."""
    slices = [
        (v[0] if len(k) == v.shape[1] else v[0, k.to(v.device)]).unsqueeze(1)
        for v, k in zip(studies.voxels, kept, strict=True)
    ]
    by_size: dict[tuple[int, ...], list[int]] = {}
    for i, each in enumerate(slices):
        by_size.setdefault(each.shape[1:], []).append(i)
    encoded: dict[int, Tensor] = {}
    for places in by_size.values():
        cls, _ = encoder(torch.cat([slices[i] for i in places]), tokens=False)
        parts = cls.split([len(slices[i]) for i in places])
        encoded |= zip(places, parts, strict=True)
    return joined([encoded[i] for i in range(len(kept))], studies)


def joined(vectors: Sequence[Float[Tensor, "_k d"]], studies: Studies) -> Percept:
    """Return the vectors of each series as "cls" (u l d) of its study, and which are "seen"."""
    cls = sequences(vectors, studies)
    ones = [torch.ones(len(each), dtype=torch.bool, device=cls.device) for each in vectors]
    return Percept({"cls": cls, "seen": sequences(ones, studies)})


def tell(
    percept: Percept, studies: Studies, kept: Sequence[Int[Tensor, "_k"]], max_series: int
) -> Percept:
    """Return a percept of slice vectors with what `told_of` tells of them."""
    device = percept.features["cls"].device
    told = told_of(studies, kept, max_series)
    return Percept(percept.features | {name: ids.to(device) for name, ids in told.items()})


def told_of(
    studies: Studies, kept: Sequence[Int[Tensor, "_k"]], max_series: int
) -> dict[str, Tensor]:
    """Return of each slice (u l) its "place" in [0, 1] within the series and its series' "slot".

    Series beyond `max_series` share the last slot. "plane", "phase" and "kernel" are ids as of
    `id_of`; a kind that no series of the batch tells is left out. They are all there where several
    processes train together, of which each must use the same weights.
    """
    series = {
        "place": [
            torch.linspace(0, 1, volume.shape[1])[index]
            for volume, index in zip(studies.voxels, kept, strict=True)
        ]
    }
    owners = studies.study.tolist()
    slots = [owners[:i].count(owner) for i, owner in enumerate(owners)]
    ids = {"slot": [min(slot, max_series - 1) for slot in slots]}
    for kind in NAMES:
        names = getattr(studies, kind) or [""] * len(kept)
        if any(names) or together():
            ids[kind] = [id_of(kind, name) for name in names]
    for kind, values in ids.items():
        series[kind] = [torch.full(x.shape, i) for x, i in zip(kept, values, strict=True)]
    return {name: sequences(rows, studies) for name, rows in series.items()}


def sequences(series: Sequence[Tensor], studies: Studies) -> Tensor:
    """Return the rows of each series (k ...) as one sequence per study (u l ...), zeros behind."""
    owners = studies.study.tolist()
    rows = [
        torch.cat([x for x, owner in zip(series, owners, strict=True) if owner == u])
        for u in range(len(studies))
    ]
    return pad_sequence(rows, batch_first=True)
