"""How does a trained model become a checkpoint that the released code reads? Under its key names.

What training left in our modules is written; weights of a release that nothing reads (pooling
heads, unused projections) do not exist here and are not written.
"""

import json
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import nn

from tomovox.files import write_atomically
from tomovox.models.base import VolumeLM
from tomovox.models.released import merge_lora
from tomovox.models.released_files import State
from tomovox.models.released_names import M3D_LAMED, MED2E3, Layout
from tomovox.models.weights import LAMED_TYPES, untied_state
from tomovox.schema import TomovoxError

FileFormat = Literal["safetensors", "bin"]

WRITTEN: dict[str, Layout] = {"M3DLaMed": M3D_LAMED, "Med2E3": MED2E3}
"""Class of a model -> the layout it is written in; the training of M3D-CLIP writes its own."""

FILES: dict[FileFormat, str] = {"safetensors": "model.safetensors", "bin": "pytorch_model.bin"}


def released_state(model: nn.Module, lora_alpha: float = 32.0) -> State:
    """Return the weights of a model under released names, LoRA adapters merged.

    Raises TomovoxError when the system has no release or a part has no released form.
    """
    layout = WRITTEN.get(type(model).__name__)
    if layout is None:
        raise TomovoxError(
            f"{type(model).__name__} has no released form; one has: {', '.join(sorted(WRITTEN))}"
        )
    tap = "normed" if layout is M3D_LAMED else "last_block"
    for name, form in (("vision3d", tap), ("seg_module.image_encoder", "normed")):
        config = getattr(_part(model, name), "config", None)
        if config is None:
            continue
        if config.stem != "linear":
            raise TomovoxError(f"{name}: a stem {config.stem} has no released form; train linear")
        if config.tap != form:
            raise TomovoxError(f"{name}: the release reads its tokens at {form}, not {config.tap}")
    state: State = {}
    for ours, value in merge_lora(untied_state(model), lora_alpha).items():
        theirs = layout.released(ours)
        if theirs is None:
            raise TomovoxError(
                f"{ours}: {layout.title} has no such weight; export a model of its published form"
            )
        state[theirs] = value.detach().cpu().contiguous()
    return state


def _part(model: nn.Module, name: str) -> Any:
    part: Any = model
    for step in name.split("."):
        part = getattr(part, step, None)
    return part


def write_released(model: VolumeLM, folder: Path, file_format: FileFormat) -> list[Path]:
    """Write a model as its release lies on disk and return the files.

    Med-2E3 is a folder per part, the others one file; a language model's config.json lies beside
    its weights. Raises TomovoxError as `released_state` does, and when the folder holds files.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise TomovoxError(f"{folder}: is not empty; give a new folder")
    state = released_state(model, model.language_config.lora.alpha)
    parts: dict[str, State] = {"": state}
    if WRITTEN[type(model).__name__] is MED2E3:
        parts = {}
        for key, value in state.items():
            part, _, rest = key.partition(".")
            parts.setdefault(part, {})[rest] = value
    written = []
    for part, tensors in sorted(parts.items()):
        file = folder / part / FILES[file_format]
        file.parent.mkdir(parents=True, exist_ok=True)
        if file_format == "bin":
            torch.save(tensors, file)  # tensors alone: weights_only reads them
        else:
            save_file(tensors, file, metadata={"format": "pt"})
        written.append(file)
    place = folder / ("llm" if len(parts) > 1 else "") / "config.json"
    write_atomically(place, _settings(model))
    return [*written, place]


def _settings(model: Any) -> str:
    """Return config.json: that of the language model, of M3D-LaMed with what it adds to it."""
    settings = dict(model.language.model.config.to_dict())
    if type(model).__name__ == "M3DLaMed":
        types = {ours: theirs for theirs, ours in LAMED_TYPES.items()}
        vision, form = model.vision3d_config, model.projector_config
        settings |= {
            "model_type": types.get(settings["model_type"], settings["model_type"]),
            "image_channel": 1,
            "image_size": list(vision.image),
            "patch_size": list(vision.patch),
            "vision_tower": "vit3d",
            "vision_select_layer": -1,
            "vision_select_feature": "patch",
            "mm_projector_type": "spp",
            "proj_layer_type": form.layers,
            "proj_layer_num": form.depth,
            "proj_pooling_type": form.pooling,
            "proj_pooling_size": form.pool,
            "mm_hidden_size": vision.width,
            "segmentation_module": "segvol" if model.mask_head_config else None,
            "seg_token_id": model.language.vocabulary.seg,
        }
    return json.dumps(settings, indent=2, sort_keys=True, default=str) + "\n"
