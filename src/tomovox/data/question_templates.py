"""In which words is a structure asked for and answered with, where the data set gives none?

M3D-Seg holds images and masks; the sentences around a name, a description or a box come from lists
of templates. Tomovox's own lie in question_templates.json, in the number of the release and never
in its words. The id of a record decides which of them it gets. Source: M3D (Bai et al. 2024),
released code.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tomovox.data.tokenizer import SEG
from tomovox.parsed import json_of, yaml_of
from tomovox.schema import TomovoxError

QuestionTemplates = Mapping[str, tuple[str, ...]]
"""Lists of templates: "caption" and, for rec, reg and seg, those of SLOTS ("rec.cls_answers")."""

OWN = Path(__file__).with_name("question_templates.json")

CLASS, DESCRIPTION, BOX = "{class}", "{description}", "{box}"
SLOTS: dict[str, tuple[str, ...]] = {
    "caption": (),
    "rec.cls_questions": (CLASS,),
    "rec.des_questions": (DESCRIPTION,),
    "rec.cls_answers": (BOX,),
    "rec.des_answers": (CLASS, BOX),
    "rec.cls_no_answers": (CLASS,),
    "rec.des_no_answers": (CLASS,),
    "reg.cls_questions": (BOX,),
    "reg.des_questions": (BOX,),
    "reg.cls_answers": (CLASS,),
    "reg.des_answers": (CLASS, DESCRIPTION),
    "reg.cls_no_answers": (CLASS,),
    "reg.des_no_answers": (CLASS,),
    "seg.cls_questions": (CLASS,),
    "seg.des_questions": (DESCRIPTION,),
    "seg.cls_answers": (SEG,),
    "seg.des_answers": (CLASS, SEG),
    "seg.cls_no_answers": (CLASS,),
    "seg.des_no_answers": (CLASS,),
}
"""What each template of a list holds exactly once, in the order in which a bare {} means it."""

MARK = re.compile(r"\{[^{}]*\}|" + re.escape(SEG))


def read_templates(path: Path | None = None) -> QuestionTemplates:
    """Return the lists of templates of a JSON or YAML file; without a file, Tomovox's own.

    The file is an object of `caption`, a list, and `rec`, `reg` and `seg`, objects of the lists
    `cls_questions`, `des_questions`, `cls_answers`, `des_answers`, `cls_no_answers` and
    `des_no_answers` (see SLOTS). A slot is written by name or, as in the release, {}. A template
    that stands there twice weighs twice. Raises TomovoxError for a file that is none, a list that
    is missing, empty or not known, and a template whose slots are others than those of its list.
    """
    path = path or OWN
    lists = _flat(_parsed(path), path)
    if wrong := sorted(lists.keys() ^ SLOTS.keys()):
        state = "missing" if wrong[0] in SLOTS else "not known"
        raise TomovoxError(
            f"{path}: list {wrong[0]!r} is {state}; the lists are {', '.join(SLOTS)}"
        )
    return {name: _checked(lists[name], name, path) for name in SLOTS}


def chosen(name: str, *lists: Sequence[str]) -> list[str]:
    """Return one element of each list, as the record id `name` decides and nothing else."""
    number, picked = zlib.crc32(name.encode()), []
    for options in lists:  # digits of one number, so that one choice tells nothing of the next
        number, place = divmod(number, len(options))
        picked.append(options[place])
    return picked


def filled(template: str, slots: Mapping[str, str]) -> str:
    """Return a template with its slots replaced; what is put in is not searched for more."""
    return MARK.sub(lambda mark: slots.get(mark[0], mark[0]), template)


def _parsed(path: Path) -> Any:
    """Return what a file says, read by its suffix."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return yaml_of(text) if path.suffix in (".yaml", ".yml") else json_of(text)
    except OSError as error:
        raise TomovoxError(
            f"{path}: cannot be read ({error.strerror}); give a file of templates"
        ) from None
    except ValueError as error:
        raise TomovoxError(f"{path}: neither JSON nor YAML ({error}); mend the file") from None


def _flat(content: Any, path: Path) -> dict[str, Any]:
    """Return the lists by their name in SLOTS."""
    if not isinstance(content, dict):
        raise TomovoxError(f"{path}: not an object of lists; it holds {', '.join(SLOTS)}")
    lists: dict[str, Any] = {}
    for group, inner in content.items():
        if isinstance(inner, dict):
            lists |= {f"{group}.{key}": templates for key, templates in inner.items()}
        else:
            lists[str(group)] = inner
    return lists


def _checked(templates: Any, name: str, path: Path) -> tuple[str, ...]:
    """Return the templates of a list with named slots; TomovoxError unless all hold theirs."""
    if not isinstance(templates, list) or not templates:
        raise TomovoxError(f"{path}: {name} must be a list of at least one template; mend it")
    slots = SLOTS[name]
    named = []
    for number, template in enumerate(templates):
        place = f"{path}: {name}, template {number}"
        if not isinstance(template, str) or not template.strip():
            raise TomovoxError(f"{place}: {template!r} is no text; write it in quotes")
        for slot in (slot for slot in slots if slot != SEG):
            template = template.replace("{}", slot, 1)
        if sorted(MARK.findall(template)) != sorted(slots):
            needed = " and ".join(slots) or "no slot at all"
            raise TomovoxError(f"{place}: {template!r} must hold {needed}, once each, and no other")
        named.append(template)
    return tuple(named)
