"""What does a checkpoint hold? All that training made and nothing that its source gives back."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from torch.distributed.tensor import DTensor

from tomovox.models.released import load_released
from tomovox.models.sharding import first_process, system_of, wait_for_all, whole
from tomovox.models.weights import key_faults, save_tensors, untied_state, weights_file
from tomovox.schema import TomovoxError


def kept_state(model: Any) -> dict[str, Tensor]:
    """Return the state to keep: every tensor that is not under a frozen part with a source.

    Trainable tensors are kept always, so LoRA adapters inside a sourced language model are.
    """
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    return {
        name: tensor
        for name, tensor in untied_state(model).items()
        if name in trainable or name.split(".")[0] not in model.sources
    }


def gathered_state(model: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return of what Lightning gathered for a checkpoint the state to keep.

    Under FSDP2 these are whole tensors, and none but in the first process; where each device writes
    its share (save_distributed_checkpoint), all are kept, since all are asked for again.
    """
    if any(isinstance(tensor, DTensor) for tensor in state.values()):
        return state
    kept = kept_state(model).keys()
    return {key: state[key] for key in state if key in kept}


def check_checkpoint(model: Any, state: dict[str, Tensor], system: str, place: str) -> None:
    """Raise TomovoxError unless `state` is exactly what `kept_state` of this model holds."""
    own = system_of(model)
    if system != own:
        raise TomovoxError(
            f"{place}: made by {system}, not {own}; give a checkpoint of the configured model"
        )
    wanted = {k: tuple(v.shape) for k, v in kept_state(model).items()}
    faults = key_faults(wanted, {k: tuple(v.shape) for k, v in state.items()})
    if faults:
        raise TomovoxError(f"{place}: does not fit {own} as configured: {faults}")


def save_trained(model: Any, path: Path) -> None:
    """Write what training made as safetensors, with the system and the sources of the rest.

    Of the processes that train a model together all must call this. The first one writes, and the
    others wait for it.
    """
    state = whole(kept_state(model))
    if first_process():
        note = {"system": system_of(model), "sources": json.dumps(model.sources, sort_keys=True)}
        save_tensors(state, path, note)
    wait_for_all()


def load_trained(model: Any, path: str | Path) -> None:
    """Restore a file of `save_trained` into a configured model, strictly.

    Raises TomovoxError when the file is of another model or does not fit.
    """
    state, note, file = _read(path)
    check_checkpoint(model, state, note.get("system", "another program"), str(file))
    model.load_state_dict(state, strict=False)


def load_initial(model: Any, path: str) -> None:
    """Start from an earlier stage: every tensor in `path` must exist here, and the whole bridge.

    A .bin is the file of a released stage, such as mm_projector.bin of M3D-LaMed.
    """
    if path.endswith(".bin"):
        report = load_released(model, path)
        _check_kept(model, report.loaded.keys(), path)
        return
    state, note, file = _read(path)
    system, own = note.get("system", "another program"), system_of(model)
    if system != own:
        raise TomovoxError(f"{file}: made by {system}, not {own}; give a stage of the same system")
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    parts = {*model.encoders, "language", *model.sources}
    bridge = {k: s for k, s in shapes.items() if k.split(".")[0] not in parts}
    wanted = bridge | {k: shapes[k] for k in state if k in shapes}
    faults = key_faults(wanted, {k: tuple(v.shape) for k, v in state.items()})
    if faults:
        raise TomovoxError(f"{file}: cannot start {own} from it: {faults}")
    _check_kept(model, state.keys(), str(file))
    model.load_state_dict(state, strict=False)


def _check_kept(model: Any, keys: Iterable[str], place: str) -> None:
    """Raise TomovoxError when a stage would start from weights that its own file leaves out."""
    if lost := sorted(set(keys) - kept_state(model).keys()):
        raise TomovoxError(
            f"{place}: holds a trained {lost[0]}, which this stage neither trains nor keeps; train "
            f"it here too (language.embeddings, frozen: false)"
        )


def _read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str], Path]:
    file = weights_file(str(path))
    try:
        with safe_open(file, framework="pt") as stream:
            note = stream.metadata() or {}
        return load_file(file), note, file
    except (OSError, SafetensorError) as error:
        raise TomovoxError(f"{file}: no readable checkpoint ({error})") from None
