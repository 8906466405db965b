"""Which text metrics reward what is wrong? Texts of known worth, scored as if a model wrote them.

A metric can be trusted as far as its score of the negated reference lies below its score of the
reference, and a model says something of the image as far as it lies above another case's reference.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tomovox.judge.score import ALL, Row, score
from tomovox.schema import Prediction, Task, TomovoxError

TASKS = (Task.REPORT, Task.VQA_OPEN)
"""The tasks whose references are sentences or words that can be denied."""

REFERENCE, NEGATED, SHUFFLED = "(reference)", "(negated reference)", "(reference of another case)"
"""The names of the made-up rows: a ceiling, wrong statements in the right words, and a floor."""

_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?;])(?=\s)|(?=\n)")  # the dot of 3.5 mm ends none
_NEGATION = re.compile(r"\b(?:no|not)\b\s*|\b(with)out\b", re.IGNORECASE)
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|had|shows?|appears?)\b", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")


def sanity_board(runs: Mapping[str, Iterable[Prediction]], seed: int = 0) -> dict[str, list[Row]]:
    """Return the rows of reports and open questions of every run, and of the three made-up ones.

    The rows are over all records of a task and go to judge.tables.build_table as they are. A run of
    the most frequent training answer is one of `runs`. The made-up rows hold the records of all
    runs, but for those that `shuffled` leaves out. Raises TomovoxError when two runs do not have
    the same reference for a record, when a run has a made-up row's name, and when there is neither
    a report nor an open question.
    """
    mine = {
        name: [record for record in predictions if record.task in TASKS]
        for name, predictions in runs.items()
    }
    asked = _records(mine)
    if not asked:
        raise TomovoxError(
            f"no answers to {' or '.join(TASKS)} in these runs; name a run that has some"
        )
    answers: dict[str, Sequence[Prediction]] = {
        REFERENCE: [replace(record, text=record.reference) for record in asked],
        NEGATED: [replace(record, text=negated(record.reference)) for record in asked],
        SHUFFLED: shuffled(asked, seed),
    }
    if taken := sorted(answers.keys() & mine.keys()):
        raise TomovoxError(f"run {taken[0]}: the name is that of a made-up row; rename the run")
    return {
        name: [row for row in score(predictions).rows if row["question_type"] == ALL]
        for name, predictions in (answers | mine).items()
    }


def _records(runs: Mapping[str, Sequence[Prediction]]) -> list[Prediction]:
    """Return one prediction of every record, by id."""
    first: dict[str, tuple[str, Prediction]] = {}
    for name, predictions in runs.items():
        for record in predictions:
            other, same = first.setdefault(record.id, (name, record))
            if same.reference != record.reference:
                raise TomovoxError(
                    f"{record.id}: {other} and {name} have different references; "
                    f"compare runs over one data set"
                )
    return [first[key][1] for key in sorted(first)]


def shuffled(records: Sequence[Prediction], seed: int) -> list[Prediction]:
    """Return the records, each answered with the reference of a record of another case.

    Task and question type stay the same; each reference is given once. The cases come in an order
    drawn from `seed`, and every record takes the reference as far ahead as the largest case has
    records, so that it leaves its own case. Where one case has more than half of the records it
    cannot, and the record is left out.
    """
    groups: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.id):
        groups[str(record.task), record.question_type].append(record)
    answers = []
    for group in groups.values():
        by_case: dict[str, list[Prediction]] = defaultdict(list)
        for record in group:
            by_case[record.case].append(record)
        cases = random.Random(seed).sample(sorted(by_case), len(by_case))
        row = [record for case in cases for record in by_case[case]]
        ahead = max(map(len, by_case.values()))
        for i, record in enumerate(row):
            other = row[(i + ahead) % len(row)]
            if other.case != record.case:
                answers.append(replace(record, text=other.reference))
    return answers


def negated(text: str) -> str:
    """Return the text with every sentence denied by one rule; the grammar may suffer.

    A sentence that has "no" or "not" loses each, and "without" becomes "with". Any other gets a
    "not" behind its first is, are, was, were, has, have, had, show(s) or appear(s), and one without
    such a verb a "no" in front. Sentences end at line ends and at . ! ? ; before a space. A text
    that is "yes" or "no" becomes the other.
    """
    answer = re.fullmatch(r"(\W*)(?:(yes)|no)(\W*)", text, re.IGNORECASE)
    if answer:
        return _like(text, f"{answer[1]}{'no' if answer[2] else 'yes'}{answer[3]}")
    return "".join(_denied(part) for part in _BETWEEN_SENTENCES.split(text))


def _denied(sentence: str) -> str:
    if not re.search(r"\w", sentence):
        return sentence
    if _NEGATION.search(sentence):
        return _like(sentence, _NEGATION.sub(lambda found: found[1] or "", sentence))
    if _VERB.search(sentence):
        return _VERB.sub(lambda found: f"{found[0]} not", sentence, count=1)
    return _like(sentence, re.sub(r"\w.*", _with_no, sentence, count=1, flags=re.DOTALL))


def _with_no(found: re.Match[str]) -> str:
    text = found[0]
    name = text[1:2].isupper() or text[1:2].isdigit()  # CT and T2 keep their capital
    return f"no {text if name else text[0].lower() + text[1:]}"


def _like(sentence: str, changed: str) -> str:
    """Return `changed` with a capital where `sentence` begins with one."""
    old, new = _LETTER.search(sentence), _LETTER.search(changed)
    if old is None or new is None or not old[0].isupper():
        return changed
    return changed[: new.start()] + new[0].upper() + changed[new.end() :]
