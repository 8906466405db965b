import json
from itertools import pairwise

import pytest
import yaml

from tomovox.data.question_templates import (
    BOX,
    CLASS,
    OWN,
    SLOTS,
    chosen,
    filled,
    read_templates,
)
from tomovox.data.records import REPORT_QUESTIONS
from tomovox.schema import TomovoxError

COUNTS = {
    **{"caption": 42},
    **{"rec.cls_questions": 19, "rec.des_questions": 41, "rec.cls_answers": 32},
    **{"rec.des_answers": 21, "rec.cls_no_answers": 15, "rec.des_no_answers": 13},
    **{"reg.cls_questions": 36, "reg.des_questions": 17, "reg.cls_answers": 20},
    **{"reg.des_answers": 18, "reg.cls_no_answers": 9, "reg.des_no_answers": 6},
    **{"seg.cls_questions": 26, "seg.des_questions": 21, "seg.cls_answers": 13},
    **{"seg.des_answers": 12, "seg.cls_no_answers": 12, "seg.des_no_answers": 10},
}
"""How many templates the released code has of each list."""


@pytest.fixture
def own_file(tmp_path):
    """Return a writer of a file of templates: Tomovox's own but for one list."""

    def write(name: str = "", templates: object = None, suffix: str = "json"):
        lists = json.loads(OWN.read_text(encoding="utf-8"))
        group, _, key = name.partition(".")
        if key:
            lists[group][key] = templates
        elif name:
            lists[group] = templates
        path = tmp_path / f"mine.{suffix}"
        path.write_text(json.dumps(lists) if suffix == "json" else yaml.safe_dump(lists))
        return path

    return write


def error_of(path) -> str:
    with pytest.raises(TomovoxError) as caught:
        read_templates(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---- our own ---------------------------------------------------------------------------------


def test_the_lists_are_as_long_as_the_released_ones():
    assert {name: len(templates) for name, templates in read_templates().items()} == COUNTS


def test_no_template_stands_twice_in_a_list():
    for templates in read_templates().values():
        assert len(set(templates)) == len(templates)


def test_requests_for_a_report_begin_with_those_of_the_records():
    assert read_templates()["caption"][: len(REPORT_QUESTIONS)] == REPORT_QUESTIONS


# ---- which one -------------------------------------------------------------------------------


def test_the_choice_depends_on_the_id_alone():
    assert chosen("rec/test/0003/000001/class", "abc", "de") == chosen(
        "rec/test/0003/000001/class", "abc", "de"
    )


def test_all_templates_are_used_about_as_often():
    letters = [chr(ord("a") + place) for place in range(26)]
    picks = [chosen(f"seg_semantic/train/0011/{n:06d}", letters)[0] for n in range(2600)]
    counts = [picks.count(letter) for letter in letters]
    assert min(counts) > 60 and max(counts) < 140


def test_the_choice_of_a_question_does_not_tell_the_answer():
    pairs = {tuple(chosen(f"rec/train/0003/{n:06d}/class", "ab", "ab")) for n in range(100)}
    assert len(pairs) == 4


def test_neighbours_differ():
    picks = [chosen(f"rec/train/0003/{n:06d}/class", "abcdefghij")[0] for n in range(200)]
    assert sum(a == b for a, b in pairwise(picks)) < 50


def test_what_fills_a_slot_is_not_filled_again():
    assert filled("{class} at {box}", {CLASS: "{box}", BOX: "here"}) == "{box} at here"


# ---- a file of one's own ---------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["json", "yaml", "yml"])
def test_a_file_of_the_same_lists_is_read(own_file, suffix):
    path = own_file("rec.cls_answers", ["Da: {box}"], suffix)
    assert read_templates(path) == read_templates() | {"rec.cls_answers": ("Da: {box}",)}


def test_bare_slots_are_those_of_the_list_in_order(own_file):
    path = own_file("rec.des_answers", ["{} at {}"])
    assert read_templates(path)["rec.des_answers"] == ("{class} at {box}",)


def test_a_template_that_stands_twice_counts_twice(own_file):
    path = own_file("seg.cls_answers", ["[SEG]", "[SEG]"])
    assert read_templates(path)["seg.cls_answers"] == ("[SEG]", "[SEG]")


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("rec.cls_questions", "Where is it?"),
        ("rec.cls_questions", "{class} or {class}"),
        ("rec.cls_questions", "{class} in {box}"),
        ("rec.cls_questions", "{clas}"),
        ("rec.cls_questions", "{} and {}"),
        ("rec.cls_no_answers", "No {class} in {box}"),
        ("seg.cls_answers", "Here it is."),
        ("seg.cls_answers", "[SEG] and [SEG]"),
        ("seg.des_no_answers", "No {class}: [SEG]"),
        ("caption", "Report on {}"),
    ],
)
def test_slots_other_than_those_of_the_list_are_refused(own_file, name, template):
    good = read_templates()[name][0]
    message = error_of(own_file(name, [good, template]))
    assert f"{name}, template 1" in message and "mine.json" in message


@pytest.mark.parametrize("templates", [[], "{class}", {"a": "{class}"}, None, [3], [" "]])
def test_what_is_no_list_of_texts_is_refused(own_file, templates):
    assert "rec.cls_questions" in error_of(own_file("rec.cls_questions", templates))


@pytest.mark.parametrize("name", SLOTS)
def test_a_missing_list_is_named(own_file, name):
    path = own_file()
    lists = json.loads(path.read_text())
    group, _, key = name.partition(".")
    del (lists[group] if key else lists)[key or group]
    path.write_text(json.dumps(lists))
    assert f"list {name!r} is missing" in error_of(path)


@pytest.mark.parametrize("name", ["captions", "rec.cls_question", "pos.cls_questions"])
def test_an_unknown_list_is_named(own_file, name):
    path = own_file()
    lists = json.loads(path.read_text())
    group, _, key = name.partition(".")
    lists.setdefault(group, {}).update({key: ["a"]}) if key else lists.update({group: ["a"]})
    path.write_text(json.dumps(lists))
    assert f"list {name!r} is not known" in error_of(path)


@pytest.mark.parametrize(("suffix", "text"), [("json", "{"), ("yaml", "a: [")])
@pytest.mark.parametrize("broken", [True, False])
def test_a_broken_file_is_one_line(tmp_path, suffix, text, broken):
    path = tmp_path / f"mine.{suffix}"
    path.write_text(text if broken else "[]")
    assert f"mine.{suffix}" in error_of(path)


def test_a_missing_file_is_named(tmp_path):
    assert "absent.json" in error_of(tmp_path / "absent.json")
