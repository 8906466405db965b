"""How does a record become token ids, with one placeholder where the visual tokens go?

Letters: b questions, t text tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from tomovox.data.tokenizer import PLACEHOLDER, SEG, load_tokenizer
from tomovox.schema import IGNORE, Questions, Record, Task, TomovoxError, Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SLOT = "{question}"

LONGEST_QUESTION = 512
"""Most ids a question encoder reads: the positions of a BERT; a tokenizer may declare no limit."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The ids of one record: the prompt with its placeholder, and the answer that follows."""

    prompt_ids: list[int]
    answer_ids: list[int]


class Template:
    """Words, placeholder and length of every prompt; the same for all models of a comparison.

    Args:
        tokenizer: folder, hub name or `package:` name; None when one is built from the training
            texts.
        layout: the prompt, with <image> and {question} exactly once each.
        max_length: most ids of prompt and answer together; the placeholder counts as one. A longer
            answer is cut from the right and then has no end token.
        question_tokenizer: folder or name of the tokenizer of a question encoder, when it differs.
        text_only: for a stage that reads words instead of images and never predicts. The layout may
            then hold {context}, what the image shows in words, and {fact}, the right answer.
    """

    def __init__(
        self,
        tokenizer: str | None = None,
        layout: str = "<image> {question} Answer:",
        max_length: int = 512,
        question_tokenizer: str | None = None,
        text_only: bool = False,
    ) -> None:
        told = [slot for slot in ("{context}", "{fact}") if slot in layout]
        if told and not text_only:
            raise TomovoxError(
                f"template layout {layout!r} tells the answer by {' and '.join(told)}; remove it, "
                f"or set text_only for a stage that never predicts"
            )
        for part in (PLACEHOLDER, SLOT):
            if layout.count(part) != 1:
                raise TomovoxError(f"template layout {layout!r} must hold {part} exactly once")
        if max_length < 2:
            raise TomovoxError(f"template max_length is {max_length}; it must be at least 2")
        self.tokenizer = tokenizer
        self.layout = layout
        self.max_length = max_length
        self.text_only = text_only
        self.question_tokenizer = question_tokenizer
        self._built: PreTrainedTokenizerBase | None = None

    def adapt(self, record: Record) -> Record:
        """Return the record as this template asks it; here, as it stands in the file."""
        return record

    def use_tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Set a tokenizer built at run time; TomovoxError when the template already names one."""
        if self.tokenizer is not None:
            raise TomovoxError(
                f"template names the tokenizer {self.tokenizer!r}; leave it out to use another one"
            )
        self._built = tokenizer
        for name in ("text_tokenizer", "_vocabulary", "_start", "_lead"):
            self.__dict__.pop(name, None)

    @property
    def has_tokenizer(self) -> bool:
        """Whether a tokenizer is named or was set."""
        return self.tokenizer is not None or self._built is not None

    @cached_property
    def text_tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of prompts and answers; it knows <image> and an end token."""
        if self.tokenizer is not None:
            tokenizer = load_tokenizer(self.tokenizer)
        elif self._built is not None:
            tokenizer = self._built
        else:
            raise TomovoxError(
                "template has no tokenizer: name one, or set up the data module, which builds it"
            )
        if tokenizer.eos_token_id is None:
            raise TomovoxError(
                f"tokenizer {self.tokenizer!r} has no end token; set eos_token in its files"
            )
        if PLACEHOLDER not in tokenizer.get_vocab():
            tokenizer.add_tokens([PLACEHOLDER], special_tokens=True)
        return tokenizer

    @cached_property
    def _encoder_tokenizer(self) -> PreTrainedTokenizerBase:
        assert self.question_tokenizer is not None
        return load_tokenizer(self.question_tokenizer)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        tokenizer = self.text_tokenizer
        ids = tokenizer.get_vocab()
        placeholder = ids[PLACEHOLDER]
        eos = int(tokenizer.eos_token_id)
        pad = eos if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        size = 1 + max(number for token, number in ids.items() if token != PLACEHOLDER)
        return Vocabulary(size, placeholder, pad, eos, seg=ids.get(SEG))

    def vocabulary(self) -> Vocabulary:
        """Return size and special ids of the tokenizer; pad may equal eos.

        `size` is the number of embedding rows that real tokens need: a placeholder behind the last
        of them has no row, and no model may embed it.
        """
        return self._vocabulary

    @cached_property
    def _start(self) -> list[int]:
        """The ids a prompt opens with: BOS if the tokenizer has one and writes it by itself."""
        bos = self.text_tokenizer.bos_token_id
        return [bos] if bos is not None and self.text_tokenizer("a").input_ids[:1] == [bos] else []

    @cached_property
    def _lead(self) -> str:
        """What separates prompt and answer: nothing when the tokenizer itself marks word starts."""
        first = self.text_tokenizer.convert_ids_to_tokens(self._ids("a")[:1])[0]
        return "" if first.startswith("\u2581") else " "

    def _ids(self, text: str) -> list[int]:
        return list(self.text_tokenizer(text, add_special_tokens=False).input_ids)

    def encode(self, record: Record, answer: bool) -> Encoded:
        """Return the ids of a record, the answer with its end token or, without `answer`, none.

        Prompt and answer are tokenised apart, so that the prompt of generation is the one of
        training. Raises TomovoxError when the prompt leaves no room in `max_length`, or when the
        question writes the placeholder.
        """
        prompt = self._start + self._ids(
            self.layout.replace("{fact}", fact_of(record))
            .replace("{context}", record.context)
            .replace(SLOT, record.question)
        )
        if prompt.count(self._vocabulary.placeholder) != 1:
            raise TomovoxError(
                f"record {record.id}: the question contains {PLACEHOLDER}, the mark of the volume; "
                f"reword it"
            )
        room = self.max_length - len(prompt)
        if room < int(answer):
            raise TomovoxError(
                f"record {record.id}: the prompt has {len(prompt)} tokens and max_length is "
                f"{self.max_length}; raise max_length of the template"
            )
        if not answer:
            return Encoded(prompt, [])
        reply = [*self._ids(self._lead + record.reference), self._vocabulary.eos]
        if self._vocabulary.placeholder in reply:
            raise TomovoxError(
                f"record {record.id}: the reference contains {PLACEHOLDER}; reword it"
            )
        return Encoded(prompt, reply[:room])

    def question_ids(self, text: str) -> list[int]:
        """Return the ids of a question alone, as a question encoder reads it, at most max_length.

        A question tokenizer adds its own special tokens (such as CLS and SEP); the main one adds
        none.
        """
        if self.question_tokenizer is None:
            return self._ids(text)[: self.max_length]
        limit = self._encoder_tokenizer.model_max_length
        longest = min(self.max_length, limit, LONGEST_QUESTION)
        return list(self._encoder_tokenizer(text, truncation=True, max_length=longest).input_ids)

    def decode(self, ids: Sequence[int] | Int[Tensor, "t"]) -> str:
        """Return the text before the first end token, without special tokens or outer spaces."""
        numbers = [int(number) for number in ids]
        eos = self._vocabulary.eos
        kept = numbers[: numbers.index(eos)] if eos in numbers else numbers
        text = self.text_tokenizer.decode(
            kept, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text).strip()

    def collate(
        self, records: Sequence[Record], study_rows: Sequence[int], train: bool
    ) -> tuple[Questions, Int[Tensor, "b t"], Bool[Tensor, "b t"], Int[Tensor, "b t"] | None]:
        """Return questions, input ids, attention mask and labels of the records, for a Batch.

        Training rows hold the answer, are padded on the right and have labels on it alone; rows to
        generate from end with the prompt, are padded on the left and have labels None.
        `study_rows` is the row of the study that each record asks about.
        """
        if self.text_only and not train:
            raise TomovoxError("a text_only template tells the answer: it cannot be predicted from")
        rows = [self.encode(record, answer=train) for record in records]
        ids, mask = _pad(
            [row.prompt_ids + row.answer_ids for row in rows], self._vocabulary.pad, left=not train
        )
        labels = None
        if train:
            labels, _ = _pad(
                [[IGNORE] * len(row.prompt_ids) + row.answer_ids for row in rows], IGNORE
            )
        texts = [record.question for record in records]
        question_ids, question_mask = _pad(
            [self.question_ids(t) for t in texts], self._question_pad
        )
        study = torch.tensor(study_rows, dtype=torch.long)
        return Questions(texts, question_ids, question_mask, study), ids, mask, labels

    @property
    def _question_pad(self) -> int:
        if self.question_tokenizer is None:
            return self._vocabulary.pad
        return int(self._encoder_tokenizer.pad_token_id or 0)


def fact_of(record: Record) -> str:
    """Return the content of the right answer: of a closed question, the text after its letter."""
    return record.reference[3:] if record.task == Task.VQA_CLOSED else record.reference


def _pad(
    rows: Sequence[list[int]], value: int, left: bool = False
) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
    """Return the rows as one tensor and the mask of what is not padding."""
    width = max((len(row) for row in rows), default=0)
    ids = torch.full((len(rows), width), value, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for number, row in enumerate(rows):
        where = slice(width - len(row), width) if left else slice(0, len(row))
        ids[number, where] = torch.tensor(row, dtype=torch.long)
        mask[number, where] = True
    return ids, mask
