"""What lies in a checkpoint? Its system, sizes and number types, and what it lacks."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tomovox.models.released_files import State, read_released
from tomovox.models.released_names import LAYOUTS, Layout, recognise
from tomovox.parsed import is_count, read_object
from tomovox.schema import TomovoxError

MOST_LAYERS = 10_000
STACK = re.compile(r"^(.*?\b(?:layers|layer|blocks)\.)([0-9]{1,4})\.(.*)$")
"""A weight of one layer of a stack: (stack, number of the layer, weight within it)."""


@dataclass
class Part:
    """What one part of a checkpoint holds."""

    name: str
    tensors: int = 0
    parameters: int = 0
    dtypes: Counter[str] = field(default_factory=Counter)


@dataclass
class Contents:
    """What a checkpoint holds. `absent` are parts of the layout without a weight, `gaps` weights
    that every such checkpoint or another layer of the same stack has, `strange` keys that the
    layout does not know.
    """

    place: str
    layout: Layout
    parts: list[Part]
    absent: list[str]
    gaps: list[str]
    strange: list[str]

    @property
    def parameters(self) -> int:
        """Number of parameters of all parts."""
        return sum(part.parameters for part in self.parts)


def inspect_released(place: Path) -> Contents:
    """Return what a released file or folder holds; TomovoxError when it is of no known system."""
    state = read_released(place)
    layout = recognise(state)
    if layout is None:
        known = ", ".join(each.title for each in LAYOUTS)
        raise TomovoxError(
            f"{place}: keys of no known system, such as {min(state)}; known are {known}"
        )
    parts: dict[str, Part] = {}
    strange = []
    for key, value in sorted(state.items()):
        name = _part_of(key, layout)
        if name is None:
            strange.append(key)
            continue
        part = parts.setdefault(name, Part(name))
        part.tensors += 1
        part.parameters += value.numel()
        part.dtypes[str(value.dtype).removeprefix("torch.")] += 1
    openings = [theirs for theirs, _ in layout.openings]
    plain = {layout.plain(key) for key in state}
    # Our tiny scale embeds patches by convolutions, which no release has.
    other_stem = any(".patch_embeddings.merge." in f".{key}" for key in plain)
    needed = [w for w in layout.needed if not (other_stem and ".patch_embeddings.1." in f".{w}")]
    missing = [weight for weight in needed if weight not in plain]
    missing += _last_layers(place, plain)
    absent = [theirs for theirs in openings if theirs and theirs not in parts]
    return Contents(
        str(place), layout, list(parts.values()), absent, missing + gaps(state), strange
    )


def _part_of(key: str, layout: Layout) -> str | None:
    if layout.is_unused(key):
        return "never read"
    plain = layout.plain(key)
    fitting = [theirs for theirs, _ in layout.openings if plain.startswith(theirs)]
    return fitting[0] if fitting else None


def _last_layers(place: Path, keys: set[str]) -> list[str]:
    """Return the language model's layers that config.json beside the weights counts and keys lack.

    A stack that ends early has no gap, so its own file must tell how long it is.
    """
    folder = place if place.is_dir() else place.parent
    wanted = []
    for opening, file in (
        ("model.layers.", "config.json"),
        ("llm.model.layers.", "llm/config.json"),
    ):
        if not (folder / file).is_file() or not any(key.startswith(opening) for key in keys):
            continue
        settings = read_object(folder / file, "copy it again")
        count = settings.get("num_hidden_layers", 0)
        if not is_count(count) or count > MOST_LAYERS:
            raise TomovoxError(f"{folder / file}: num_hidden_layers is no number; copy it again")
        wanted += [f"{opening}{n}." for n in range(count)]
    return [f"{layer}*" for layer in wanted if not any(key.startswith(layer) for key in keys)]


def gaps(state: State) -> list[str]:
    """Return the weights that some layer of a stack lacks though another layer has them."""
    stacks: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for key in state:
        if found := STACK.match(key):
            stacks[found[1]][int(found[2])].add(found[3])
    missing = []
    for stack, layers in stacks.items():
        weights = set.union(*layers.values())
        for number in range(max(layers) + 1):
            lacking = weights - layers.get(number, set())
            missing += [f"{stack}{number}.{weight}" for weight in lacking]
    return sorted(missing)
