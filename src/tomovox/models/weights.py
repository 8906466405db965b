"""Where does a part come from? Sources by name or folder, safetensors only; key arithmetic."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from tomovox.files import whole_file
from tomovox.models.architectures import ARCHITECTURES
from tomovox.packaged import reading_files, resolve_source
from tomovox.schema import TomovoxError

WEIGHTS_FILE = "model.safetensors"
"""The file of a folder that holds the weights of a whole part or model."""


LAMED_TYPES = {"lamed_llama": "llama", "lamed_phi3": "phi3"}
"""model_type in a config.json of M3D-LaMed -> that of its language model."""

_SIZES_ONLY: ContextVar[bool] = ContextVar("sizes_only", default=False)


def weights_file(path: str) -> Path:
    """Return the safetensors file that `path` names: itself, or its model.safetensors."""
    place = Path(path)
    return place / WEIGHTS_FILE if place.is_dir() else place


@contextmanager
def sizes_only() -> Iterator[None]:
    """Build the parts inside without reading their sources: what fills them comes afterwards."""
    token = _SIZES_ONLY.set(True)
    try:
        yield
    finally:
        _SIZES_ONLY.reset(token)


def reads_sources() -> bool:
    """Return whether parts read their weights: not inside `sizes_only`, nor on the meta device."""
    return not (_SIZES_ONLY.get() or torch.empty(0).is_meta)


def load_pretrained(loader: Any, name: str, part: str, **arguments: Any) -> Any:
    """Return what a transformers class loads from a folder, hub or `package:` name.

    No remote code, safetensors only. Without sources (see `reads_sources`) the model of that config
    is built. Raises TomovoxError naming `part` when nothing can be loaded or when the model has a
    weight that the files lack.
    """
    if not reads_sources():
        config = arguments.pop("config", None) or read_config(name, part)
        build = getattr(loader, "from_config", None) or loader._from_config
        return build(config, **arguments)
    try:
        with reading_files():
            model, found = loader.from_pretrained(
                resolve_source(name),
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                **arguments,
            )
    except ValueError as error:
        raise TomovoxError(f"{part} {name}: cannot be loaded ({error})") from None
    if missing := sorted(found["missing_keys"]):
        raise TomovoxError(
            f"{part} {name}: {len(missing)} weights are missing, such as {missing[0]}; "
            f"give the files of the whole model"
        )
    return model


def read_config(name: str, part: str) -> Any:
    """Return the transformers config of a folder, hub or `package:` name.

    On the meta device the sizes of the public models in ARCHITECTURES need no file. A config that
    M3D-LaMed wrote is that of its language model. Raises TomovoxError naming `part`.
    """
    from transformers import AutoConfig, PreTrainedConfig

    if torch.empty(0).is_meta and name in ARCHITECTURES:
        sizes = deepcopy(ARCHITECTURES[name])  # transformers writes into nested settings
        return AutoConfig.for_model(**sizes)
    place = resolve_source(name)
    try:
        with reading_files():
            settings, _ = PreTrainedConfig.get_config_dict(place)
            if (kind := settings.get("model_type")) in LAMED_TYPES:
                own = {k: v for k, v in settings.items() if k not in ("model_type", "auto_map")}
                return AutoConfig.for_model(LAMED_TYPES[kind], **own)
            return AutoConfig.from_pretrained(place, trust_remote_code=False)
    except ValueError as error:
        raise TomovoxError(f"{part} {name}: cannot be loaded ({error})") from None


def untied_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the state dict with a weight that several names share under its first name only."""
    seen: set[int] = set()
    state = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        place = tensor.data_ptr() or id(tensor)  # on the meta device nothing has an address
        if place in seen:
            continue
        seen.add(place)
        state[name] = tensor.detach()
    return state


def save_tensors(
    state: Mapping[str, Tensor], path: Path, note: dict[str, str] | None = None
) -> None:
    """Write tensors and a note as safetensors, whole or not at all.

    Raises TomovoxError when the disk is full or the place cannot be written.
    """
    kept = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    try:
        with whole_file(path) as temporary:
            save_file(kept, temporary, metadata=note)
    except SafetensorError as error:
        raise TomovoxError(f"{path}: cannot be written ({error}); mend it") from None


def key_faults(wanted: dict[str, tuple[int, ...]], given: dict[str, tuple[int, ...]]) -> str:
    """Return what is wrong with the given keys, at most three of a kind; empty when nothing is."""
    kinds = {
        "missing": sorted(wanted.keys() - given.keys()),
        "unexpected": sorted(given.keys() - wanted.keys()),
        "other shape": [
            f"{k} {given[k]} for {wanted[k]}"
            for k in sorted(wanted.keys() & given.keys())
            if wanted[k] != given[k]
        ],
    }
    return listed(kinds)


def listed(kinds: Mapping[str, Sequence[str]]) -> str:
    """Return `kind: keys` of every kind that has some, at most three keys of each, in one line."""
    return "; ".join(
        f"{kind}: {', '.join(keys[:3])}{f' and {len(keys) - 3} more' if len(keys) > 3 else ''}"
        for kind, keys in kinds.items()
        if keys
    )
