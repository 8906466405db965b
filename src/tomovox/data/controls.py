"""Does a model look at the volume? The same questions about a volume that was tampered with.

Only voxels change: questions, references, boxes and true masks stay those of the record. Letters:
D H W depth, height and width of a series.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import PurePosixPath

import torch
from jaxtyping import Float
from torch import Tensor

from tomovox.schema import Record, TomovoxError

OTHER_PATIENT = "other_patient"
CONTROLS = (
    *("no_image", "constant", OTHER_PATIENT),
    *("slices_permuted", "slices_reversed", "left_right"),
)
"""What may be done to a volume; `NONE` is the volume as it is. What each shows: `tampered`."""


def check_controls(names: Iterable[str], place: str) -> None:
    """Raise TomovoxError, naming `place`, unless all names are controls."""
    if unknown := sorted(set(names) - set(CONTROLS)):
        raise TomovoxError(
            f"{place}: unknown controls {', '.join(unknown)}; known: {', '.join(CONTROLS)}"
        )


def tampered(voxels: Float[Tensor, "1 D H W"], control: str, path: str) -> Float[Tensor, "1 D H W"]:
    """Return what a control shows instead of the series at `path`, in the same shape.

    no_image: zeros. A model still gets the tokens that its encoders make of them: one that was
    trained without any image is the stricter floor. constant: the mean intensity everywhere.
    slices_permuted: the slices in an order that the path decides, never their own.
    slices_reversed: the last slice first. left_right: mirrored along W. One slice alone has no
    other order. The series of another patient is not made of these voxels: see `other_patients`.
    """
    match control:
        case "none":
            return voxels
        case "no_image":
            return torch.zeros_like(voxels)
        case "constant":
            return torch.full_like(voxels, float(voxels.double().mean()))
        case "slices_permuted":
            return voxels[:, slice_order(voxels.shape[1], path)]
        case "slices_reversed":
            return voxels.flip(1)
        case "left_right":
            return voxels.flip(3)
    raise TomovoxError(f"{path}: control {control!r} is not made of one volume's own voxels")


def slice_order(depth: int, path: str) -> list[int]:
    """Return the places of `depth` slices in an order of their own for each path."""
    # Digests in place of a generator: no version of a library may change the order.
    order = sorted(range(depth), key=lambda place: sha256(f"{path}:{place}".encode()).digest())
    return order if order != sorted(order) else order[1:] + order[:1]


def other_patients(studies: Sequence[Sequence[Record]]) -> list[int]:
    """Return, for each study, the place of the one of another case that is shown in its stead.

    It is of the same data set (the first folder of the path) and has as many series; studies of
    which no other case has as many are alike with those of the next smaller number. Cases and
    record ids alone decide, not the order of the studies. Each study is shown once, as long as no
    case has more than half of those that are alike. Raises TomovoxError when one case has all.
    """
    cases, keys, found = [], [], dict[str, dict[int, list[int]]]()
    for place, study in enumerate(studies):
        case, record = min((r.case, r.id) for r in study)
        cases.append(case)
        keys.append((sha256(case.encode()).digest(), record))
        volumes = study[0].volumes
        folder = "".join(PurePosixPath(volumes[0]).parent.parts[:1])
        found.setdefault(folder, {}).setdefault(len(volumes), []).append(place)
    shown = [0] * len(studies)
    for places in (group for folder in found.values() for group in _alike(folder, cases)):
        ring = sorted(places, key=lambda place: keys[place])
        names = [cases[place] for place in ring]
        step = max(names.count(name) for name in set(names))
        if step == len(ring):
            raise TomovoxError(
                f"{names[0]}: the data set of {studies[ring[0]][0].volumes[0]} has no other case "
                f"to show under {OTHER_PATIENT}; ask about more cases or take the control out"
            )
        for i, place in enumerate(ring):
            # The studies of a case stand together: so many places on there is another case.
            j = (i + step) % len(ring)
            while names[j] == names[i]:
                j = (j + 1) % len(ring)
            shown[place] = ring[j]
    return shown


def _alike(by_series: Mapping[int, list[int]], cases: Sequence[str]) -> list[list[int]]:
    """Return the places of studies, by number of series, in groups of more than one case."""
    groups: list[list[int]] = []
    alone: list[int] = []
    for _, places in sorted(by_series.items(), reverse=True):
        alone = [*alone, *places]
        if len({cases[place] for place in alone}) > 1:
            groups.append(alone)
            alone = []
    if alone and groups:
        return [*groups[:-1], groups[-1] + alone]
    return groups or [alone]
