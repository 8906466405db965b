"""Are questions found in both kinds of files, and choices in whatever way they are lettered?"""

import json
from pathlib import Path

import pytest

from tomovox.data import ct_rate_questions
from tomovox.data.ct_rate_questions import asked_in, items_of, right_choice, split_choices
from tomovox.data.faults import DataFault


@pytest.mark.parametrize(
    "question",
    [
        "Where is it? (a) right lung (b) left lung (c) both (lower) lobes",
        "Where is it? a) right lung b) left lung c) both (lower) lobes",
        "Where is it?\nA. right lung\nB. left lung\nC. both (lower) lobes",
        "Where is it? (A) right lung, (B) left lung, (C) both (lower) lobes",
        "Where is it? (a)right lung (b)left lung (c)both (lower) lobes",
    ],
)
def test_choices_are_found_in_every_way_of_lettering(question):
    stem, choices = split_choices(question)
    assert stem == "Where is it?"
    assert choices == ("right lung", "left lung", "both (lower) lobes")


@pytest.mark.parametrize(
    "question",
    ["Where is it?", "Is it (a) one?", "(b) x (c) y", "(a) x (a) y", "(a) x (b) x", "(a) (b) y"],
)
def test_a_question_without_choices_says_so(question):
    with pytest.raises(ValueError, match="choice"):
        split_choices(question)


def test_more_than_four_choices_are_refused():
    with pytest.raises(ValueError, match="two to four"):
        split_choices("Q? (a) v (b) w (c) x (d) y (e) z")


@pytest.mark.parametrize(
    "answer", ["(b) left lung", "b) left lung", "B. left lung", "b", "left lung"]
)
def test_the_right_choice_is_told_by_letter_or_text(answer):
    assert right_choice(answer, ("right lung", "left lung")) == 1


@pytest.mark.parametrize("answer", ["(c) none", "(c) left lung", "A large mass", "the left"])
def test_an_answer_that_names_no_choice_is_refused(answer):
    with pytest.raises(ValueError, match="names none"):
        right_choice(answer, ("right lung", "left lung"))


def test_a_letter_with_the_text_of_another_choice_is_refused():
    with pytest.raises(ValueError, match="letter of another choice"):
        right_choice("(a) left lung.", ("right lung", "left lung"))


def turns(*texts: str, kind: str = "") -> list[dict[str, str]]:
    said = [{"from": ("human", "gpt")[k % 2], "value": text} for k, text in enumerate(texts)]
    return [turn | ({"type": kind} if kind else {}) for turn in said]


def test_a_conversation_asks_one_question_a_turn_without_marks():
    talk = turns("<image>\nA?<short_answer>", "1.", "B?<long_answer>", "2.")
    found = list(asked_in({"image": "v.nii.gz", "conversations": talk}, "", "item"))
    assert [(a.form, a.question, a.answer) for a in found] == [
        ("short", "A?", "1."),
        ("long", "B?", "2."),
    ]


@pytest.mark.parametrize(
    "item",
    [
        {"conversations": turns("Q?", "A.", kind="multiple_choice")},
        {"conversations": turns("Q?<multiple_choice>", "A.")},
        {"id": "multiple_choice_7", "conversations": turns("Q?", "A.")},
    ],
)
def test_the_form_is_told_by_type_mark_or_id(item):
    assert next(asked_in({"image": "v", **item}, "", "item")).form == "choice"


def test_an_item_of_one_form_needs_no_conversation():
    item = {"vision3d": ["train_1/v.npy"], "question": "<image3d>\nQ?", "answer": "A."}
    asked = next(asked_in(item, "long", "item"))
    assert (asked.volume, asked.form, asked.question) == ("train_1/v.npy", "long", "Q?")


@pytest.mark.parametrize(
    "item",
    [
        {"question": "Q?", "answer": "A."},
        {"image": "v"},
        {"image": "v", "question": "Q?", "answer": " "},
        {"image": "v", "conversations": turns("Q?")},
        {"image": "v", "conversations": turns("Q?", "A.")},
        "text",
    ],
)
def test_an_item_that_asks_nothing_is_a_fault(item):
    with pytest.raises(DataFault):
        list(asked_in(item, "", "file: item 3"))


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
def test_a_list_is_read_in_chunks_of_any_size(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(ct_rate_questions, "CHUNK", chunk)
    items = [{"a": [1, 2.5, "],{"]}, 12345, 'é " text', None, []]
    path = tmp_path / "items.json"
    for indent in (None, 1):
        path.write_text(json.dumps(items, indent=indent, ensure_ascii=False), encoding="utf-8")
        assert list(items_of(path)) == items


@pytest.mark.parametrize("text", ["[]", " [ ] ", "[1]"])
def test_short_lists_end(tmp_path, text):
    path = tmp_path / "items.json"
    path.write_text(text)
    assert list(items_of(path)) == json.loads(text)


@pytest.mark.parametrize("text", ["", "{}", "[1, 2", "[1 2]", "[1,]", '[{"a": ]', "[" * 100_000])
def test_what_is_no_list_is_one_line_with_the_file(tmp_path, text):
    path: Path = tmp_path / "items.json"
    path.write_text(text)
    with pytest.raises(DataFault, match=r"items\.json: no readable list in JSON"):
        list(items_of(path))
