"""What does a text in JSON or YAML hold? Its value, or one line that says why there is none.

No text can run code, exhaust the stack or unfold to more than it is, and none says a key twice:
what the first one said would be lost in silence.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from tomovox.schema import TomovoxError

MOST_NODES = 1_000_000
"""Values that the aliases of a YAML text may unfold to."""

TOO_DEEP = "nested too deep to be read"


def json_of(text: str | bytes) -> Any:
    """Return the value of a JSON text; ValueError, in one line, when there is none."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def yaml_of(text: str) -> Any:
    """Return the value of a YAML text of plain values; ValueError, in one line, without one."""
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _unfolded(node, {})
        return loader.construct_document(node)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        # What the constructors of numbers and dates raise, such as LookupError for `!!int ""`.
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
    finally:
        if loader is not None:
            loader.dispose()


def read_object(path: Path, remedy: str) -> dict[str, Any]:
    """Return the object that a JSON file holds; TomovoxError, with what to do, when it is none."""
    try:
        value = json_of(path.read_bytes())
    except OSError as error:
        raise TomovoxError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except ValueError as error:
        raise TomovoxError(f"{path}: no readable JSON ({error}); {remedy}") from None
    if not isinstance(value, dict):
        raise TomovoxError(f"{path}: holds a {type(value).__name__}, not an object; {remedy}")
    return value


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number that a float holds: no truth value, NaN or infinity."""
    most = sys.float_info.max
    return isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most


def is_count(value: object) -> TypeGuard[int]:
    """Return whether a value is a whole number from 0 that 64 bits hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(_twice([key for key, _ in pairs]))
    return found


def _twice(keys: Sequence[str]) -> str:
    again, _ = Counter(keys).most_common(1)[0]
    return f"key {again!r} stands there twice"


def _unfolded(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """Return how many values a node unfolds to; ValueError past MOST_NODES or for a circle."""
    if node in known:
        if not known[node]:
            raise ValueError("an alias lies inside of what it names")
        return known[node]
    known[node] = 0
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        parts = node.value
    elif isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
        said = [(k.tag, k.value) for k, _ in node.value if isinstance(k, yaml.ScalarNode)]
        if len(set(said)) < len(said):
            line = node.start_mark.line + 1
            raise ValueError(f"{_twice([key for _, key in said])} in the mapping from line {line}")
    known[node] = 1 + sum(_unfolded(part, known) for part in parts)
    if known[node] > MOST_NODES:
        raise ValueError(f"its aliases unfold to more than {MOST_NODES} values")
    return known[node]
