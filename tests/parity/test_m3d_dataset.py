"""A parity case of M3D's data set fails for one changed number or word, and says which output."""

import json
import shutil
from pathlib import Path

import pytest

from tomovox.parity.cases import CASE, find_cases
from tomovox.parity.verdicts import judge
from tomovox.schema import TomovoxError

HERE = Path(__file__).parent


@pytest.fixture
def mini(tmp_path: Path) -> Path:
    """A folder with a copy of the committed case."""
    return Path(shutil.copytree(HERE / "m3d_mini", tmp_path / "m3d_mini"))


def edit(folder: Path, value: object, *keys: str | int) -> None:
    """Put a value into case.json under `keys`; the last may be new."""
    facts = json.loads((folder / CASE).read_text("utf-8"))
    place = facts
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (folder / CASE).write_text(json.dumps(facts), "utf-8")


def failed(folder: Path) -> list[str]:
    (case,) = find_cases([folder])
    return [outcome.output for outcome in judge(case).outcomes if not outcome.passed]


CLOSED, OPEN, CAPTION = "vqa_closed_test/pad_own", "vqa_open_test/pad_eos", "caption_test/pad_eos"


@pytest.mark.parametrize(
    ("value", "keys", "output"),
    [
        (9, (CLOSED, 3, "input_id", 7), f"{CLOSED} input_id"),
        (-100, (OPEN, 0, "label", 14), f"{OPEN} label"),
        (1, (CAPTION, 1, "attention_mask", 95), f"{CAPTION} attention_mask"),
        ("No fluid.", (CAPTION, 3, "answer"), f"{CAPTION} answer"),
        ("Which?", (OPEN, 19, "question"), f"{OPEN} question"),
        (5, (CLOSED, 0, "question_type"), f"{CLOSED} question_type"),
        ("C", (OPEN, 0, "answer_choice"), f"{OPEN} answer_choice"),
    ],
)
def test_a_changed_item_fails_and_its_output_is_named(mini, value, keys, output):
    edit(mini, value, "cases", *keys)
    assert failed(mini) == [output]


@pytest.mark.parametrize(
    ("value", "keys", "output"),
    [
        (0.376, ("mask2box", "1/mask_0", 0), "mask2box"),
        ([0.0] * 6, ("mask2box", "4/mask_1"), "mask2box"),
        (None, ("mask2box", "1/mask_0"), "mask2box"),
        (1e-8, ("iou", 0, "m3d_iou"), "iou"),
        (None, ("extract_box", 0, "box"), "extract_box"),
        ([0, 0, 0, 0, 0, 0], ("extract_box", 3, "box"), "extract_box"),
    ],
)
def test_a_changed_box_fails_and_its_output_is_named(mini, value, keys, output):
    edit(mini, value, *keys)
    assert failed(mini) == [output]


def test_a_question_more_than_recorded_fails(mini):
    table = mini / "dataset/M3D-VQA/M3D_VQA_test.csv"
    lines = table.read_text("utf-8").splitlines()
    table.write_text("\n".join([*lines, lines[-1]]), "utf-8")
    assert f"{OPEN} question" in failed(mini) and f"{OPEN} label" in failed(mini)


@pytest.mark.parametrize(
    ("value", "keys", "told"),
    [
        ([], ("cases", "hologram_test/pad_own"), "cases names task 'hologram', known: vqa_closed"),
        ([1, "a"], ("cases", CLOSED, 0, "label"), f"{CLOSED} label: not rows of whole numbers"),
        ([1, 2], ("cases", CLOSED, 0, "label"), f"{CLOSED} label: not rows of whole numbers"),
        (None, ("cases", CLOSED, 0, "answer"), "a row whose answer is missing or of another type"),
        ("a", ("iou", 0, "a"), "iou has a row whose a is missing or of another type"),
        ([1, 2], ("iou", 0, "a"), r"\[1, 2\] is no box of six numbers"),
        ([0.0] * 6, ("mask2box", "9/mask_0"), "masks that are not there: 9/mask_0"),
        (0, ("settings", "proj_out_num"), "proj_out_num is 0, wanted a number from 1"),
        ([], ("cases", "caption_test/gone"), "tokenizer_gone: no such folder"),
    ],
)
def test_a_broken_case_is_refused_with_what_is_wrong(mini, value, keys, told):
    edit(mini, value, *keys)
    with pytest.raises(TomovoxError, match=told):
        failed(mini)
