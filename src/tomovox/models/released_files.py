"""Which tensors does a released file or folder hold? Safetensors, or pickles of tensors alone.

A folder is a model of transformers in one file or in shards, or a folder per part (Med-2E3). No
code in a file is ever run.
"""

import struct
import zipfile
from pathlib import Path
from pickle import UnpicklingError  # its name alone: nothing is unpickled but by torch, safely
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tomovox.parsed import read_object
from tomovox.schema import TomovoxError

State = dict[str, Tensor]

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WHOLE = (
    *("model.safetensors", "pytorch_model.bin", "model.bin", "model_params.bin"),
    *("model_with_lora.bin", "pretrained_ViT.bin", "mm_projector.bin"),
)
"""File names under which releases write a whole state dict; an earlier one is taken first."""

LONGEST_NAME = 80
"""Characters of the name of a shard."""

WRAPPERS = ("state_dict", "model_state_dict")
"""Keys under which training programs put the state dict inside their own dictionary."""


def read_released(place: str | Path) -> State:
    """Return the state dict of a released file or folder under its own keys.

    Raises TomovoxError when there is none, when a file holds anything but tensors, when a shard or
    one of its keys is missing, and when a tensor is empty (a part of a sharded training state).
    """
    path = Path(place)
    state = _folder(path) if path.is_dir() else _file(path)
    if not state:
        raise TomovoxError(f"{path}: holds no tensor; give the file or folder of a checkpoint")
    empty = sorted(key for key, tensor in state.items() if not tensor.numel())
    if empty:
        raise TomovoxError(
            f"{path}: {len(empty)} tensors have no values, such as {empty[0]}: one rank's share of "
            f"a ZeRO-3 state; gather it with zero_to_fp32.py first"
        )
    return state


def _folder(folder: Path) -> State:
    for name in INDEXES:
        if (folder / name).is_file():
            return _shards(folder / name)
    for name in WHOLE:
        if (folder / name).is_file():
            return _file(folder / name)
    parts = sorted(p for p in folder.iterdir() if p.is_dir() and _holds_weights(p))
    if not parts:
        raise TomovoxError(
            f"{folder}: holds no weights; expected {', '.join(WHOLE[:2])}, {INDEXES[0]} or a "
            f"folder per part"
        )
    return {f"{part.name}.{key}": value for part in parts for key, value in _folder(part).items()}


def _holds_weights(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (*INDEXES, *WHOLE))


def _shards(index: Path) -> State:
    """Return the tensors that an index names, each from the file it names."""
    placed = read_object(index, "copy it again").get("weight_map")
    names = list(placed.values()) if isinstance(placed, dict) else [None]
    files = {name for name in names if isinstance(name, str) and len(name) <= LONGEST_NAME}
    if not isinstance(placed, dict) or any(type(n) is not str or n not in files for n in names):
        raise TomovoxError(f"{index}: its weight_map names no files; copy it again")
    state: State = {}
    for name in sorted(files):
        if Path(name).name != name:
            raise TomovoxError(f"{index}: {name!r} is no file beside the index; copy it again")
        shard = _file(index.parent / name)
        wanted = {key for key, file in placed.items() if file == name}
        if strange := sorted(wanted ^ shard.keys()):
            raise TomovoxError(
                f"{index.parent / name}: does not hold what {index.name} says ({len(strange)} "
                f"keys differ, such as {strange[0]}); copy the shards again"
            )
        state |= shard
    return state


def _file(path: Path) -> State:
    if not path.is_file():
        raise TomovoxError(f"{path}: no such file or folder; give a released checkpoint")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return _tensors(_unpickled(path), path)
    except (OSError, SafetensorError) as error:
        raise TomovoxError(f"{path}: cannot be read ({error}); copy it again") from None


def _unpickled(path: Path) -> Any:
    """Return what a torch file holds, read without running anything (weights_only)."""
    try:
        return torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except (
        *(UnpicklingError, RuntimeError, EOFError, MemoryError, RecursionError, OverflowError),
        # Of bytes that are no pickle at all, or one of other things than tensors.
        *(ValueError, LookupError, AttributeError, TypeError, AssertionError, struct.error),
    ) as error:
        first = str(error).strip().partition("\n")[0]
        raise TomovoxError(
            f"{path}: refused: no plain torch file of tensors ({first[:160]}); save its state dict "
            f"as safetensors"
        ) from None


def _tensors(value: Any, path: Path) -> State:
    """Return the state dict in what was read, unwrapped; TomovoxError for anything else."""
    for wrapper in WRAPPERS:
        if isinstance(value, dict) and isinstance(value.get(wrapper), dict):
            value = value[wrapper]
    if not isinstance(value, dict):
        raise TomovoxError(f"{path}: holds a {type(value).__name__}, wanted a state dict")
    strange = [k for k, v in value.items() if not (isinstance(k, str) and isinstance(v, Tensor))]
    if strange:
        raise TomovoxError(
            f"{path}: {len(strange)} entries are no named tensors, such as {strange[0]!r}; save "
            f"the state dict alone"
        )
    return dict(value)
