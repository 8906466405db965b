"""What if a device has no memory for all questions of a study? Fewer at a time, from one percept.

Letters: b questions, n slices.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tomovox.models.decoding import Spoken
from tomovox.schema import Batch, Questions, TomovoxError

T = TypeVar("T")

LESS = (
    "prepare smaller volumes, predict with --precision bf16-mixed, or take a device with more "
    "memory"
)
"""What to do about a question that does not fit."""


class Said(NamedTuple):
    """What was said to some questions, before anything is drawn."""

    spoken: Spoken
    slice_scores: Float[Tensor, "b n"] | None = None
    choice_logprobs: list[list[float]] | None = None


@dataclass
class AtOnce:
    """How many questions of a batch are answered at once: at most `most`; None means all.

    With `halves`, a number that the device has no memory for is halved, again and again down to
    one. What fitted counts for later batches too, and `told` hears of it. A row is laid out as it
    is among all; what is computed of it can differ in rounding alone, where a library multiplies
    few rows in another order (on CPUs one or two).
    """

    most: int | None = None
    halves: bool = True
    told: Callable[[str], None] | None = None

    def answer(self, batch: Batch, answer: Callable[[Batch], Said], pad: int) -> Said:
        """Return what `answer` gives of a batch, asked in as many parts as it takes.

        Raises TomovoxError when there is no memory for the fewest questions.
        """
        count, before = len(batch.records), self.most
        parts: list[Said] = []
        start = 0
        while start < count:
            size = _even(count - start, self.most)
            said = if_memory_allows(partial(answer, rows_of(batch, slice(start, start + size))))
            if said is not None:
                parts.append(said[0])
                start += size
            elif self.halves and size > 1:
                self.most = (size + 1) // 2
            elif size > 1:
                raise TomovoxError(
                    f"case {batch.records[0].case}: no memory for {size} questions at once; answer "
                    f"the run anew with a smaller --batch, or with auto"
                )
            else:
                raise _no_memory(batch, f"one question ({batch.records[start].id})")
        if self.most != before and self.told is not None:
            self.told(
                f"no memory for all {count} questions about {batch.records[0].case} at once; from "
                f"now on at most {self.most} at a time"
            )
        return joined(parts, pad)


def _even(count: int, most: int | None) -> int:
    """Return how many of `count` questions come next, so that parts differ by one at most.

    A single row that is left over would be multiplied in another order than rows of a matrix.
    """
    return count if most is None else -(-count // -(-count // most))


def with_memory(call: Callable[[], T], batch: Batch, what: str) -> T:
    """Return what `call` gives; TomovoxError when there is no memory for `what` of a batch.

    It is called a second time once the memory that earlier work holds in cycles and in the device's
    cache is let go.
    """
    given = if_memory_allows(call) or if_memory_allows(call)
    if given is None:
        raise _no_memory(batch, what)
    return given[0]


def _no_memory(batch: Batch, what: str) -> TomovoxError:
    volumes = ", ".join(batch.records[0].volumes)
    return TomovoxError(
        f"case {batch.records[0].case} ({volumes}): no memory for {what} on this device; {LESS}"
    )


def if_memory_allows(call: Callable[[], T]) -> tuple[T] | None:
    """Return what `call` gives, in a tuple; None, with all that it held let go, without memory."""
    try:
        return (call(),)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    # Here the traceback is gone, and with it the frames that hold tensors, but for cycles.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error says that a GPU, or the main memory, has no room for a tensor."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def rows_of(batch: Batch, rows: slice) -> Batch:
    """Return some questions of a batch, without the masks they ask for, and all of its studies.

    The padding stays: a row is as long as it was.
    """
    asked = batch.questions
    return replace(
        batch,
        questions=Questions(asked.text[rows], asked.ids[rows], asked.mask[rows], asked.study[rows]),
        input_ids=batch.input_ids[rows],
        attention_mask=batch.attention_mask[rows],
        labels=None if batch.labels is None else batch.labels[rows],
        records=batch.records[rows],
        masks=None,
        mask_rows=None,
    )


def joined(parts: Sequence[Said], pad: int) -> Said:
    """Return what was said to all questions, whose parts follow each other."""
    if len(parts) == 1:
        return parts[0]
    width = max(part.spoken.ids.shape[1] for part in parts)
    spoken = Spoken(
        torch.cat([F.pad(s.ids, (0, width - s.ids.shape[1]), value=pad) for s, *_ in parts]),
        torch.cat([s.prompt for s, *_ in parts]),
        torch.cat([s.draws for s, *_ in parts]),
    )
    scores = [part.slice_scores for part in parts if part.slice_scores is not None]
    logprobs = [part.choice_logprobs for part in parts if part.choice_logprobs is not None]
    return Said(
        spoken,
        torch.cat(scores) if scores else None,
        [row for part in logprobs for row in part] if logprobs else None,
    )
