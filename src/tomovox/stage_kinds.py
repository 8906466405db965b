"""Which stages may an experiment share among its rows, and what may be set of each?"""

from dataclasses import dataclass, field
from typing import Any, Literal

from jsonargparse import ArgumentError, ArgumentParser


@dataclass
class LanguageStage:
    """Teach a new language model to answer from text: series name and report, no image."""

    fact_steps: int = 200
    max_steps: int = 80
    batch_size: int = 8
    questions_per_study: int = 6
    lr: float = 1e-3
    layout: str = "<image>{context} {question} Answer:"


@dataclass
class VisionStage:
    """Teach an encoder to see: answers to training questions and, with `boxes`, findings."""

    max_steps: int = 200
    batch_size: int = 16
    lr: float = 1e-3
    boxes: bool = True


@dataclass
class SelfDistillationStage:
    """Teach a slice encoder to say the same of all views of a slice, without any label (DINO).

    An encoder with a `name` starts from what the name gives. Large views have the side in pixels of
    the encoder's `image`, small ones half of it.
    """

    method: Literal["self_distillation"]
    max_steps: int = 400
    batch_size: int = 16
    slices_per_volume: int = 4
    small_views: int = 4
    prototypes: int = 256
    momentum: float = 0.95
    autocontrast: float = 0.0
    equalize: float = 0.0
    lr: float = 1e-3


@dataclass
class MaskedEmbeddingStage:
    """Teach a Z-former to tell the vectors of hidden slices from those of the others (MEM).

    `share` of the slices is hidden, in runs of `span` neighbours.
    """

    max_steps: int = 300
    batch_size: int = 16
    share: float = 0.3
    span: int = 1
    token: Literal["learned", "zeros"] = "learned"
    loss: Literal["l1", "smooth_l1"] = "l1"
    lr: float = 1e-3


@dataclass
class MaskStage:
    """Teach a mask head to draw every class of the training masks, before any text prompts it."""

    max_steps: int = 300
    batch_size: int = 8
    masks_per_volume: int = 4
    lr: float = 1e-3


Stage = LanguageStage | VisionStage | SelfDistillationStage | MaskedEmbeddingStage | MaskStage


@dataclass
class SharedStages:
    """Stages to make; a part whose stage is absent keeps the weights that its YAML says.

    `vision2d` is a VisionStage, or with `method: self_distillation` a SelfDistillationStage.
    """

    tokenizer: bool = True
    language: LanguageStage | None = None
    vision3d: VisionStage | None = None
    vision2d: dict[str, Any] | VisionStage | SelfDistillationStage | None = None
    zformer: MaskedEmbeddingStage | None = None
    mask_head: MaskStage | None = None
    finding_classes: list[str] | None = field(default=None)

    def __post_init__(self) -> None:
        """Choose the stage of slice encoders; ValueError for a setting that it does not have."""
        if isinstance(self.vision2d, dict):
            by_itself = self.vision2d.get("method", "supervised") != "supervised"
            parser = ArgumentParser(exit_on_error=False)
            parser.add_class_arguments(
                SelfDistillationStage if by_itself else VisionStage, "vision2d"
            )
            given = {k: v for k, v in self.vision2d.items() if by_itself or k != "method"}
            try:
                parsed = parser.parse_object({"vision2d": given})
            except ArgumentError as error:
                raise ValueError(f"shared: {error}") from None
            self.vision2d = parser.instantiate_classes(parsed).vision2d
