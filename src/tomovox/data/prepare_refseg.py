"""How do the scans and findings of M3D-RefSeg, as distributed, become those that training reads?

Steps and their order: M3D (Bai et al. 2024), released preprocessing of M3D-RefSeg. Letters: x y z
axes as stored in NIfTI, D H W depth, height and width of the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from tomovox.data.faults import DataFault, Faults
from tomovox.data.image_files import read_nifti
from tomovox.data.images import SHAPE, resized
from tomovox.data.prepare import Outcome
from tomovox.data.prepare_cases import (
    Progress,
    claim_target,
    foreground,
    nearest,
    run_cases,
)
from tomovox.data.refseg_records import FILES
from tomovox.data.written import write_array, write_inside
from tomovox.schema import TomovoxError

SCAN, LABELS, TEXTS = "ct.nii.gz", "mask.nii.gz", "text.json"
PERCENTILES = (0.5, 99.5)
"""Percentiles of a scan that become 0 and 1."""


@dataclass(frozen=True, slots=True)
class RefsegCase:
    """A folder of M3D-RefSeg."""

    name: str

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the files of the finished case, as paths below the target."""
        return f"{self.name}/mask.npy", f"{self.name}/ct.npy"


def prepare_refseg(
    source: Path,
    target: Path,
    shape: tuple[int, int, int] = SHAPE,
    workers: int = 1,
    progress: Progress | None = None,
) -> Outcome:
    """Prepare M3D-RefSeg: ct.npy in [0, 1] and mask.npy of labels, float32 (1, D, H, W), per case.

    `source` holds <case>/ct.nii.gz and mask.nii.gz; text.json of a case and the csv files of
    questions are copied. Finished cases are skipped, so a stopped run goes on; a case that cannot
    be prepared is left out and listed in not_prepared.tsv.

    Raises TomovoxError as `claim_target`, and when there is no case at all.
    """
    source, target = Path(source), Path(target)
    claim_target(source, target, "M3D-RefSeg", shape)
    faults = Faults(collect=True)
    cases = _cases(source, faults)
    work = partial(_prepare_case, source=source, target=target, shape=shape)
    outcome = run_cases(cases, work, target, faults, workers, progress)
    for name in FILES.values():
        if (source / name).is_file():
            write_inside(target, name, (source / name).read_bytes())
    return outcome


def scaled_by_percentiles(voxels: Float[np.ndarray, "..."], place: str) -> Float[np.ndarray, "..."]:
    """Return the scan in [0, 1]: its percentiles 0.5 and 99.5 become 0 and 1, the rest is clipped.

    Raises TomovoxError when it is not finite, or when the two are equal.
    """
    values = voxels.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataFault(place, "holds NaN or infinite voxels", "export the image again")
    low, high = np.percentile(values, PERCENTILES)
    if low == high:
        what = f"nearly every voxel is {low:g}, there is nothing to see"
        raise DataFault(place, what, "leave the case out")
    return np.clip((values - low) / (high - low), 0, 1).astype(np.float32)


def _cases(source: Path, faults: Faults) -> list[RefsegCase]:
    """Return the folders of a scan with its labels; a folder that lacks one goes to `faults`."""
    found = []
    for folder in sorted(source.iterdir()):
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        missing = [name for name in (SCAN, LABELS) if not (folder / name).is_file()]
        if missing:
            what = f"holds no {' and no '.join(missing)}"
            faults.add(DataFault(str(folder), what, "download the case again"))
        else:
            found.append(RefsegCase(folder.name))
    if not found:
        raise TomovoxError(
            f"{source}: no folder in it holds {SCAN} and {LABELS}; give the folder M3D_RefSeg"
        )
    return found


def _prepare_case(
    case: RefsegCase, source: Path, target: Path, shape: tuple[int, int, int]
) -> DataFault | None:
    """Write the files of a case, or return what is wrong with it."""
    folder = source / case.name
    try:
        scan, labels = (read_nifti(folder / name).voxels for name in (SCAN, LABELS))
        if scan.shape != labels.shape:
            what = f"its {SCAN} has shape {scan.shape}, its {LABELS} {labels.shape}"
            raise DataFault(str(folder), what, "download the case again")
        # Published order z x y: H and W are swapped against M3D-Seg.
        voxels = scaled_by_percentiles(scan.transpose(2, 0, 1), str(folder / SCAN))
    except DataFault as fault:
        return fault
    box = foreground(voxels)
    if (folder / TEXTS).is_file():
        write_inside(target, f"{case.name}/{TEXTS}", (folder / TEXTS).read_bytes())
    mask_file, scan_file = case.outputs
    mask = nearest(labels.transpose(2, 0, 1)[box], shape)
    write_array(target, mask_file, mask[None].astype(np.float32))
    write_array(target, scan_file, resized(voxels[box], shape)[None])
    return None
