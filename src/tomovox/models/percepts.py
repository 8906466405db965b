"""Must a frozen encoder see a volume twice? What it made is kept, named by what it follows from.

Letters: u studies.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils.rnn import pad_sequence

from tomovox.models.sharding import system_of
from tomovox.models.weights import save_tensors
from tomovox.schema import Percept, Studies, TomovoxError

VERSION = 1
"""Raised when a system perceives otherwise than before: older files are then never found."""

Dtype = Literal["as_made", "float32", "bfloat16", "float16"]

UNREAD = frozenset(
    (
        *("language_config", "vocabulary", "mask_head_config", "optimizer_config", "stage"),
        *("init_from", "released", "released_report", "max_new_tokens", "strict_loading"),
        "choice_answers",
        *("at_once", "training"),  # encoders that are frozen are in eval whatever the model is in
    )
)
"""Settings of every model that no `encode` reads; a system names its own as `unread`."""


def perceived(model: Any, studies: Studies) -> Percept:
    """Return a VolumeLM's percept of studies: kept, or made now, with gradient if encoders train.

    Raises as `KeptPercepts`.
    """
    parts = (getattr(model, name) for name in model.encoders)
    trains = any(weight.requires_grad for part in parts for weight in part.parameters())
    if model.percepts is not None and not trains and model.percepts.serves(model):
        return model.percepts.percept(model, studies)
    with torch.set_grad_enabled(trains and torch.is_grad_enabled()):
        return model.perceive(studies)


@dataclass
class PerceptsConfig:
    """Where the percepts of frozen encoders are kept, one file for each study.

    Of a system that encodes `by_series` it is one for each series, whatever study that is part of.

    `dtype` is what features that have a width are kept in: "as_made" changes no bit; float16 and
    bfloat16 take half of float32's place, and training then reads the rounded ones from the first
    visit on.
    """

    folder: str
    dtype: Dtype = "as_made"

    def build(self) -> KeptPercepts:
        """Return the keeper."""
        return KeptPercepts(Path(self.folder), self.dtype)


class KeptPercepts:
    """Percepts found in a folder, or made and kept there; each file is whole or absent.

    A file is named by the digest of voxels as the encoders get them (so of volume and transform),
    of the encoders' weights and settings, and of the dtypes that compute and keep it: what changed
    is not found. One study (or series) is perceived at a time, so that its percept depends on no
    other; it equals that of a batch but for the rounding of sums. A file that is damaged or of
    something else is said and made again. `found` and `made` count files.
    """

    def __init__(self, folder: Path, dtype: Dtype = "as_made"):
        self.folder, self.dtype = folder, dtype
        self.found = self.made = 0
        self._weights: tuple[list[tuple[int, int]], str] | None = None

    def serves(self, model: Any) -> bool:
        """Return whether percepts of a model can be kept: it has encoders, and all are whole.

        Under FSDP2 all processes must encode at the same time, found or not. Raises TomovoxError
        while volumes are augmented: no draw comes again.
        """
        data = getattr(model._trainer, "datamodule", None)
        if model.training and getattr(data, "augment", False):
            raise TomovoxError(
                "data.augment shows every volume otherwise each time, and no percept comes again; "
                "switch it off or leave out model.percepts"
            )
        tensors = [tensor for _, tensor in _weights_of(model)]
        return bool(tensors) and not any(isinstance(tensor, DTensor) for tensor in tensors)

    @torch.no_grad()
    def percept(self, model: Any, studies: Studies) -> Percept:
        """Return what `model.perceive` makes of the studies, from the folder where it is there.

        Raises TomovoxError when a percept cannot be written.
        """
        device = studies.voxels[0].device
        maker = self._maker(model, device)
        rows = [self._row(model, each, maker) for each in _each(studies, model.by_series)]
        if model.by_series:
            on_device = [{name: x.to(device) for name, x in row.items()} for row in rows]
            return model.join(on_device, studies)
        return Percept({name: _stacked([row[name] for row in rows]).to(device) for name in rows[0]})

    def _row(self, model: Any, study: Studies, maker: str) -> dict[str, Tensor]:
        """Return the features of one study or series, without their axis of studies."""
        key = sha256(f"{maker} {_content(study)}".encode()).hexdigest()
        path = self.folder / key[:2] / f"{key}.safetensors"
        if (kept := _read(path, key)) is not None:
            self.found += 1
            return kept
        made = {name: value[0].cpu() for name, value in model.encode(study).features.items()}
        narrow = {name: self._narrowed(value) for name, value in made.items()}
        dtypes = {name: str(value.dtype).removeprefix("torch.") for name, value in made.items()}
        note = {"key": key, "sum": _sum(narrow), "dtypes": json.dumps(dtypes, sort_keys=True)}
        save_tensors(narrow, path, note)
        self.made += 1
        return {name: value.to(made[name].dtype) for name, value in narrow.items()}

    def _narrowed(self, feature: Tensor) -> Tensor:
        """Return a feature as it is kept; places and masks, which have no width, as they are."""
        if self.dtype == "as_made" or not feature.is_floating_point() or feature.ndim < 2:
            return feature
        return feature.to(getattr(torch, self.dtype))

    def _maker(self, model: Any, device: torch.device) -> str:
        """Return a digest of all that a percept follows from beside the study."""
        kind = device.type
        computed = str(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else "own"
        unread = UNREAD | model.unread
        settings = {
            name: _settings_of(value)
            for name, value in vars(model).items()
            if not name.startswith("_") and name not in unread and _is_setting(value)
        }
        modes = [getattr(model, name).training for name in model.encoders]
        system = getattr(model, "encodes_as", system_of(model))
        of = [VERSION, system, settings, modes, self._digest_of_weights(model), computed]
        of += [kind, torch.get_float32_matmul_precision(), torch.__version__, self.dtype]
        return sha256(json.dumps(of, sort_keys=True, default=str).encode()).hexdigest()

    def _digest_of_weights(self, model: Any) -> str:
        """Return the digest of the encoders' weights, made anew only after these were touched."""
        weights = list(_weights_of(model))
        touched = [(t.data_ptr(), -1 if t.is_inference() else t._version) for _, t in weights]
        if self._weights is None or self._weights[0] != touched:
            self._weights = touched, _sum(dict(weights))
        return self._weights[1]


def _weights_of(model: Any) -> Iterator[tuple[str, Tensor]]:
    for name in model.encoders:
        encoder: nn.Module = getattr(model, name)
        for part, tensor in encoder.state_dict(keep_vars=True).items():
            yield f"{name}.{part}", tensor


def _is_setting(value: Any) -> bool:
    plain = isinstance(value, str | int | float | tuple | list | type(None))
    return plain or (is_dataclass(value) and not isinstance(value, type))


def _settings_of(value: Any) -> Any:
    """Return a setting; of a config without what its weights' digest tells, or nothing changes.

    Nor is `chunk` told: how many slices are encoded at a time changes the rounding of sums alone.
    """
    if not is_dataclass(value) or isinstance(value, type):
        return value
    return {k: v for k, v in asdict(value).items() if k not in ("weights", "frozen", "chunk")}


def _each(studies: Studies, by_series: bool) -> Iterator[Studies]:
    """Yield the voxels of every study, or series, alone, without what is told of them."""
    owners = list(range(len(studies.voxels))) if by_series else studies.study.tolist()
    for row in range(len(set(owners))):
        own = [place for place, owner in enumerate(owners) if owner == row]
        yield Studies(
            [studies.voxels[place] for place in own], torch.zeros_like(studies.study[own])
        )


def _content(study: Studies) -> str:
    """Return a digest of all that an encoder may read of a study."""
    return _sum({str(place): volume for place, volume in enumerate(study.voxels)})


def _sum(tensors: dict[str, Tensor]) -> str:
    """Return a digest of named tensors: dtypes, shapes and every bit."""
    digest = sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read(path: Path, key: str) -> dict[str, Tensor] | None:
    """Return the mapped features of a file; None when there is none, or none that is whole."""
    try:
        with safe_open(path, framework="pt") as file:
            note = file.metadata() or {}
            kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        dtypes = json.loads(note["dtypes"])
        wrong = "of another study or model" if note["key"] != key else ""
        if not wrong and note["sum"] != _sum({name: kept[name] for name in dtypes}):
            wrong = "damaged"
        if not wrong:
            return {name: kept[name].to(getattr(torch, dtypes[name])) for name in dtypes}
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, LookupError, ValueError, AttributeError, TypeError) as error:
        wrong = f"not a kept percept ({' '.join(str(error).split())[:120]})"
    sys.stderr.write(f"{path}: {wrong}; it is made again\n")
    return None


def _stacked(rows: list[Tensor]) -> Tensor:
    """Return rows as one tensor, the shorter ones padded with zeros as `perceive` pads them."""
    if len({row.shape for row in rows}) == 1:
        return torch.stack(rows)
    return pad_sequence(rows, batch_first=True)
