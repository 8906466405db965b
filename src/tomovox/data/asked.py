"""What can a language model be asked of a data root, and which settings could no data satisfy?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tomovox.schema import LETTERS, Task, TomovoxError

ASKED_BY_DEFAULT = (Task.VQA_CLOSED.value, Task.VQA_OPEN.value, Task.REPORT.value)
FROM_MASKS = (
    *(Task.REC.value, Task.REG.value),
    *(Task.SEG_SEMANTIC.value, Task.SEG_REFERRING.value),
)
"""Tasks made from the masks of M3D-Seg and M3D-RefSeg, which have no validation split."""

ASKED = (*ASKED_BY_DEFAULT, Task.CASE_REPORT.value, *FROM_MASKS)
REPORTS = (Task.REPORT, Task.CASE_REPORT)
"""Tasks whose answer is a report."""


def check_settings(given: Mapping[str, Any]) -> None:
    """Raise TomovoxError for a setting of M3DDataModule, by name, that no data could satisfy."""
    tasks, permutations = given["tasks"], given["permutations"]
    if given["augment"] and (turned := sorted(set(tasks) & set(FROM_MASKS))):
        raise TomovoxError(
            f"data.augment turns volumes, but not the boxes and masks of {', '.join(turned)}; "
            f"switch it off or leave these tasks out"
        )
    if not tasks or not set(tasks) <= set(ASKED):
        raise TomovoxError(f"data.tasks is {list(tasks)}; choose some of {', '.join(ASKED)}")
    for name in ("mix", "splits"):
        if unknown := sorted(set(given[name]) - set(tasks)):
            raise TomovoxError(
                f"data.{name} names {', '.join(unknown)}, not among data.tasks; "
                f"remove it or add the task"
            )
    if any(not 0 < weight < float("inf") for weight in given["mix"].values()):
        raise TomovoxError("data.mix holds a weight that is not above 0; drop the task instead")
    check_least(
        **{name: (given[name], 1) for name in ("batch_size", "questions_per_study", "limit")},
        **{name: (given[name], 0) for name in ("num_workers", "seed")},
    )
    if permutations not in (0, len(LETTERS) - 1):
        raise TomovoxError(
            f"data.permutations is {permutations}; give {len(LETTERS) - 1} for every cyclic order, "
            f"or 0"
        )


def check_least(**settings: tuple[int | None, int]) -> None:
    """Raise TomovoxError for a setting of a data module that is below its least: (value, least)."""
    for name, (value, least) in settings.items():
        if value is not None and value < least:
            raise TomovoxError(f"data.{name} is {value}; it must be at least {least}")


def check_root(root: Path) -> None:
    """Raise TomovoxError when there is no such data root."""
    if not root.is_dir():
        raise TomovoxError(
            f"{root}: no such data root; give the folder that holds M3D_Cap_npy, or make "
            f"a small one (tomovox data phantom)"
        )
