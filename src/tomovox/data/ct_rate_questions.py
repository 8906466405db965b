"""What do the question files of CT-RATE ask? Choices, short and long answers about a volume.

Two kinds of files hold the same questions: the release's `<split>_vqa.json`, conversations of any
form, and files of one form, `<split>_choice.json`, `_short.json` and `_long.json`, whose items have
`vision3d`, `question` and `answer`. Source: CT-CHAT and Med-2E3, released code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tomovox.data.faults import DataFault
from tomovox.schema import LETTERS

ALL_FORMS = "{split}_vqa.json"
ONE_FORM = "{split}_{form}.json"
FORMS = ("choice", "short", "long")
REPORT_FORM = "rg"
"""Reports are asked for from the table of reports, so items of this form are only counted."""

KINDS = {
    "multiple_choice": "choice",
    "short_answer": "short",
    "long_answer": "long",
    "report_generation": REPORT_FORM,
}
"""Kind of a conversation in the release -> form."""

MARK = re.compile(r"<(?:image|image3d|" + "|".join(KINDS) + r")>")
OPTION = re.compile(r"(?:(?<=\s)|^)(?:\(([A-Za-z])\)|(?:([A-Za-z])\)|([A-Z])\.)(?=\s))")
LETTER = re.compile(r"\s*(?:\(([A-Za-z])\)|([A-Za-z])\)|([A-Z])\.|([A-Za-z])$)")
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a volume, without marks, and its answer."""

    form: str
    volume: str
    question: str
    answer: str


def items_of(path: Path) -> Iterator[Any]:
    """Yield the items of a JSON list one by one, whatever the size of the file.

    Raises DataFault when the file cannot be read or is no list.
    """
    decoder, text, place, first = json.JSONDecoder(), "", 0, True
    try:
        with path.open(encoding="utf-8-sig") as stream:
            while True:
                text, place = _next(text, place, stream, "[" if first else ",]")
                if text[place] == "]" and not first:
                    return
                text, place = _next(text, place + 1, stream)
                if text[place] == "]" and first:
                    return
                item, text, place = _item(decoder, text, place, stream)
                yield item
                first = False
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise DataFault(str(path), reason, "check the data root or download the file") from None
    except (ValueError, RecursionError) as error:
        reason = f"no readable list in JSON ({' '.join(str(error).split())})"
        raise DataFault(str(path), reason, "download the file again") from None


def asked_in(item: Any, form: str, place: str) -> Iterator[Asked]:
    """Yield the questions of an item; `form` is that of its file, "" where it holds all forms.

    Raises DataFault for an item that names no volume, or a question or answer that is empty.
    """
    found = item if isinstance(item, dict) else {}
    volume = found.get("image") or found.get("vision3d")
    volume = volume[0] if isinstance(volume, list) and volume else volume
    if not isinstance(volume, str):
        raise DataFault(place, "names no volume (image or vision3d)", "leave it out")
    for kind, question, answer in _turns(found, place):
        said = form or _form(kind, question, str(found.get("id", "")))
        texts = (" ".join(MARK.sub(" ", text).split()) for text in (question, answer))
        asked = Asked(said, volume, *texts)
        if not (asked.question and asked.answer and said):
            raise DataFault(place, "a question, its form or its answer is empty", "leave it out")
        yield asked


def split_choices(question: str) -> tuple[str, tuple[str, ...]]:
    """Return a question of choices without them, and the choices, "(a) right lung (b) ...".

    ValueError says in words why there are none: two to four choices, lettered from a on.
    """
    found = [
        (match, next(g for g in match.groups() if g).lower()) for match in OPTION.finditer(question)
    ]
    start = next((i for i, (_, letter) in enumerate(found) if letter == "a"), None)
    if start is None:
        raise ValueError("it has no choice (a)")
    listed = [match for match, letter in found[start:]]
    letters = "".join(letter for _, letter in found[start:])
    if letters not in ("ab", "abc", "abcd"):
        raise ValueError(f"its choices are {', '.join(letters)}, not two to four from a on")
    ends = [match.start() for match in listed[1:]] + [len(question)]
    choices = tuple(
        question[match.end() : end].strip(" ,;\n") for match, end in zip(listed, ends, strict=True)
    )
    if not all(choices) or len(set(choices)) < len(choices):
        raise ValueError("a choice is empty or stands there twice")
    return question[: listed[0].start()].strip(), choices


def right_choice(answer: str, choices: tuple[str, ...]) -> int:
    """Return the place of the choice that an answer names, "(a) right lung"; ValueError for none.

    The letter counts, else the text when it is that of one choice. A letter with the text of
    another choice names none.
    """
    match = LETTER.match(answer)
    letter = next(filter(None, match.groups())).upper() if match else ""
    lettered = match is not None and letter in LETTERS[: len(choices)]
    text = _plain(answer[match.end() :] if match and lettered else answer)
    same = [i for i, choice in enumerate(choices) if _plain(choice) == text]
    if lettered:
        place = LETTERS.index(letter)
        if same and place not in same:
            raise ValueError(f"its answer {answer[:60]!r} has the letter of another choice")
        return place
    if len(same) != 1:
        raise ValueError(f"its answer {answer[:60]!r} names none of its choices")
    return same[0]


def _plain(text: str) -> str:
    return text.strip(" .,;").casefold()


def _turns(item: dict[str, Any], place: str) -> Iterator[tuple[str, str, str]]:
    """Yield kind, question and answer of an item: its own, or those of its conversation."""
    if isinstance(item.get("question"), str) and isinstance(item.get("answer"), str):
        yield "", item["question"], item["answer"]
        return
    turns = item.get("conversations")
    whole = isinstance(turns, list) and all(
        isinstance(turn, dict) and isinstance(turn.get("value"), str) for turn in turns
    )
    if not whole or not turns or len(turns) % 2:
        raise DataFault(place, "holds no question with its answer", "leave it out")
    for asked, answered in zip(turns[::2], turns[1::2], strict=True):
        yield str(asked.get("type", "")), asked["value"], answered["value"]


def _form(kind: str, question: str, name: str) -> str:
    """Return the form that the kind, a mark in the question or the item's name tells."""
    for told, form in KINDS.items():
        if kind == told or f"<{told}>" in question or (not kind and name.startswith(told)):
            return form
    return ""


# ---- a list that is too long to be read at once ----------------------------------------------


def _next(text: str, place: int, stream: Any, wanted: str = "") -> tuple[str, int]:
    """Return text and place of the next character that is no space, which must be `wanted`."""
    while True:
        while place < len(text) and text[place].isspace():
            place += 1
        if place < len(text):
            break
        text, place = stream.read(CHUNK), 0
        if not text:
            raise ValueError("it ends early")
    if wanted and text[place] not in wanted:
        raise ValueError(f"expected {' or '.join(wanted)}, found {text[place]!r}")
    return text, place


def _item(decoder: json.JSONDecoder, text: str, place: int, stream: Any) -> tuple[Any, str, int]:
    """Return the item that begins at a place, the text and the place behind it."""
    while True:
        try:
            item, end = decoder.raw_decode(text, place)
            if end < len(text):  # a number at the end of a chunk may go on
                return item, text, end
        except ValueError:
            pass
        more = stream.read(max(CHUNK, len(text) - place))
        if not more:
            item, end = decoder.raw_decode(text, place)
            return item, text, end
        text, place = text[place:] + more, 0
