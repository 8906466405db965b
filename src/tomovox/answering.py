"""How is a RUN answered, whatever trained it? In float32, all questions of a study at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import torch

from tomovox.data.prompts import Template
from tomovox.metrics.choice_columns import COPY
from tomovox.models.base import VolumeLM
from tomovox.models.halving import AtOnce
from tomovox.schema import LETTERS, Record, Task, TomovoxError

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]

ANSWERING = "predict"
"""The key of an experiment file, and of a RUN's config.yaml, that says so."""


@dataclass(frozen=True)
class Answering:
    """How the questions of a study are answered; the trainer's own precision is for training.

    `batch` "auto" answers all at once, and fewer where memory is short; a number is the most that
    are answered at once, on every machine. `precision` is one of Lightning's.
    """

    batch: int | Literal["auto"] = "auto"
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        """Raise TomovoxError for a setting that there is not."""
        if self.batch != "auto" and not (isinstance(self.batch, int) and self.batch >= 1):
            raise TomovoxError(f"predict.batch is {self.batch}; give auto or a number from 1 on")
        if self.precision not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise TomovoxError(f"predict.precision is {self.precision}; give one of {known}")

    def noted(self) -> dict[str, Any]:
        """Return what a RUN's config.yaml says of it: nothing of what is usual."""
        return {} if self == BY_DEFAULT else {ANSWERING: asdict(self)}

    def at_once(self, told: Callable[[str], None]) -> AtOnce:
        """Return how many questions a model answers at once; `told` hears when these get fewer."""
        if self.batch == "auto":
            return AtOnce(told=told)
        return AtOnce(self.batch, halves=False, told=told)


BY_DEFAULT = Answering()
"""What a config that says nothing means."""


@contextmanager
def full_float32() -> Iterator[None]:
    """Multiply float32 in float32: without this cuDNN's convolutions are cut to TF32."""
    precision, cut = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = cut


def in_float32(model: VolumeLM) -> VolumeLM:
    """Return the model as it answers: in float32, its adapters merged. It is not to be trained."""
    model.configure_model()
    model.float()  # what was read, or trained, in half precision
    model.language.merge_adapters()
    return model


def choice_answers(template: Template, record: Record) -> list[list[int]]:
    """Return the ids of the answer with each choice, written as the reference is, end token too.

    None of other tasks' records and of a question that is asked again in another order. Raises
    TomovoxError when an answer does not fit: a cut one would be too likely.
    """
    if record.task != Task.VQA_CLOSED or COPY.fullmatch(record.id):
        return []
    eos, answers = template.vocabulary().eos, []
    for letter, choice in zip(LETTERS, record.choices, strict=False):
        said = replace(record, reference=f"{letter}. {choice}")
        answers.append(template.encode(said, answer=True).answer_ids)
        if answers[-1][-1:] != [eos]:
            raise TomovoxError(
                f"record {record.id}: choice {letter} does not end within max_length; raise "
                f"max_length of the template"
            )
    return answers
