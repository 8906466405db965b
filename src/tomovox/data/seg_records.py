"""Which structures do the masks of M3D-Seg let us ask for, by name, by description or by box?

Every listed mask is asked for once per form; one that is empty asks for what the image does not
show, and the right answer says so. Source: M3D (Bai et al. 2024), sections on positioning and
segmentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tomovox.boxes import Box, box_to_text
from tomovox.data.check_seg import SEG, SEG_SPLITS, SegEntry, seg_codes, seg_entries
from tomovox.data.faults import DataFault, Faults
from tomovox.data.mask_boxes import Progress, mask_boxes
from tomovox.data.published_files import read_json
from tomovox.data.question_templates import (
    BOX,
    CLASS,
    DESCRIPTION,
    QuestionTemplates,
    chosen,
    filled,
    read_templates,
)
from tomovox.data.refseg_records import REFSEG, read_refseg
from tomovox.schema import Record, Task, TomovoxError

TERMS = "term_dictionary.json"
BENCH = "bench"
"""The split of M3D-Bench: test rows of some data sets only."""

POSITIONING_CODES = ("0003",)
SEGMENTATION_CODES = ("0003", "0011", "0012")
"""What M3D-Bench asks of: AbdomenCT-1K, and for masks TotalSegmentator and CT-ORG as well."""

GROUPS = {Task.REC: "rec", Task.REG: "reg", Task.SEG_SEMANTIC: "seg", Task.SEG_REFERRING: "seg"}
FORMS = {
    Task.REC: ("class", "description"),
    Task.REG: ("class", "description"),
    Task.SEG_SEMANTIC: ("class",),
    Task.SEG_REFERRING: ("description",),
}
"""How each task names a structure; the templates of the forms are called cls and des."""


def read_seg(
    root: Path,
    task: Task,
    split: str,
    faults: Faults | None = None,
    templates: QuestionTemplates | None = None,
    progress: Progress | None = None,
) -> list[Record]:
    """Return the records of rec, reg, seg_semantic or seg_referring, form by form in file order.

    Splits: train, test, and bench, the test rows that M3D-Bench asks. The id is
    "<task>/<split>/<data set>/<row>", for rec and reg with "/class" or "/description" behind it,
    which is their question type; that of a mask is the structure. Without term_dictionary.json
    there are no descriptions. seg_referring asks the rows of M3D-RefSeg as well (not in bench),
    whichever of the two is there. The case is the first two folders of the image. `templates` are
    Tomovox's own unless given. An empty mask keeps its path. Raises TomovoxError as
    `records.read_records`.
    """
    root = Path(root)
    faults = faults or Faults()
    if split not in (*SEG_SPLITS, BENCH):
        known = ", ".join((*SEG_SPLITS, BENCH))
        raise TomovoxError(f"task {task.value!r} has no split {split!r}; known: {known}")
    refers = task == Task.SEG_REFERRING and split != BENCH and (root / REFSEG).is_dir()
    _check_source(root, task, instead=refers)
    terms = _read_terms(root)
    templates = templates or read_templates()
    records = [
        _record(target, task, split, form, templates)
        for target in _targets(root, task, split, terms, faults, progress)
        for form in target.forms
    ]
    return records + read_refseg(root, split, faults) if refers else records


@dataclass(frozen=True, slots=True)
class _Target:
    """A structure to ask for in the forms `forms`; `box` is None where the image has none."""

    code: str
    entry: SegEntry
    box: Box | None
    forms: tuple[str, ...]
    descriptions: tuple[str, ...]


def _check_source(root: Path, task: Task, instead: bool) -> None:
    """Raise TomovoxError when a file of M3D-Seg is missing that `instead` does not replace."""
    needed = {SEG: "masks of M3D-Seg"}
    if task == Task.SEG_REFERRING:
        needed[f"{SEG}/{TERMS}"] = "class names with their descriptions"
    for name, what in needed.items():
        if not (root / name).exists() and not instead:
            raise TomovoxError(
                f"{root / name}: not there, and task {task.value!r} asks for it: {what}; add it, "
                f"or leave the task out"
            )


def _read_terms(root: Path) -> dict[str, tuple[str, ...]] | None:
    """Return the descriptions of each class name; None where the file is not there."""
    path = root / SEG / TERMS
    if not path.exists():
        return None
    terms = read_json(path)
    whole = isinstance(terms, dict) and all(
        isinstance(texts, list) and texts and all(isinstance(t, str) and t.strip() for t in texts)
        for texts in terms.values()
    )
    if not whole:
        raise DataFault(
            str(path), "not an object of lists of descriptions", "download the file again"
        )
    return {name: tuple(texts) for name, texts in terms.items()}


def _targets(
    root: Path,
    task: Task,
    split: str,
    terms: dict[str, tuple[str, ...]] | None,
    faults: Faults,
    progress: Progress | None,
) -> Iterator[_Target]:
    """Yield what the entries of a split ask for; what is wrong with one goes to `faults`."""
    forms = [form for form in FORMS[task] if form == "class" or terms is not None]
    codes = seg_codes(root, faults) if forms else {}
    if split == BENCH:
        codes = {code: codes[code] for code in _bench_codes(root, task, codes)}
    for code, names in codes.items():
        listing = root / SEG / code / f"{code}.json"
        rows = "test" if split == BENCH else split
        entries = seg_entries(root, code, names, faults, (rows,))
        boxes = mask_boxes(root, listing, entries, faults, progress) if entries else {}
        for entry in entries:
            if entry.label not in boxes:
                continue  # not readable: `mask_boxes` told `faults`
            known = (terms or {}).get(entry.structure, ())
            if "description" in forms and not known:
                what = f"no description of {entry.structure!r} in {TERMS}"
                faults.add(DataFault(entry.place, what, "add one there"))
            own = tuple(form for form in forms if form == "class" or known)
            yield _Target(code, entry, boxes[entry.label], own, known)


def _bench_codes(root: Path, task: Task, codes: dict[str, list[str]]) -> tuple[str, ...]:
    """Return the data sets of M3D-Bench; TomovoxError when one is not there."""
    asked = SEGMENTATION_CODES if GROUPS[task] == "seg" else POSITIONING_CODES
    if missing := [code for code in asked if code not in codes]:
        raise TomovoxError(
            f"{root / SEG}: split {BENCH!r} of task {task.value!r} needs the data set "
            f"{', '.join(missing)}; add it, or read the split 'test'"
        )
    return asked


def _record(
    target: _Target, task: Task, split: str, form: str, templates: QuestionTemplates
) -> Record:
    entry, group = target.entry, GROUPS[task]
    positioned = group != "seg"
    name = f"{task}/{split}/{target.code}/{entry.number:06d}{f'/{form}' if positioned else ''}"
    kind = {"class": "cls", "description": "des"}[form]
    # What is not there has no box to ask about: REG then asks as REC does.
    questions = "rec" if group == "reg" and target.box is None else group
    answers = f"{kind}_no_answers" if target.box is None else f"{kind}_answers"
    question, answer, description = chosen(
        name,
        templates[f"{questions}.{kind}_questions"],
        templates[f"{group}.{answers}"],
        target.descriptions or ("",),
    )
    slots = {CLASS: entry.structure, DESCRIPTION: description}
    if target.box:
        slots[BOX] = box_to_text(target.box)
    return Record(
        id=name,
        task=task,
        split=split,
        case="/".join(PurePosixPath(entry.image).parts[:-1][:2]),
        volumes=(f"{SEG}/{entry.image}",),
        question=filled(question, slots),
        reference=filled(answer, slots),
        question_type=form if positioned else entry.structure,
        mask=f"{SEG}/{entry.label}",
    )
