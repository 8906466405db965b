"""Does a released checkpoint fill this model, weight by weight? Strict loading with a report.

Shapes decide; a key that is not explained stops the load. What the release writes and never reads,
and parts that a recipe leaves out, are listed apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from tomovox.models.released_files import State, read_released
from tomovox.models.released_names import PARTS, Layout, recognise
from tomovox.models.weights import key_faults, listed, reads_sources, untied_state
from tomovox.parsed import read_object
from tomovox.schema import TomovoxError

ModuleT = TypeVar("ModuleT", bound=nn.Module)
Shapes = Mapping[str, tuple[int, ...]]


@dataclass
class KeyReport:
    """What became of every key. `loaded` maps our key to the released one; the rest are names.

    `missing`, `unexpected` and `other_shape` are faults, by released names. `unused` weights are
    never read, `left_out` belong to parts the recipe does not build, `fresh` are our LoRA weights,
    which start at no effect. `merged` says how many adapters were merged, and at which alpha.
    """

    place: str
    title: str
    loaded: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    other_shape: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    merged: str = ""

    @property
    def faulty(self) -> bool:
        """Whether some key is not explained."""
        return bool(self.missing or self.unexpected or self.other_shape)

    def summary(self) -> str:
        """Return the counts of every kind in one line."""
        counts = {
            "loaded": self.loaded,
            "missing": self.missing,
            "unexpected": self.unexpected,
            "other shape": self.other_shape,
            "never read": self.unused,
            "of parts left out": self.left_out,
            "new LoRA": self.fresh,
        }
        told = [f"{len(keys)} {kind}" for kind, keys in counts.items() if keys or kind == "loaded"]
        told += [self.merged] if self.merged else []
        return f"{self.place}: {self.title}: {', '.join(told)}"


def explain(module: nn.Module, shapes: Shapes, layout: Layout, place: str) -> KeyReport:
    """Return what loading a state dict of these shapes into `module` would do to every key."""
    report = KeyReport(place, layout.title)
    own = {key: tuple(value.shape) for key, value in untied_state(module).items()}
    tied = module.state_dict().keys() - own.keys()
    adapted = any("lora_" in key for key in own) and not any("lora_" in key for key in shapes)
    wrapped = {key.replace(".base_layer.", "."): key for key in own} if adapted else {}
    for released, shape in shapes.items():
        ours = layout.ours(released)
        ours = None if ours is None else wrapped.get(ours, ours)
        if layout.is_unused(released) or ours in tied:
            report.unused.append(released)
        elif ours is None:
            report.unexpected.append(released)
        elif (part := ours.partition(".")[0]) in layout.optional and not _has(module, part):
            report.left_out.append(released)
        elif ours not in own or ours in report.loaded:  # the latter: two spellings of one weight
            report.unexpected.append(released)
        elif own[ours] != shape:
            report.other_shape.append(f"{released} {shape} for {own[ours]}")
        else:
            report.loaded[ours] = released
    named = report.loaded.keys() | {
        wrapped.get(o, o) for r in shapes if (o := layout.ours(r)) is not None
    }
    for ours in sorted(own.keys() - named):
        theirs = layout.released(ours)
        if adapted and "lora_" in ours:
            report.fresh.append(ours)
        elif theirs is not None or not layout.partial:
            report.missing.append(theirs or ours)
    return report


def _has(module: nn.Module, part: str) -> bool:
    return isinstance(getattr(module, part, None), nn.Module)


def load_state(module: nn.Module, state: State, place: str, lora_alpha: float = 32.0) -> KeyReport:
    """Fill `module` from a released state dict and return what became of every key.

    LoRA adapters in `state` are merged into their weights when the module has none. Raises
    TomovoxError naming up to three missing, unexpected and mis-shaped keys each, and when no layout
    of this kind of module fits.
    """
    layouts = PARTS.get(type(module).__name__, ())
    layout = recognise(state, layouts)
    if layout is None:
        known = ", ".join(each.title for each in layouts) or "none"
        raise TomovoxError(
            f"{place}: no checkpoint for {type(module).__name__}; it can be filled from: {known}"
        )
    adapters = sum(".lora_A." in key for key in state)
    merges = adapters > 0 and not any("lora_" in key for key in module.state_dict())
    if merges:
        state = merge_lora(state, lora_alpha)
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    report = explain(module, shapes, layout, place)
    report.merged = f"{adapters} LoRA adapters merged at alpha {lora_alpha:g}" if merges else ""
    _check_twins(module, state, layout, report)
    if report.faulty:
        raise TomovoxError(f"{report.summary()}; {faults_of(report)}")
    with torch.no_grad():
        own = module.state_dict()
        for ours, released in report.loaded.items():
            own[ours].copy_(state[released])
    return report


def _check_twins(module: nn.Module, state: State, layout: Layout, report: KeyReport) -> None:
    """Raise TomovoxError when a release holds two values for a weight that our model shares."""
    own = module.state_dict(keep_vars=True)
    loaded = {id(own[ours]): released for ours, released in report.loaded.items()}
    for released in report.unused:
        ours = layout.ours(released)
        if layout.is_unused(released) or ours is None:
            continue
        first = loaded.get(id(own[ours]))
        if first is not None and not torch.equal(state[released], state[first]):
            raise TomovoxError(
                f"{report.place}: {released} differs from {first}, but the model shares one weight "
                f"for both: set tie_word_embeddings to false in the config of the language model"
            )


def load_whole(module: nn.Module, path: str | Path, lora_alpha: float) -> KeyReport:
    """Fill every weight of `module` from a release; TomovoxError when it holds only some parts."""
    report = load_released(module, path, lora_alpha)
    if rest := sorted(untied_state(module).keys() - report.loaded.keys() - set(report.fresh)):
        raise TomovoxError(
            f"{path}: holds no {rest[0]} and {len(rest) - 1} more weights; `released` takes a "
            f"whole checkpoint, init_from the file of a stage"
        )
    return report


def load_released(module: nn.Module, path: str | Path, lora_alpha: float = 32.0) -> KeyReport:
    """Fill `module` from a released file or folder; see `load_state` and `read_released`.

    Raises TomovoxError too when adapter_config.json beside it names another alpha.
    """
    place = Path(path)
    config = (place if place.is_dir() else place.parent) / "adapter_config.json"
    if config.is_file():
        said = read_object(config, "copy it again").get("lora_alpha")
        if said is not None and said != lora_alpha:
            raise TomovoxError(
                f"{config}: lora_alpha is {said}, the recipe says {lora_alpha:g}: set "
                f"language.lora.alpha"
            )
    return load_state(module, read_released(path), str(path), lora_alpha)


def load_weights(module: ModuleT, path: str | None) -> ModuleT:
    """Fill a part from `path` strictly and return it; None leaves it as initialised.

    `path` is a file or folder of this suite or of a release that holds the part. Nothing is read
    where `reads_sources` says so. Raises TomovoxError naming missing, unexpected and mis-shaped
    keys.
    """
    if path is None or not reads_sources():
        return module
    if type(module).__name__ in PARTS:
        load_released(module, path)
        return module
    state = read_released(path)
    own = {k: tuple(v.shape) for k, v in untied_state(module).items()}
    if faults := key_faults(own, {k: tuple(v.shape) for k, v in state.items()}):
        raise TomovoxError(f"{path}: does not fit {type(module).__name__}: {faults}")
    module.load_state_dict(state, strict=False)
    return module


def faults_of(report: KeyReport) -> str:
    """Return the unexplained keys in one line, at most three of a kind."""
    kinds = {
        "missing": report.missing,
        "unexpected": report.unexpected,
        "other shape": report.other_shape,
    }
    return listed(kinds)


def merge_lora(state: State, alpha: float) -> State:
    """Return the state with every LoRA pair merged: W + (alpha / rank) B A, base_layer renamed.

    A state without adapters is returned as it is.
    """
    pairs = [key for key in state if ".lora_A." in key]  # such as q_proj.lora_A.default.weight
    if not pairs:
        return state
    halves = {key.replace(".lora_A.", ".lora_B.") for key in pairs}
    merged = {
        k.replace(".base_layer.", "."): v
        for k, v in state.items()
        if k not in halves and ".lora_A." not in k  # any other .lora_ key stays and is refused
    }
    for key in pairs:
        down, up = state[key], state.get(key.replace(".lora_A.", ".lora_B."))
        weight = f"{key.partition('.lora_A.')[0]}.weight"
        if up is None or weight not in merged:
            raise TomovoxError(f"{key}: its lora_B or the weight it adapts is missing")
        scale = alpha / down.shape[0]
        base = merged[weight]
        merged[weight] = (base.float() + scale * (up.float() @ down.float())).to(base.dtype)
    return merged
