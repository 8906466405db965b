"""Where do the weights of a part come from? Safetensors files only, loaded strictly."""

from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tomovox.packaged import quiet_loading, resolve_package
from tomovox.schema import TomovoxError

ModuleT = TypeVar("ModuleT", bound=nn.Module)

WEIGHTS_FILE = "model.safetensors"
"""The file of a folder that holds the weights of a whole part or model."""


def weights_file(path: str) -> Path:
    """Return the safetensors file that `path` names: itself, or its model.safetensors."""
    place = Path(path)
    return place / WEIGHTS_FILE if place.is_dir() else place


def load_weights(module: ModuleT, path: str | None) -> ModuleT:
    """Load `path` into `module` strictly and return it; None leaves it as initialised.

    Raises TomovoxError naming missing, unexpected and mis-shaped keys.
    """
    if path is None:
        return module
    file = weights_file(path)
    try:
        state = load_file(file)
    except (OSError, SafetensorError) as error:
        raise TomovoxError(
            f"{file}: no readable safetensors file ({error}); give another path or null"
        ) from None
    own = untied_state(module)
    faults = key_faults(
        {k: tuple(v.shape) for k, v in own.items()}, {k: tuple(v.shape) for k, v in state.items()}
    )
    if faults:
        raise TomovoxError(f"{file}: does not fit {type(module).__name__}: {faults}")
    module.load_state_dict(state, strict=False)
    return module


def load_pretrained(loader: Any, name: str, part: str, **arguments: Any) -> Any:
    """Return what a transformers Auto class loads from a folder, hub or `package:` name.

    No remote code, safetensors only. Raises TomovoxError naming `part` when nothing can be loaded
    or when the model has a weight that the files lack.
    """
    try:
        with quiet_loading():
            model, found = loader.from_pretrained(
                resolve_package(name),
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                **arguments,
            )
    except (OSError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise TomovoxError(f"{part} {name}: cannot be loaded ({first})") from None
    if missing := sorted(found["missing_keys"]):
        raise TomovoxError(
            f"{part} {name}: {len(missing)} weights are missing, such as {missing[0]}; "
            f"give the files of the whole model"
        )
    return model


def untied_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the state dict with a weight that several names share under its first name only."""
    seen: set[int] = set()
    state = {}
    for name, tensor in module.state_dict().items():
        place = tensor.data_ptr()
        if place and place in seen:
            continue
        seen.add(place)
        state[name] = tensor.detach()
    return state


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
    return "; ".join(
        f"{kind}: {', '.join(keys[:3])}{f' and {len(keys) - 3} more' if len(keys) > 3 else ''}"
        for kind, keys in kinds.items()
        if keys
    )
