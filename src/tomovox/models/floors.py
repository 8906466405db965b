"""What can be answered without the image? The floor that every model must clear.

Letters: u studies, h language-model width.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from tomovox.models.base import VolumeLM
from tomovox.schema import LETTERS, Percept, Questions, Record, Studies, Task, VisualTokens


class BlindLM(VolumeLM):
    """The same language model, trained on the same questions, with no visual tokens at all."""

    def __init__(self, **shared: Any):
        """Take the arguments of VolumeLM."""
        super().__init__(**shared)

    def build(self, width: int) -> None:
        """Build nothing: there is no encoder and no bridge."""

    def perceive(self, studies: Studies) -> Percept:
        """Return an empty percept."""
        return Percept({})

    def attend(self, percept: Percept, questions: Questions) -> VisualTokens:
        """Return zero tokens for every study."""
        studies = int(questions.study.max()) + 1
        embeddings = self.language.model.get_input_embeddings().weight
        return VisualTokens(shared=embeddings.new_zeros(studies, 0, self.language.width))


class MajorityAnswer:
    """The most frequent training answer: reads no image, trains nothing, knows what is common.

    Open questions and reports: the most frequent reference of the same question text, else of the
    type, else of the task. Closed questions: the choice that was right most often for that type;
    ties go to the earlier letter.
    """

    def __init__(self, records: Iterable[Record]):
        """Count the references of the training records."""
        self.counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for record in records:
            said = _content(record)
            for key in _keys(record):
                self.counts[key][said] += 1

    def answer(self, record: Record) -> str:
        """Return the floor's answer to a record."""
        if record.task == Task.VQA_CLOSED:
            counts = self.counts.get((record.task, record.question_type), Counter())
            best = max(range(len(record.choices)), key=lambda i: (counts[record.choices[i]], -i))
            return f"{LETTERS[best]}. {record.choices[best]}"
        for key in _keys(record):
            if self.counts.get(key):
                return min(self.counts[key].items(), key=lambda item: (-item[1], item[0]))[0]
        return ""


def _keys(record: Record) -> list[tuple[str, ...]]:
    task, kind = str(record.task), record.question_type
    return [(task, kind, record.question), (task, kind), (task,)]


def _content(record: Record) -> str:
    """Return the text that is right: the choice's without its letter, else the reference."""
    if record.task == Task.VQA_CLOSED:
        return record.choices[LETTERS.index(record.reference[0])]
    return record.reference
