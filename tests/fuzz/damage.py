"""How can a valid file be damaged? Strategies from its bytes, values or rows to bytes.

Every strategy gives what is nearly right: chance alone never gets past the first check.
"""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Bytes = SearchStrategy[bytes]

STRANGE_TEXTS = (
    *("", " ", "\x00", "line\nbreak", "tab\tand\rreturn", "\u2028", "\ud800", "\x1b[2J", "é" * 300),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\boot.ini",
        "..\\x",
        "~",
        ".",
        "a/../../b",
        "a" * 5000,
    ),
    *("NaN", "inf", "-1", "1e999", "9" * 400, "٣", "²", "0x10", "1_000", "true", "{}", "{class}"),
    *("B. liver", "=cmd()", "__import__('os')", "%s%n", "${run}/", "none", "seg_semantic"),
)
STRANGE_NUMBERS = (
    *(0, -1, 1, 2, 3, 7, 2**31, 2**63, 2**64, -(2**63), 10**12, 10**400, -(10**400)),
    *(0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
)
DEEP, DIGITS = "@deep@", "@digits@"
"""Marks in a JSON value for what no value can hold: 100,000 nested lists, and 5,000 digits."""

RAW = {DEEP: "[" * 100_000 + "]" * 100_000, DIGITS: "9" * 5000}

INSERTED = (
    *(
        b"\x00",
        b"\xff" * 8,
        b"\n",
        b"\r",
        b'"',
        b",",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xed\xa0\x80",
    ),
    *(b"\x00" * 512, b"9" * 64, b"../", b"\x1b[2J", b"\x80", b"{", b"[" * 2000, b"- " * 2000),
)


# ---- bytes --------------------------------------------------------------------------------------


def damaged_bytes(valid: bytes) -> Bytes:
    """Return flipped, cut, doubled and inserted bytes of `valid`, and bytes by chance."""
    return st.one_of(_flipped(valid), _spliced(valid), st.binary(max_size=300))


@st.composite
def _flipped(draw: st.DrawFn, valid: bytes) -> bytes:
    changed = bytearray(valid)
    # Headers stand at the beginning: half of all flips fall there.
    for _ in range(draw(st.integers(1, 6))):
        end = draw(st.sampled_from((min(len(valid), 400), len(valid)))) - 1
        changed[draw(st.integers(0, end))] = draw(
            st.one_of(st.sampled_from((0, 1, 127, 128, 255)), st.integers(0, 255))
        )
    return bytes(changed)


@st.composite
def _spliced(draw: st.DrawFn, valid: bytes) -> bytes:
    start = draw(st.integers(0, len(valid)))
    end = draw(st.integers(start, len(valid)))
    inside = {
        "cut": b"",
        "doubled": valid[start:end] * 2,
        "inserted": draw(st.sampled_from(INSERTED)) + valid[start:end],
        "zeroed": bytes(end - start),
    }
    if draw(st.integers(0, 3)) == 0:
        return valid[:start]
    return valid[:start] + inside[draw(st.sampled_from(sorted(inside)))] + valid[end:]


# ---- values, as JSON or YAML --------------------------------------------------------------------

STRANGE_VALUES: SearchStrategy[Any] = st.one_of(
    st.sampled_from((None, True, False, [], {}, [[]], [None], {"": None}, [{}], DEEP, DIGITS)),
    st.sampled_from(STRANGE_NUMBERS),
    st.sampled_from(STRANGE_TEXTS),
    st.text(max_size=8),
    st.lists(st.sampled_from(STRANGE_NUMBERS), max_size=3),
)


def damaged_json(value: Any) -> Bytes:
    """Return JSON texts of `value` with some of its parts strange, gone, doubled or moved."""
    return st.one_of(_json_bytes(value), _json_bytes(value), _doubled_key(value))


@st.composite
def changed_value(draw: st.DrawFn, value: Any) -> Any:
    """Return `value` with one to three places changed."""
    changed = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        changed = _change(draw, changed)
    return changed


@st.composite
def _json_bytes(draw: st.DrawFn, value: Any) -> bytes:
    return json_bytes(draw(changed_value(value)))


def json_bytes(value: Any) -> bytes:
    """Return a value as JSON, its marks replaced by what they stand for."""
    text = json.dumps(value)
    for mark, raw in RAW.items():
        text = text.replace(f'"{mark}"', raw)
    return text.encode()


@st.composite
def _doubled_key(draw: st.DrawFn, value: Any) -> bytes:
    text = json.dumps(value)
    places = [place for place, char in enumerate(text) if char == "{"]
    if not places:
        return text.encode()
    place = draw(st.sampled_from(places)) + 1
    end = text.find(":", place)
    twice = f"{text[place:end]}: {draw(st.sampled_from(('null', '[]', '1')))}, "
    return (text[:place] + twice + text[place:]).encode()


def _change(draw: st.DrawFn, value: Any) -> Any:
    """Change a value, or a part of it: at every level chance decides to go on."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        how = draw(st.sampled_from(("inside", "inside", "inside", "inside", "gone", "moved")))
        if how == "inside":
            value[key] = _change(draw, value[key])
        elif how == "gone":
            del value[key]
        elif isinstance(value, dict):
            value[draw(st.sampled_from(STRANGE_TEXTS))] = value.pop(key)
        else:
            value.append(copy.deepcopy(value[key]))
        return value
    return copy.deepcopy(draw(STRANGE_VALUES))  # it may be changed in its turn


def damaged_lines(rows: Sequence[Any]) -> Bytes:
    """Return JSON lines with a row changed, gone or said twice, or bytes of the file changed."""
    return st.one_of(_json_lines(rows), _json_lines(rows), damaged_bytes(json_lines(rows)))


@st.composite
def _json_lines(draw: st.DrawFn, rows: Sequence[Any]) -> bytes:
    lines = [json_bytes(row) for row in rows]
    place = draw(st.integers(0, len(rows) - 1))
    if draw(st.integers(0, 9)) == 0:
        lines.insert(place, lines[place])
    else:
        lines[place] = draw(damaged_json(rows[place]))
    return b"\n".join(lines) + draw(st.sampled_from((b"\n", b"", b"\n\n", b"\r\n", b"\x00")))


def json_lines(rows: Sequence[Any]) -> bytes:
    """Return rows as JSON lines."""
    return b"".join(json_bytes(row) + b"\n" for row in rows)


def _unfolding(first: str, rest: str) -> str:
    """Return a list in which each part holds the one before it nine times, by aliases."""
    parts = [f"&a0 {first}"]
    for n in range(1, 10):
        parts.append(f"&a{n} {rest.format(', '.join([f'*a{n - 1}'] * 9))}")
    return f"[{', '.join(parts)}]"


HOSTILE_YAML = (
    "!!python/object/apply:os.system ['true']",
    "!!python/name:os.system",
    "!!timestamp nothing",
    '!!int ""',
    "!!float a",
    "!!bool maybe",
    "!!binary '*'",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "2001-99-99",
    "2001-01-01 00:00:00 +99:99",
    "&a [*a]",
    "&a {b: *a}",
    "{<<: [1]}",
    "{? [a]: b}",
    "{? {a: b}: c}",
    "{a: 1, a: 2}",
    "0o9",
    "1:99:99",
    "*nobody",
    "'" * 3,
    "@",
    "\t",
    "9" * 5000,
    "[" * 3000 + "]" * 3000,
    _unfolding("[x]", "[{}]"),
    _unfolding("{k: v}", "{{<<: [{}]}}"),
)  # fmt: skip


def damaged_yaml(value: dict[str, Any], text: str) -> Bytes:
    """Return YAML texts of a mapping changed as JSON is, with hostile parts, or damaged bytes."""
    hostile = st.builds(
        lambda key, part: (
            json_bytes({k: v for k, v in value.items() if k != key})[:-1]
            + f', "{key}": {part}}}'.encode("utf-8", "surrogatepass")
        ),
        st.sampled_from([*sorted(value), "more"]),
        st.sampled_from(HOSTILE_YAML),
    )
    return st.one_of(damaged_json(value), hostile, damaged_bytes(text.encode()))


# ---- rows, as csv -------------------------------------------------------------------------------


def damaged_csv(rows: Sequence[Sequence[str]], delimiter: str = ",") -> Bytes:
    """Return csv files, header first, with a cell, a row or a column changed, or damaged bytes."""
    whole = csv_bytes(rows, delimiter)
    return st.one_of(_csv(rows, delimiter), _csv(rows, delimiter), damaged_bytes(whole))


@st.composite
def _csv(draw: st.DrawFn, rows: Sequence[Sequence[str]], delimiter: str) -> bytes:
    changed = [list(row) for row in rows]
    for _ in range(draw(st.integers(1, 3))):
        row = draw(st.sampled_from(changed))
        place = draw(st.integers(0, max(len(row) - 1, 0)))
        how = draw(st.sampled_from(("cell", "cell", "cell", "cell", "gone", "twice", "row")))
        if how == "cell" and row:
            row[place] = draw(st.one_of(st.sampled_from(STRANGE_TEXTS), st.text(max_size=6)))
        elif how == "gone" and row:
            del row[place]
        elif how == "twice" and row:
            row.insert(place, row[place])
        elif how == "row":
            changed.append(list(row))
    return csv_bytes(changed, delimiter)


def csv_bytes(rows: Sequence[Sequence[str]], delimiter: str = ",") -> bytes:
    """Return rows as a csv file."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerows(rows)
    return stream.getvalue().encode("utf-8", "surrogatepass")
