"""How does the released code of M3D ask? With its own tokens, ends and labels, id for id.

Source: M3D (Bai et al. 2024), released data set classes and training script.
Letters: b questions, t text tokens, w width of a released row, visual tokens counted.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from tomovox.boxes import BOX_END, BOX_START
from tomovox.data.asked import REPORTS
from tomovox.data.prompts import Encoded, Template
from tomovox.data.published_files import choices_text
from tomovox.data.tokenizer import SEG, load_tokenizer
from tomovox.schema import IGNORE, Questions, Record, Task, TomovoxError, Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MISSING = frozenset(
    {
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"),
        *("1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    }
)
"""Cells that pandas reads as missing by default."""

IM_PATCH = "<im_patch>"
"""The mark of one visual token, and the token whose prediction asks for a mask."""


class PandasCells(Template):
    """A template that reads M3D-VQA as pandas.read_csv: missing cells are written `nan`.

    The released code takes a cell such as NA for a missing value, in prompt and answer alike.
    """

    def adapt(self, record: Record) -> Record:
        """Return a question of M3D-VQA with `nan` for each missing question, choice and answer."""
        if record.task == Task.VQA_OPEN:
            return replace(
                record, question=_cell(record.question), reference=_cell(record.reference)
            )
        if record.task != Task.VQA_CLOSED:
            return record
        stem = record.question.removesuffix(choices_text(record.choices))
        choices = tuple(_cell(choice) for choice in record.choices)
        letter, answer = record.reference[:3], record.reference[3:]
        return replace(
            record,
            question=_cell(stem) + choices_text(choices),
            choices=choices,
            reference=letter + _cell(answer),
        )


class M3DTemplate(PandasCells):
    """The prompt of M3D-LaMed: <im_patch> once per visual token, the question, the answer.

    A space parts the three, but none stands before the request for a report. Question and answer
    are tokenised together, and labels begin where the question alone would end. To our models the
    run of <im_patch> is one placeholder, of the same id.

    Args:
        tokenizer: folder or hub name; the four tokens of the release are added where they lack.
        volume_tokens: how many visual tokens stand for a volume.
        max_length: most ids of a training row, visual tokens counted. A longer answer is cut from
            the right and then has no end token; a prompt to generate from is never cut.
    """

    def __init__(self, tokenizer: str, volume_tokens: int = 256, max_length: int = 512) -> None:
        if volume_tokens < 1:
            raise TomovoxError(f"template volume_tokens is {volume_tokens}; it must be at least 1")
        if max_length < volume_tokens + 2:
            raise TomovoxError(
                f"template max_length is {max_length} and counts {volume_tokens} visual tokens; "
                f"it must be at least {volume_tokens + 2}"
            )
        super().__init__(tokenizer, layout="<image> {question}", max_length=max_length)
        self.volume_tokens, self.added = volume_tokens, 0

    @cached_property
    def text_tokenizer(self) -> "PreTrainedTokenizerBase":
        """The tokenizer with <im_patch>, the tokens around a box and [SEG], in this order.

        Without a pad token it pads with its unknown token (Llama 2) or else its end (Llama 3).
        """
        tokenizer = load_tokenizer(str(self.tokenizer))
        if tokenizer.eos_token is None:
            raise TomovoxError(
                f"tokenizer {self.tokenizer!r} has no end token; set eos_token in its files"
            )
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
        self.added = tokenizer.add_tokens([IM_PATCH, BOX_START, BOX_END], special_tokens=True)
        self.added += tokenizer.add_tokens([SEG])  # not special: a decoded answer shows it
        return tokenizer

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        """<im_patch> has an embedding row in the released weights and so counts for the size."""
        ids = self.text_tokenizer.get_vocab()
        pad, eos = int(self.text_tokenizer.pad_token_id), int(self.text_tokenizer.eos_token_id)
        return Vocabulary(1 + max(ids.values()), ids[IM_PATCH], pad, eos, ids[SEG], self.added)

    def question_text(self, record: Record) -> str:
        """Return the marks of the visual tokens and the question."""
        space = "" if record.task in REPORTS else " "
        return f"{IM_PATCH * self.volume_tokens}{space}{record.question}"

    def released_row(
        self, record: Record
    ) -> tuple[Int[Tensor, "w"], Bool[Tensor, "w"], Int[Tensor, "w"]]:
        """Return ids, attention mask and labels of a training row as released, w = max_length.

        The mask does not cover the end token. A label that equals the pad token is IGNORE, wherever
        it stands; where pad is the end token, only the end of the row has a label.
        """
        tokens, asked = self._question_and_answer(record)
        valid, pad, eos = len(tokens), self._vocabulary.pad, self._vocabulary.eos
        ids = torch.full((self.max_length,), pad)
        ids[:valid] = torch.tensor(tokens)
        ids[valid : valid + 1] = eos  # nothing where the row is full
        labels = ids.masked_fill(ids == pad, IGNORE)
        labels[:asked] = IGNORE
        if pad == eos:
            labels[valid : valid + 1] = eos
        return ids, torch.arange(self.max_length) < valid, labels

    def encode(self, record: Record, answer: bool) -> Encoded:
        """Return the ids of a record as released, with one placeholder for the visual tokens.

        Raises TomovoxError when the tokenizer does not open a row with its start token and the
        visual tokens, when the question leaves no room for an answer in `max_length`, or when
        question or answer writes <im_patch>.
        """
        if not answer:
            prompt, reply = self._tokens(self.question_text(record), cut=False), []
        else:
            tokens, asked = self._question_and_answer(record)
            if asked >= self.max_length:
                raise TomovoxError(
                    f"record {record.id}: the question leaves no room for an answer in max_length "
                    f"{self.max_length}; raise max_length of the template"
                )
            end = [self._vocabulary.eos] if len(tokens) < self.max_length else []
            prompt, reply = tokens[:asked], tokens[asked:] + end
        prompt = prompt[:1] + prompt[self.volume_tokens :]  # keeps the last mark of the run
        if (prompt + reply).count(self._vocabulary.placeholder) != 1:
            raise TomovoxError(
                f"record {record.id}: question or answer contains {IM_PATCH}, the mark of the "
                f"volume; reword it"
            )
        return Encoded(prompt, reply)

    def collate(
        self, records: Sequence[Record], study_rows: Sequence[int], train: bool
    ) -> tuple[Questions, Int[Tensor, "b t"], Bool[Tensor, "b t"], Int[Tensor, "b t"] | None]:
        """Return a Batch's parts as Template does, with the labels of the released rows.

        Those leave out what Template labels too: a pad token that an answer itself writes.
        """
        questions, ids, mask, labels = super().collate(records, study_rows, train)
        if labels is not None:
            for row, record in zip(labels, records, strict=True):
                released = self.released_row(record)[2]
                row[:] = torch.cat([released[:1], released[self.volume_tokens :]])[: len(row)]
        return questions, ids, mask, labels

    def _question_and_answer(self, record: Record) -> tuple[list[int], int]:
        """Return the ids of question and answer, no end token, and how many the question takes."""
        question = self.question_text(record)
        asked = len(self._tokens(question))
        return self._tokens(f"{question} {record.reference}"), asked

    def _tokens(self, text: str, cut: bool = True) -> list[int]:
        """Return the ids of a text that opens with the visual tokens; raise unless they do so."""
        tokenizer, limit = self.text_tokenizer, self.max_length if cut else None
        ids = list(tokenizer(text, truncation=cut, max_length=limit).input_ids)
        opening = [tokenizer.bos_token_id] + self.volume_tokens * [self._vocabulary.placeholder]
        if ids[: len(opening)] != opening:
            raise TomovoxError(
                f"tokenizer {self.tokenizer!r} does not open a row with its start token and then "
                f"{self.volume_tokens} times {IM_PATCH}, which is where M3D puts the volume; take "
                f"the tokenizer files of its checkpoint, or set bos_token and add_bos_token in them"
            )
        return ids


def _cell(text: str) -> str:
    return "nan" if text in MISSING else text
