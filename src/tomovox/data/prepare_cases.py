"""How do images with masks take the published size together, case by case, so that a run goes on?

A case is finished when all its files are there; each is written whole, the image last. Letters: D H
W depth, height and width of the output, d h w those of the image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch.nn import functional

from tomovox.data.faults import DataFault, Faults
from tomovox.data.images import check_settings
from tomovox.data.prepare import REFUSED, SETTINGS, Outcome
from tomovox.data.written import in_processes, write_inside
from tomovox.files import write_atomically
from tomovox.parsed import json_of
from tomovox.schema import TomovoxError

Progress = Callable[[int, int], None]
"""Called with (cases done, cases to do)."""


@runtime_checkable
class Case(Protocol):
    """What is prepared at once."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the files of the finished case, as paths below the target."""


AnyCase = TypeVar("AnyCase", bound=Case)


def claim_target(source: Path, target: Path, data_set: str, shape: tuple[int, int, int]) -> None:
    """Make `target` the place of what is prepared from `source`, and say so in prepare.json.

    Raises TomovoxError when `source` is no folder, or `target` lies in it, holds anything else, or
    was made from another source or at another shape.
    """
    check_settings(None, shape, "axial")
    if not source.is_dir():
        raise TomovoxError(f"{source}: no such folder; give the folder of {data_set}")
    if target.resolve().is_relative_to(source.resolve()):
        raise TomovoxError(f"{target}: lies in {source}; write to a folder beside it")
    path = target / SETTINGS
    wanted = {"source": str(source.resolve()), "data_set": data_set, "shape": list(shape)}
    if not path.is_file():
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise TomovoxError(f"{target}: holds no {SETTINGS}; give a new or empty folder")
        write_atomically(path, json.dumps(wanted, indent=1) + "\n")
        return
    try:
        found = json_of(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TomovoxError(f"{path}: cannot be read ({error}); give a new folder") from None
    if found != wanted:
        raise TomovoxError(
            f"{target}: was prepared from another source or at another shape, see {path}; "
            f"give a new folder, or the same source and shape"
        )


def run_cases(
    cases: Sequence[AnyCase],
    work: Callable[[AnyCase], DataFault | None],
    target: Path,
    faults: Faults,
    workers: int = 1,
    progress: Progress | None = None,
) -> Outcome:
    """Do `work` for the cases that are not finished, and list all of `faults` in not_prepared.tsv.

    `work` writes the files of a case or returns what is wrong with it, which goes to `faults`. It
    must be importable by name, as other processes call it.
    """
    pending = [case for case in cases if not is_finished(case, target)]
    prepared = 0
    for done, fault in enumerate(in_processes(pending, work, workers), 1):
        if fault:
            faults.add(fault)
        else:
            prepared += 1
        if progress:
            progress(done, len(pending))
    lines = (
        "\t".join(" ".join(p.split()) for p in (f.place, f.what, f.remedy)) for f in faults.found
    )
    listed = "".join(f"{line}\n" for line in lines)
    if listed:
        write_inside(target, REFUSED, "place\twhat\twhat to do\n" + listed)
    else:
        (target / REFUSED).unlink(missing_ok=True)
    return Outcome(prepared, len(cases) - len(pending), tuple(faults.found))


def is_finished(case: Case, target: Path) -> bool:
    """Tell whether all files of a case are there."""
    return all((target / output).is_file() for output in case.outputs)


def foreground(values: Float[np.ndarray, "d h w"]) -> tuple[slice, slice, slice]:
    """Return the smallest box that holds every voxel above 0, without margin; one must be."""
    above = values > 0
    sides = []
    for others in ((1, 2), (0, 2), (0, 1)):
        places = np.flatnonzero(above.any(axis=others))
        sides.append(slice(int(places[0]), int(places[-1]) + 1))
    return sides[0], sides[1], sides[2]


def nearest(
    labels: Shaped[np.ndarray, "d h w"], shape: tuple[int, int, int]
) -> Shaped[np.ndarray, "D H W"]:
    """Return labels at another size, each voxel that of the nearest, as torch's interpolate.

    Only the voxels that are kept are touched: torch would first make floats of all of them.
    """
    kept = [
        functional.interpolate(torch.arange(old, dtype=torch.float32)[None, None], new)
        for old, new in zip(labels.shape, shape, strict=True)
    ]
    return labels[np.ix_(*(axis[0, 0].to(torch.int64).numpy() for axis in kept))]
