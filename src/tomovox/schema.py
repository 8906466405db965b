"""What do all parts of Tomovox agree on? The shared vocabulary; all else is private.

Letters: u studies, s series, b questions, t text tokens, p shared visual tokens, q own visual
tokens, n scored slices, D H W depth, height and width of a series.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

IGNORE = -100
"""Label of a position that carries no loss, as in torch.nn.functional.cross_entropy."""

PREDICTIONS = "predictions.jsonl"
"""The file of a RUN folder that holds one line per answered record."""

NONE, CONTROLS_FOLDER = "none", "controls"
"""Control of answers about the true volumes, and the folder of a RUN that holds the others'."""

LETTERS = "ABCD"
"""The letters of a closed question's choices, in the order of columns Choice A to Choice D."""


class TomovoxError(Exception):
    """Input that a user can mend: one line with the place and what to do; exit code 2.

    What a damaged file brings into the message cannot break the line or steer a terminal.
    """

    def __init__(self, message: str) -> None:
        wrapped = re.findall(r"(?m)^[\w.]*(?:TomovoxError|DataFault): (.*)", message)
        line = wrapped[-1] if wrapped else message.strip()  # a data worker adds its traceback
        super().__init__("".join(char if char.isprintable() else " " for char in line))


class Task(StrEnum):
    """The eight tasks of M3D-Bench, and the report of a case from all its series.

    M3D-Bench asks for `report` of one series; `case_report` is ours and stands beside it.
    """

    RETRIEVAL = "retrieval"
    REPORT = "report"
    CASE_REPORT = "case_report"
    VQA_CLOSED = "vqa_closed"
    VQA_OPEN = "vqa_open"
    REC = "rec"
    REG = "reg"
    SEG_SEMANTIC = "seg_semantic"
    SEG_REFERRING = "seg_referring"


QUESTION_TYPES = {1: "plane", 2: "phase", 3: "organ", 4: "abnormality", 5: "location"}
"""Column `Question Type` of M3D-VQA (M3D, section on M3D-VQA) -> its name in tables."""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing to ask a model, and what is right.

    `id` is unique over the suite ("vqa_closed/test/000123"). `case` is the patient study, the unit
    of statistics. `volumes` are the series, as paths below the data root. `reference` is the text
    to match; of a closed question it is the published "B. liver", and `choices` are the texts of A
    to D. `context` is text that says what the image shows (series name and report); only the
    text-only language stage reads it.
    """

    id: str
    task: Task
    split: str
    case: str
    volumes: tuple[str, ...]
    question: str
    reference: str
    question_type: str = ""
    choices: tuple[str, ...] = ()
    context: str = ""
    mask: str = ""
    mask_label: int = 0


@dataclass(slots=True)
class Studies:
    """u studies of one or more series each; intensities lie in [0, 1].

    Series may differ in size. `study` is the row (0 to u-1) of each series. `plane`, `phase` and
    `kernel` have a name per series, empty where it is withheld or unknown, or no entry at all.
    """

    voxels: list[Float[Tensor, "1 _D _H _W"]]
    study: Int[Tensor, "s"]
    plane: list[str] = field(default_factory=list)
    phase: list[str] = field(default_factory=list)
    kernel: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of studies u."""
        return int(self.study.max()) + 1 if len(self.study) else 0

    def stacked(self) -> Float[Tensor, "u 1 D H W"]:
        """Return all volumes as one tensor, without a copy where they were read into one.

        Raises TomovoxError unless every study is one series of one shape.
        """
        shapes = {tuple(v.shape) for v in self.voxels}
        if len(shapes) > 1 or len(self.voxels) != len(self):
            raise TomovoxError(
                f"a batch mixes volumes of shapes {sorted(shapes)} in {len(self)} studies: "
                f"this model needs one series of one size per study; set data.series own, and "
                f"prepare the data to one size (tomovox data prepare)"
            )
        first, size = self.voxels[0], self.voxels[0].numel()
        rows = {  # one alone, where the volumes are the rows of one tensor
            (v.untyped_storage().data_ptr(), v.storage_offset() - row * size, v.stride(), v.dtype)
            for row, v in enumerate(self.voxels)
        }
        if len(rows) > 1 or not first.is_contiguous() or any(v.requires_grad for v in self.voxels):
            return torch.stack(self.voxels)
        return first.as_strided((len(self.voxels), *first.shape), (size, *first.stride()))


@dataclass(slots=True)
class Questions:
    """b questions, without answers. `study` is the row of Studies that each asks about.

    `ids` and `mask` are the question alone, without template or placeholder, as a question encoder
    reads it.
    """

    text: list[str]
    ids: Int[Tensor, "b t"]
    mask: Bool[Tensor, "b t"]
    study: Int[Tensor, "b"]


@dataclass(slots=True)
class Batch:
    """What the datamodule yields; a row of `input_ids` has one placeholder for visual tokens.

    `masks` are the targets of the questions `mask_rows` (0 to b-1), all False where the volume does
    not show what is asked for; None when no question asks for a mask.
    `labels` are IGNORE wherever no loss falls (prompt, padding, placeholder); None when only
    prompts are given.
    """

    studies: Studies
    questions: Questions
    input_ids: Int[Tensor, "b t"]
    attention_mask: Bool[Tensor, "b t"]
    labels: Int[Tensor, "b t"] | None
    records: list[Record]
    masks: Bool[Tensor, "m 1 D H W"] | None = None
    mask_rows: Int[Tensor, "m"] | None = None


@dataclass(slots=True)
class Percept:
    """What a model made of the studies before any text: named tensors with one row per study u."""

    features: dict[str, Tensor]

    def rows(self, index: Int[Tensor, "k"]) -> Percept:
        """Return the percept of the studies `index`, in that order."""
        return Percept({name: value[index] for name, value in self.features.items()})


@dataclass(slots=True)
class VisualTokens:
    """What stands at the placeholder of question i: shared[study[i]] followed by own[i].

    Masks are True where a token counts; None means all do. `slice_scores` are the weights before
    dropout, and `slices` names the (series, index) of each of the n scored slices.
    """

    shared: Float[Tensor, "u p d"]
    shared_mask: Bool[Tensor, "u p"] | None = None
    own: Float[Tensor, "b q d"] | None = None
    own_mask: Bool[Tensor, "b q"] | None = None
    slice_scores: Float[Tensor, "b n"] | None = None
    slices: Int[Tensor, "n 2"] | None = None


@dataclass(slots=True)
class Vocabulary:
    """What a model must know of the tokenizer: its size, three ids, and [SEG] if it has one.

    `added` is how many tokens at the end were added to a pretrained tokenizer.
    """

    size: int
    placeholder: int
    pad: int
    eos: int
    seg: int | None = None
    added: int = 0


@dataclass(slots=True)
class Generated:
    """Continuations of one batch: ids after the prompt, padded after the end with `pad`.

    `mask_logits` are the masks drawn for the batch's `mask_rows`, -inf everywhere where the answer
    has no [SEG]; None from a model that cannot draw. `choice_logprobs` are, per question, the
    log-likelihoods of the answers with its choices, empty where none were scored.
    """

    ids: Int[Tensor, "b t"]
    slice_scores: Float[Tensor, "b n"] | None = None
    mask_logits: Float[Tensor, "m 1 D H W"] | None = None
    choice_logprobs: list[list[float]] | None = None


@dataclass(slots=True)
class Prediction:
    """A line of predictions.jsonl: question, reference, answer. Optional keys absent when empty.

    By ability: `mask` is a file below the RUN folder with the bits of the drawn and the true mask,
    `soft` the sums over voxels (p, t, p t) of the drawn probabilities p and the true mask t;
    `volume_embedding` and `text_embedding` are float32 vectors in base64 (retrieval);
    `choice_logprobs` are the log-likelihoods of the choices' texts, in the order of the choices.
    """

    id: str
    task: Task
    case: str
    question: str
    reference: str
    text: str
    question_type: str = ""
    choices: tuple[str, ...] = ()
    slice_scores: tuple[float, ...] = ()
    mask: str = ""
    soft: tuple[float, ...] = ()
    volume_embedding: str = ""
    text_embedding: str = ""
    choice_logprobs: tuple[float, ...] = ()

    @classmethod
    def of(cls, record: Record, text: str, slice_scores: Iterable[float] = ()) -> Prediction:
        """Return the prediction `text` for `record`; scores are kept to six digits."""
        scores = tuple(round(float(s), 6) for s in slice_scores)
        return cls(
            record.id, record.task, record.case, record.question, record.reference, text,
            record.question_type, record.choices, scores,
        )  # fmt: skip


_NUMBERS = ("slice_scores", "soft", "choice_logprobs")


def to_line(prediction: Prediction) -> str:
    """Return the JSON line of a prediction, without newline; empty optional fields are left out."""
    always = {"id", "task", "case", "question", "reference", "text"}
    row = {k: v for k, v in asdict(prediction).items() if k in always or v}
    return json.dumps(row, ensure_ascii=False)


def from_line(line: str | bytes, place: str) -> Prediction:
    """Return the prediction of a JSON line; TomovoxError names `place` when it is not one."""
    try:
        row: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TomovoxError(
            f"{place}: not a JSON line ({error}); remove the line or predict again"
        ) from None
    known = {f.name for f in fields(Prediction)}
    needed = {"id", "task", "case", "question", "reference", "text"}
    if not isinstance(row, dict) or not needed <= row.keys():
        missing = sorted(needed - set(row)) if isinstance(row, dict) else sorted(needed)
        raise TomovoxError(f"{place}: not a prediction, keys missing: {', '.join(missing)}")
    row = {key: value for key, value in row.items() if key in known}
    if strange := [key for key, value in row.items() if not _fits(key, value)]:
        raise TomovoxError(f"{place}: {strange[0]} holds what no prediction does; predict again")
    if row["task"] not in set(Task):
        raise TomovoxError(f"{place}: unknown task {row['task']!r}; known: {', '.join(Task)}")
    row["task"] = Task(row["task"])
    return Prediction(**(row | {k: tuple(v) for k, v in row.items() if isinstance(v, list)}))


def _fits(key: str, value: object) -> bool:
    """Return whether a field of a prediction may hold a value: no whole number is past 64 bits."""
    many = key == "choices" or key in _NUMBERS
    parts = value if many and isinstance(value, list) else [None if many else value]
    if key in _NUMBERS:
        return all(type(n) is float or (type(n) is int and abs(n) < 2**63) for n in parts)
    texts = [part for part in parts if isinstance(part, str)]
    return len(texts) == len(parts) and not re.search("[\ud800-\udfff]", "".join(texts))


def read_predictions(path: Path) -> Iterator[Prediction]:
    """Yield the predictions of a file in file order.

    Raises TomovoxError on a bad line or an id seen twice.
    """
    seen: set[str] = set()
    try:
        stream = path.open("rb")
    except OSError as error:
        raise TomovoxError(
            f"{path}: cannot be read ({error.strerror}); run tomovox predict or tomovox run"
        ) from None
    with stream:
        for number, line in enumerate(stream, 1):
            prediction = from_line(line, f"{path}:{number}")
            if prediction.id in seen:
                raise TomovoxError(
                    f"{path}:{number}: id {prediction.id} stands there twice; predict again"
                )
            seen.add(prediction.id)
            yield prediction
