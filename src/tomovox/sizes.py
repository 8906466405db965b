"""How large is a recipe's model, and what does an answer cost? Counted without any weights.

Models are built and run on the meta device, where a tensor has a shape and no values: a 7B model
takes a second. 1 multiply-add is 2 FLOPs; what is no matrix product or convolution is not counted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
from jsonargparse import ArgumentError, ArgumentParser
from lightning import LightningModule
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from tomovox.configuration import one_line, read_yaml
from tomovox.models.base import VolumeLM, count_parameters
from tomovox.models.clip_training import ClipTraining
from tomovox.models.language import LanguageConfig
from tomovox.models.part_training import PartTraining
from tomovox.models.vit3d import ViT3D
from tomovox.models.weights import read_config
from tomovox.packaged import quiet_loading, resolve_source
from tomovox.schema import Batch, Questions, Studies, TomovoxError, Vocabulary

Counted = VolumeLM | ClipTraining | PartTraining
"""What a recipe may describe: a model that answers, that embeds, or the training of a part."""

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

TEXT_TOKENS = 32
"""Nominal text tokens of a prompt, and of the question alone as a question encoder reads it."""

SLICES, SIDE = 32, 256
"""Nominal slices of a volume, and pixels of their sides, where a recipe fixes none."""

VOCABULARY = 512
"""Nominal token rows of a language model whose tokenizer is built from the training texts."""

NO_RECIPE = "no recipe, so there is no network to count"


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Parameters, visual tokens per question and GFLOPs of one recipe; None is what it has not.

    `trainable` is of the recipe's stage, instruct unless it says align. `perceive` is spent once
    per volume; `attend` (visual tokens) and `prefill` (prompt and visual tokens through the
    language model, the last position to the vocabulary) per question; `token` per further token of
    the answer. A mask head is in `parameters` and in none of these. `note` says why a figure is
    missing.
    """

    recipe: str
    parameters: int | None = None
    trainable: int | None = None
    visual_tokens: int | None = None
    perceive: float | None = None
    attend: float | None = None
    prefill: float | None = None
    token: float | None = None
    note: str = ""

    @property
    def question(self) -> float | None:
        """GFLOPs per question: `attend` and `prefill`."""
        if self.attend is None or self.prefill is None:
            return None
        return self.attend + self.prefill


class NothingPadded(TorchDispatchMode):
    """Answer yes where code asks whether a mask is full, or a row still open: here both hold.

    A tensor of the meta device has no value, so any other question that is a bool gets a yes too;
    what asks for a number still fails.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run the operation, but return True as the value of a bool without one."""
        asks = func is torch.ops.aten._local_scalar_dense.default
        if asks and args[0].is_meta and args[0].dtype == torch.bool:
            return True
        return func(*args, **(kwargs or {}))


def gflops(run: Callable[P, ResultT], *args: P.args, **kwargs: P.kwargs) -> tuple[ResultT, float]:
    """Return what `run` returns and the GFLOPs it takes; its tensors may be of the meta device."""
    with NothingPadded(), FlopCounterMode(display=False) as counter:
        result = run(*args, **kwargs)
    return result, counter.get_total_flops() / 1e9


def size_of(recipe: Path) -> ModelSize:
    """Return the sizes of the model that a recipe describes, at the nominal sizes above.

    Raises TomovoxError when the recipe is broken, when the sizes of a part can be had from no file
    or list, or when the model needs the values of tensors to run.
    """
    try:
        model = build(recipe)
        trainable, parameters = count_parameters(model)
        costs = costs_of(model)
    except (ValueError, RuntimeError) as error:
        # jsonargparse wraps what a config refuses.
        reason = error.__cause__ if isinstance(error.__cause__, TomovoxError) else error
        raise TomovoxError(
            f"{recipe}: cannot be built and run on shapes alone: {one_line(str(reason))}; correct "
            f"its settings, or what asks for the values of a tensor"
        ) from None
    return ModelSize(recipe_name(recipe), parameters, trainable, **costs)


def costs_of(model: Counted, shapes: Sequence[tuple[int, int, int]] = ()) -> dict[str, Any]:
    """Return the fields of ModelSize that a run tells, of a model on the meta device.

    `shapes` are the (D, H, W) in voxels of the series of a study, where no setting of the model
    fixes them. Afterwards nothing of the model trains.
    """
    model.requires_grad_(False).eval()  # the counter fails on inputs that are parameters
    batch = nominal_batch(model, shapes)
    if isinstance(model, ClipTraining):
        _, perceive = gflops(model.clip.embed_studies, batch.studies)
        return {"perceive": perceive, "note": "embeds volumes and reports, answers no question"}
    if isinstance(model, PartTraining):
        _, perceive = gflops(model.embed_studies, batch.studies)
        return {"perceive": perceive, "note": f"trains {model.part_name}, answers no question"}
    percept, perceive = gflops(model.perceive, batch.studies)
    (spliced, _), attend = gflops(model.read_percept, percept, batch)
    _, prefill = gflops(model.language.greedy, spliced, 1)
    _, and_one_token = gflops(model.language.greedy, spliced, 2)
    return {
        "visual_tokens": spliced.embeds.shape[1] - TEXT_TOKENS,
        "perceive": perceive,
        "attend": attend,
        "prefill": prefill,
        "token": and_one_token - prefill,
    }


def build(recipe: Path) -> Counted:
    """Return the model of a recipe on the meta device; raise as `size_of`."""
    config = read_yaml(recipe).get("model")
    if not isinstance(config, dict) or "class_path" not in config:
        raise TomovoxError(
            f"{recipe}: names no model.class_path; give a recipe such as those under baselines"
        )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningModule, "model")
    try:
        model = parser.instantiate(parser.parse_object({"model": config})).model
    except ArgumentError as error:
        raise TomovoxError(f"{recipe}: {one_line(str(error))}") from None
    if not isinstance(model, Counted):
        raise TomovoxError(
            f"{recipe}: {type(model).__name__} neither answers nor embeds; give the recipe of a "
            f"VolumeLM, of ClipTraining or of a PartTraining"
        )
    if isinstance(model, VolumeLM):
        model.vocabulary = nominal_vocabulary(model.language_config)
    build_on_meta(model)
    return model


def build_on_meta(model: Counted) -> None:
    """Create the modules of a model on the meta device; no weights are read."""
    if isinstance(model, VolumeLM):
        model.init_from = None
        if model.language_config.name:
            resolve_source(model.language_config.name)  # as in `nominal_vocabulary`
    with torch.device("meta"), quiet_loading():
        model.configure_model()


def nominal_vocabulary(language: LanguageConfig) -> Vocabulary:
    """Return a vocabulary of the named model's token rows; VOCABULARY of one from scratch."""
    rows = VOCABULARY
    if language.name:
        resolve_source(language.name)  # may convert its file, which needs a device with values
        with torch.device("meta"):
            rows = read_config(language.name, "language model").get_text_config().vocab_size
    return Vocabulary(size=rows, placeholder=rows, pad=0, eos=1)


def nominal_batch(model: Counted, shapes: Sequence[tuple[int, int, int]] = ()) -> Batch:
    """Return one study of the size the model reads, and one question, without padding.

    `shapes` are the (D, H, W) in voxels of its series, where no setting of the model fixes them.
    """
    series = _series_shapes(model, shapes)
    study = torch.zeros(1, dtype=torch.long)  # with values: models sort their series by it
    with torch.device("meta"):
        ids = torch.zeros(1, TEXT_TOKENS + 1, dtype=torch.long)  # 1 for the placeholder
        mask = torch.ones_like(ids, dtype=torch.bool)
        return Batch(
            studies=Studies([torch.empty(1, *s) for s in series], study.repeat(len(series))),
            questions=Questions([""], ids[:, 1:], mask[:, 1:], study),
            input_ids=ids,
            attention_mask=mask,
            labels=None,
            records=[],
        )


def _series_shapes(
    model: Counted, shapes: Sequence[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    """Return (D, H, W): what the model is bound to, else `shapes`, else nominal slices."""
    if isinstance(model, VolumeLM):
        bound = model.volume_shape
    elif isinstance(model, PartTraining):
        bound = None
    else:
        encoders = (part for part in model.clip.modules() if isinstance(part, ViT3D))
        bound = next((encoder.config.image for encoder in encoders), None)
    side = getattr(getattr(model, "vision2d_config", None), "image", SIDE)
    return [bound] if bound else list(shapes) or [(SLICES, side, side)]


# ---- many recipes ----------------------------------------------------------------------------


def sizes_of(places: Sequence[Path]) -> Iterator[ModelSize]:
    """Yield the sizes of the recipes that `places`, files or folders, are or hold.

    What cannot be counted in a folder, and a folder's system without recipe, say why in `note`.
    Raises TomovoxError when a file cannot be counted or a place holds no recipe.
    """
    for place in places:
        if place.is_file():
            yield size_of(place)
            continue
        recipes = sorted(place.rglob("*.yaml"))
        if not recipes:
            raise TomovoxError(
                f"{place}: no recipe there; give YAML files or folders of them, such as "
                f"tomovox models my_model.yaml"
            )
        for recipe in recipes:
            try:
                yield size_of(recipe)
            except TomovoxError as error:
                yield ModelSize(recipe_name(recipe), note=str(error))
        for readme in sorted(place.glob("*/README.md")):
            if not any(readme.parent.glob("*.yaml")):
                yield ModelSize(readme.parent.name, note=NO_RECIPE)


def recipe_name(recipe: Path) -> str:
    """Return "med2e3/tiny" of baselines/med2e3/tiny.yaml."""
    place = recipe.resolve()
    return f"{place.parent.name}/{place.stem}"


def print_sizes(sizes: Sequence[ModelSize], console: Console) -> None:
    """Print a row per recipe, what the figures mean, why some are missing, and the counts."""
    table = Table()
    table.add_column("recipe", overflow="fold")
    heads = ("parameters", "trainable", "visual\ntokens")
    costs = ("GFLOPs per\nvolume", "GFLOPs per\nquestion", "GFLOPs per\ntoken")
    for head in (*heads, *costs):
        table.add_column(head, justify="right", no_wrap=True)
    for size in sizes:
        counts = (size.parameters, size.trainable, size.visual_tokens)
        shown = ["n/a" if count is None else f"{count:,}" for count in counts]
        shown += [_shown(cost) for cost in (size.perceive, size.question, size.token)]
        table.add_row(escape(size.recipe), *shown)
    console.print(table)
    for line in closing_lines(sizes):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def closing_lines(sizes: Sequence[ModelSize]) -> list[str]:
    """Return what the figures mean, a line per recipe with figures missing, and the counts."""
    lines = [
        "1 multiply-add = 2 FLOPs, counted on shapes alone; no weights are read.",
        f"Nominal sizes: a volume of the recipe's size, {SLICES} slices where it fixes none; "
        f"a prompt of {TEXT_TOKENS} text tokens",
        f"and the visual ones; the token rows of the named language model, {VOCABULARY} where none "
        f"is named.",
        "Per volume: perceive, once for all its questions. Per token: each answer token but the "
        "first.",
        "Per question: attend (makes the visual tokens) and prefill (one position to the "
        "vocabulary).",
        "A mask head counts in parameters, never in GFLOPs.",
    ]
    lines += [f"n/a: {size.recipe}: {size.note}" for size in sizes if size.note]
    counted = sum(size.parameters is not None for size in sizes)
    return [*lines, f"{counted} counted, {len(sizes) - counted} not"]


def _shown(cost: float | None) -> str:
    """Return GFLOPs as they are read: 5,154, 41.9 or 0.0142."""
    if cost is None:
        return "n/a"
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.3g}"
