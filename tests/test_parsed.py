"""Is a text of JSON or YAML its value or one line, however it nests, repeats and unfolds?"""

from pathlib import Path

import pytest

from tomovox.parsed import is_count, is_number, json_of, read_object, yaml_of
from tomovox.schema import TomovoxError

LEVELS = [f"&a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 22)]
BOMB = f"[&a0 [x], {', '.join(LEVELS)}]"
"""Each part names the one before it twice: a few hundred bytes that unfold to millions."""


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "9" * 5000, '{"a": 1, "a": 2}', b"\xff", b"\x80abc"],
    ids=["empty", "cut", "deep", "digits", "twice", "no text", "no UTF-8"],
)
def test_what_is_no_json_is_one_line(text):
    with pytest.raises(ValueError) as caught:
        json_of(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        *("[" * 3000, "9" * 5000, "{a: 1, a: 2}", "&a [*a]", "&a {b: *a}", "a: b: c", "\x00", "*a"),
        *('!!int ""', "!!timestamp no", "!!bool no?", "2001-99-99", "2001-01-01 00:00:00 +99:99"),
        *("!!python/object/apply:os.system [true]", "{? [a]: b}", "{<<: [1]}", BOMB),
    ],
)
def test_what_is_no_plain_yaml_is_one_line(text):
    with pytest.raises(ValueError) as caught:
        yaml_of(text)
    assert str(caught.value).isprintable()


def test_an_alias_is_what_it_names_and_a_merge_gives_way():
    value = yaml_of("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a")
    assert value == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}}


def test_an_empty_yaml_holds_nothing():
    assert yaml_of("# no more than this\n") is None


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), ("[]", "a list"), ("{", "")])
def test_a_file_without_an_object_is_named_with_what_to_do(tmp_path: Path, content, said):
    path = tmp_path / "size.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(TomovoxError, match=rf"size\.json: .*{said}.*; copy it"):
        read_object(path, "copy it")


@pytest.mark.parametrize("value", [True, None, "1", float("nan"), float("inf"), 10**400])
def test_what_no_float_holds_is_no_number(value):
    assert not is_number(value) and not is_count(value)


def test_numbers_and_counts_are_told_apart():
    assert is_number(-0.5) and is_number(2**62)
    assert is_count(0) and not is_count(-1) and not is_count(1.0) and not is_count(2**63)
