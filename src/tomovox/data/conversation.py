"""How was Med-2E3 spoken to? Its conversation format, from words to ids and labels.

Source: Med-2E3 (Shi et al., arXiv 2411.12783), released code: conversation templates, collator and
splice.
"""

from dataclasses import replace
from functools import cached_property
from typing import Literal

from tomovox.data.prompts import SLOT, Encoded
from tomovox.data.published_prompts import PandasCells
from tomovox.data.tokenizer import PLACEHOLDER
from tomovox.schema import IGNORE, Record, TomovoxError, Vocabulary

Kind = Literal["phi", "phi3", "llama", "llama3", "qwen2"]

END: dict[Kind, str] = {
    "phi": "<|endoftext|>",
    "phi3": "<|endoftext|>",
    "llama": "</s>",
    "llama3": "<|eot_id|>",
    "qwen2": "<|im_end|>",
}
"""What closes an answer, by the kind of language model."""

VOLUME_MARK, VOLUME_ID = "<image3d>", -201
"""Where the released rows hold the volume, as text and as id."""

USER = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions. USER: "
)
ASSISTANT = " ASSISTANT:"


class ConversationTemplate(PandasCells):
    """The template of Med-2E3: a user who shows a volume and asks, an assistant who answers.

    The text before the volume and all that follows it are tokenised apart, prompt and answer
    together. A BOS that the tokenizer writes by itself stands once, in front of text that opens the
    row. As many tokens as the prompt has alone carry no label; the rest do, answer and end token.

    The released code leaves a whole sample without loss, and prints a warning, when its two counts
    of the tokens disagree: the text writes "ASSISTANT:" or the end token, or the answer is empty.
    It cuts a prompt longer than a row, which then has no answer left to learn. Here such records
    are refused by name: a sample that trains nothing is a fault of the data, and nobody reads a
    warning among thousands of steps. Words that a tokenizer gives its pad token, which the release
    counts as padding, are no such fault: here padding is known by its place, not by its id.

    Args:
        tokenizer: folder, hub name or `package:` name.
        kind: the kind of language model. It decides what ends an answer and what pads: the unknown
            token for phi, the end token for llama3, else the tokenizer's own pad token.
        pretraining: rows are the volume and the answer, without question, BOS or end token. As
            released, a prompt without answer is then the volume and "ASSISTANT:".
        max_length: most tokens of a row, those of the volume included. A longer answer is cut from
            the right and then has no end token.
        volume_tokens: how many tokens the model lays at the placeholder.
        question_tokenizer: folder or name of the tokenizer of the question encoder.
    """

    def __init__(
        self,
        tokenizer: str,
        kind: Kind,
        pretraining: bool = False,
        max_length: int = 768,
        volume_tokens: int = 512,
        question_tokenizer: str | None = None,
    ) -> None:
        if not 0 < volume_tokens < max_length:
            raise TomovoxError(
                f"template max_length {max_length} counts the {volume_tokens} volume_tokens too; "
                f"it must be the larger one"
            )
        super().__init__(
            tokenizer,
            layout=f"{USER}{PLACEHOLDER}\n{SLOT}{ASSISTANT}",
            max_length=max_length,
            question_tokenizer=question_tokenizer,
        )
        self.kind: Kind = kind
        self.pretraining = pretraining
        self.volume_tokens = volume_tokens

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        end = END[self.kind]
        eos = self.text_tokenizer.get_vocab().get(end)
        if eos is None or self._ids(end)[-1:] != [eos]:
            raise TomovoxError(
                f"tokenizer {self.tokenizer!r} has no token {end}, which ends an answer of kind "
                f"{self.kind}; give the tokenizer of the model, or its kind"
            )
        return replace(super()._vocabulary, pad=self._pad_id(eos), eos=eos)

    def _pad_id(self, eos: int) -> int:
        if self.kind == "llama3":
            return eos
        name = "unk_token" if self.kind == "phi" else "pad_token"
        pad = getattr(self.text_tokenizer, f"{name}_id")
        if pad is None:
            raise TomovoxError(
                f"tokenizer {self.tokenizer!r} has no {name}, which pads the rows of kind "
                f"{self.kind}; set {name} in its files"
            )
        return int(pad)

    def encode(self, record: Record, answer: bool) -> Encoded:
        """Return the released row of a record with <image> at the volume, cut to `max_length`.

        Raises TomovoxError when the prompt leaves no room, and as `released_row`.
        """
        ids, labels = self.released_row(record, answer)
        asked = labels.count(IGNORE)
        room = self.max_length - self.volume_tokens - (asked - 1)
        if room < int(answer):
            raise TomovoxError(
                f"record {record.id}: the prompt has {asked - 1} tokens beside the "
                f"{self.volume_tokens} of the volume and max_length is {self.max_length}; shorten "
                f"the question or raise max_length of the template"
            )
        holder = self._vocabulary.placeholder
        prompt = [holder if number == VOLUME_ID else number for number in ids[:asked]]
        return Encoded(prompt, ids[asked:][:room])

    def released_row(self, record: Record, answer: bool = True) -> tuple[list[int], list[int]]:
        """Return (ids, labels) as released, with -201 at the volume and before any cut.

        Without `answer`, the row to generate from. Raises TomovoxError when the text writes a mark
        of the format, or when there is no answer to learn.
        """
        asked, said = self._asked(record, answer), self._said(record) if answer else ""
        opening = [] if self.pretraining else self._start + self._ids(USER)
        ids = [*opening, VOLUME_ID, *self._ids(asked + said)]
        silent = len(opening) + 1 + len(self._ids(asked))
        return ids, [IGNORE] * silent + ids[silent:]

    def _asked(self, record: Record, answer: bool) -> str:
        """Return the text between volume and answer."""
        if self.pretraining:
            return "" if answer else ASSISTANT.lstrip()
        question = f"\n{record.question}".rstrip()
        self._refuse_marks(record, "question", question)
        return question + ASSISTANT

    def _said(self, record: Record) -> str:
        """Return the text of the answer, with its end token unless pretraining."""
        reference = record.reference.strip()
        if not reference:
            raise TomovoxError(f"record {record.id}: the reference is empty; give it an answer")
        self._refuse_marks(record, "reference", f" {reference}")
        return reference if self.pretraining else f" {reference}{END[self.kind]}"

    def _refuse_marks(self, record: Record, part: str, text: str) -> None:
        for mark in (PLACEHOLDER, VOLUME_MARK, ASSISTANT, END[self.kind]):
            if mark in text:
                raise TomovoxError(
                    f"record {record.id}: the {part} contains {mark.strip()}, a mark of the "
                    f"conversation; reword it"
                )
